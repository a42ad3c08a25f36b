//! What a published page says of itself: to search engines, to whoever shows a preview of a link, and as a bookmark.

use std::fmt::Write as _;

use super::data::visible;
use crate::render::escaped;

/// What a page that is published says beyond the wall.
#[derive(Debug)]
pub struct Published<'a> {
    /// A sentence or two; may be empty.
    pub description: &'a str,
    /// Where the page will lie on the web, ending in `/`; empty where that is not known.
    pub base_url: &'a str,
    /// The picture for previews of a link, in the page's folder.
    pub preview: &'a str,
    /// Its width and height in pixels.
    pub preview_size: (u32, u32),
    /// The icon, in the page's folder: a PNG.
    pub icon: &'a str,
    /// The IIIF manifest, in the page's folder, if there is one.
    pub manifest: Option<&'a str>,
}

impl Published<'_> {
    /// What stands in the page's head.
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

    /// What stands in the page: the description.
    pub(super) fn about(&self) -> String {
        match self.description {
            "" => String::new(),
            text => format!("\n    <p id=\"about\" dir=\"auto\">{}</p>", escaped(&visible(text))),
        }
    }
}

/// Text between the quotes of an attribute.
fn attribute(text: &str) -> String {
    escaped(&visible(text)).replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_stay_in_their_attribute() {
        let hostile = "\"><script>alert('1')</script>\u{7}";
        let published = Published {
            description: hostile,
            base_url: "https://example.org/a/",
            preview: "preview.jpg",
            preview_size: (1200, 630),
            icon: "icon.png",
            manifest: None,
        };
        let head = published.head(hostile);
        assert!(!head.contains("<script") && !head.contains("'1'") && !head.contains('\u{7}'), "{head}");
        assert!(head.contains("<meta property=\"og:image\" content=\"https://example.org/a/preview.jpg\">"), "{head}");
        assert!(head.lines().all(|line| line.is_empty() || line.starts_with('<') && line.ends_with('>')), "{head}");
        assert!(!published.about().contains("<script"));
        let without = Published { description: "", base_url: "", ..published }.head("t");
        assert!(without.contains("content=\"preview.jpg\"") && !without.contains("escription"), "{without}");
        assert!(!without.contains("canonical") && !without.contains("og:url"), "{without}");
    }
}
