//! The explorer's page: one HTML file with its style, its script and its data. It needs no server, no network and no
//! framework.
//!
//! Captions and other texts come from files of strangers, so the page is safe against them in three ways. The data are
//! in blocks that no browser executes, with `<`, `>` and `&` escaped. The script inserts text into the page only as
//! text. The content security policy allows only this script and this style, by their hashes, and lets the page load
//! nothing but pictures.
//!
//! The data of a large grid would make the page slow to open. They are in separate files instead, each a script that
//! passes its chunk as a text. The policy of such a page trusts the scripts that its own script loads
//! (`strict-dynamic`), and a Trusted Types policy restricts their addresses.

mod chunk;
mod columns;
mod data;
mod facets;
mod index;
mod meta;
mod postings;
mod rows;

pub use data::{GroupLevel, Level, PageData, Picture, PreviousGrid, StackedPicture};
pub use meta::PageMeta;

pub(super) use data::replace_controls;

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::escaped;
pub use chunk::Chunk;
use columns::Columns;

/// To be raised when the same data would give another page.
pub const VERSION: u32 = 8;
/// A page with more pictures than this has its data in separate files.
const MAX_INLINE_PICTURES: usize = 4096;

const TEMPLATE: &str = include_str!("index.html");
const STYLES: [&str; 3] = [include_str!("style.css"), include_str!("box.css"), include_str!("phone.css")];
/// The files of the one script, in the order in which they run. Each file has a scope of its own. It imports from
/// `page` at its beginning, and exports by setting `page.<name>` at its end. Exported values that change may only be
/// changed by functions of the file that owns them.
const SCRIPTS: [&str; 29] = [
    include_str!("chunks.js"),
    include_str!("data.js"),
    include_str!("rows.js"),
    include_str!("layouts.js"),
    include_str!("thinning.js"),
    include_str!("spatial.js"),
    include_str!("view.js"),
    include_str!("sheets.js"),
    include_str!("highlight.js"),
    include_str!("paint.js"),
    include_str!("dots.js"),
    include_str!("blocks.js"),
    include_str!("marks.js"),
    include_str!("groups.js"),
    include_str!("facets.js"),
    include_str!("tints.js"),
    include_str!("selection.js"),
    include_str!("overview.js"),
    include_str!("draw.js"),
    include_str!("gestures.js"),
    include_str!("fingers.js"),
    include_str!("card.js"),
    include_str!("index.js"),
    include_str!("search.js"),
    include_str!("periods.js"),
    include_str!("pointers.js"),
    include_str!("controls.js"),
    include_str!("address.js"),
    include_str!("main.js"),
];

/// Whether the data of this many pictures are in separate files next to the page.
pub fn is_large(pictures: usize) -> bool {
    pictures > MAX_INLINE_PICTURES
}

/// A page with its columns, facets and index computed, ready to be written.
pub struct Page<'w> {
    data: &'w PageData<'w>,
    columns: Columns,
    facets: Vec<Chunk>,
    index: Vec<Chunk>,
}

impl<'w> Page<'w> {
    /// Computes the parts of the page from its data.
    pub fn new(data: &'w PageData<'w>) -> Self {
        Self { data, columns: Columns::of(data), facets: facets::chunks(data), index: index::chunks(data) }
    }

