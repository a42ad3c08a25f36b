//! The metadata of a published page, for search engines, previews of links, and bookmarks.

use std::fmt::Write as _;

use super::data::replace_controls;
use crate::render::escaped;

/// The metadata of a published page. Paths are relative to the page's folder.
#[derive(Debug)]
pub struct PageMeta<'a> {
    /// A sentence or two about the page; may be empty.
    pub description: &'a str,
    /// The address that the page's folder will have on the web, ending in `/`; empty if it is not known.
    pub base_url: &'a str,
    /// Path of the picture for previews of links.
    pub preview: &'a str,
    /// Width and height of the preview in pixels.
    pub preview_size: (u32, u32),
    /// Path of the icon, a PNG.
    pub icon: &'a str,
    /// Path of the IIIF manifest, if there is one.
    pub manifest: Option<&'a str>,
}

impl PageMeta<'_> {
    /// The elements for the page's `<head>`. Open Graph properties without a value are omitted.
    pub(super) fn head(&self, title: &str) -> String {
        let (title, description) = (attribute(title), attribute(self.description));
        let (width, height) = self.preview_size;
        let preview = attribute(&format!("{}{}", self.base_url, self.preview));
        let mut head = String::new();
        let mut line = |text: String| {
            let _ = write!(head, "\n{text}");
        };
        if !description.is_empty() {
            line(format!("<meta name=\"description\" content=\"{description}\">"));
        }
        line(format!("<link rel=\"icon\" type=\"image/png\" href=\"{}\">", self.icon));
        line(format!("<link rel=\"apple-touch-icon\" href=\"{}\">", self.icon));
        if !self.base_url.is_empty() {
            line(format!("<link rel=\"canonical\" href=\"{}\">", attribute(self.base_url)));
        }
        if let Some(manifest) = self.manifest {
            line(format!("<link rel=\"alternate\" type=\"application/ld+json\" href=\"{manifest}\">"));
        }
        let mut property = |name: &str, value: &str| {
            if !value.is_empty() {
                line(format!("<meta property=\"og:{name}\" content=\"{value}\">"));
            }
        };
        property("type", "website");
        property("title", &title);
        property("description", &description);
        property("url", &attribute(self.base_url));
        property("image", &preview);
        property("image:width", &width.to_string());
        property("image:height", &height.to_string());
        property("image:alt", &title);
        line("<meta name=\"twitter:card\" content=\"summary_large_image\">".to_owned());
        head
    }

    /// The description as a paragraph for the body of the page; empty if there is none.
    pub(super) fn about(&self) -> String {
        match self.description {
            "" => String::new(),
            text => format!("\n    <p id=\"about\" dir=\"auto\">{}</p>", escaped(&replace_controls(text))),
        }
    }
}

/// Text escaped for use inside the quotes of an attribute.
fn attribute(text: &str) -> String {
    escaped(&replace_controls(text)).replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_stay_in_their_attribute() {
        let hostile = "\"><script>alert('1')</script>\u{7}";
        let meta = PageMeta {
            description: hostile,
            base_url: "https://example.org/a/",
            preview: "preview.jpg",
            preview_size: (1200, 630),
            icon: "icon.png",
            manifest: None,
        };
        let head = meta.head(hostile);
        assert!(!head.contains("<script") && !head.contains("'1'") && !head.contains('\u{7}'), "{head}");
        assert!(head.contains("<meta property=\"og:image\" content=\"https://example.org/a/preview.jpg\">"), "{head}");
        assert!(head.lines().all(|line| line.is_empty() || line.starts_with('<') && line.ends_with('>')), "{head}");
        assert!(!meta.about().contains("<script"));
        let without = PageMeta { description: "", base_url: "", ..meta }.head("t");
        assert!(without.contains("content=\"preview.jpg\"") && !without.contains("escription"), "{without}");
        assert!(!without.contains("canonical") && !without.contains("og:url"), "{without}");
    }
}