    /// All chunks. The columns come first, because the page needs them before the others.
    pub fn chunks(&self) -> impl Iterator<Item = Cow<'_, Chunk>> {
        let coarsest = Chunk::coarsest(&self.data.coarsest).into_iter();
        let computed = self.columns.chunks().chain(coarsest).chain(rows::chunks(self.data)).map(Cow::Owned);
        computed.chain(self.facets.iter().chain(&self.index).map(Cow::Borrowed))
    }

    /// The page as HTML. The chunks are inside it, or, with `folder`, files in that folder next to it.
    pub fn html(&self, folder: Option<&str>) -> String {
        let data = self.data;
        let style = STYLES.concat();
        let script = format!("\"use strict\";\nconst page = {{}};\n{{\n{}}}\n", SCRIPTS.join("}\n{\n"));
        let (loads_files, types_policy) =
            if folder.is_some() { (" 'strict-dynamic'", "tiles") } else { ("", "'none'") };
        let policy = format!(
            "default-src 'none'; img-src 'self' file:; style-src 'sha256-{}'; script-src 'sha256-{}'{loads_files}; \
             base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types {types_policy}",
            sha256_base64(&style),
            sha256_base64(&script)
        );
        let blocks = if folder.is_none() { self.chunks().map(|chunk| chunk.block()).collect() } else { Vec::new() };
        let early = blocks.len().min(1);
        fill_template(TEMPLATE, |name| match name {
            "policy" => policy.clone(),
            "version" => env!("CARGO_PKG_VERSION").to_owned(),
            "title" => escaped(&data.title()),
            "head" => data.meta.as_ref().map(|meta| meta.head(&data.title())).unwrap_or_default(),
            "about" => data.meta.as_ref().map(PageMeta::about).unwrap_or_default(),
            "style" => style.clone(),
            "script" => script.clone(),
            "wall" => {
                chunk::block("wall", &data.head(&self.columns, self.facets.len(), folder)) + &blocks[..early].concat()
            }
            // These come after the script, so that the grid is drawn while the browser still parses them.
            "rest" => blocks[early..].concat(),
            other => unreachable!("the template has no placeholder {other}"),
        })
    }
}

/// Replaces each `{{name}}` of the template by its value. Values are not searched for further placeholders.
fn fill_template(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, text) = part.split_once("}}").expect("every placeholder of the template is closed");
        filled.push_str(&value(name));
        filled.push_str(text);
    }
    filled
}

/// JSON with the characters that have a meaning in HTML written as escapes.
fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            _ => safe.push(c),
        }
    }
    safe
}

fn sha256_base64(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_their_block() {
        let hostile = "</script><script>alert(1)</script><!-- & {{script}} \u{2028}";
        let json = escape_json(&serde_json::json!([hostile]).to_string());
        assert!(!json.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [hostile]);
        assert_eq!(fill_template("a{{x}}b{{y}}", |name| format!("[{name}{{{{x}}}}]")), "a[x{{x}}]b[y{{x}}]");
    }

    #[test]
    fn style_and_script_are_those_of_the_policy() {
        let page = Page::new(&data::tests::empty()).html(None);
        let between = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
        assert!(page.contains(&format!("style-src 'sha256-{}'", sha256_base64(&between("<style>", "</style>")))));
        let script = between("<script>", "</script>");
        assert!(page.contains(&format!("script-src 'sha256-{}'", sha256_base64(&script))));
        assert!(!script.contains("innerHTML") && !script.contains("eval("), "text stays text");
        assert!(page.contains("trusted-types 'none'") && !page.contains("strict-dynamic"));
    }

    #[test]
    fn a_large_page_has_no_more_in_it_than_an_empty_one() {
        let mut data = data::tests::empty();
        let small = Page::new(&data).html(Some("data-0")).len();
        data.pictures = (0..5000).map(|cell| data::tests::picture(cell, [f64::from(cell), 0.0])).collect();
        let page = Page::new(&data);
        assert!(is_large(data.pictures.len()) && page.html(None).len() > small + 40_000);
        let html = page.html(Some("data-0"));
        assert!(html.len() < small + 100, "{} bytes against {small}", html.len());
        assert!(html.contains("'strict-dynamic'; base-uri 'none'") && html.contains("trusted-types tiles"));
        let names: Vec<String> = page.chunks().map(|chunk| chunk.name.clone()).collect();
        assert_eq!(names.join(" "), "columns-0 rows-0 rows-1 rows-2 rows-3 rows-4 index-0 words-0 found-0");
    }
}
