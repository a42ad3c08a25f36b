//! The explorer's page: one HTML file with its style, its script and its data, that needs no server,
//! no network and no framework.
//!
//! The data stand in blocks that no browser executes, with `<`, `>` and `&` escaped; the script puts
//! text into the page as text alone; and the page's security policy lets no script or style run but
//! these two, by their hashes, and nothing be loaded but pictures.
//!
//! The data of a large wall would make the page slow to open. They are the same blocks as files, each a script that hands its
//! block over as a text. The policy of such a page trusts the scripts that its own script asks for, and
//! nothing else may name one.

mod columns;
mod data;
mod facets;
mod index;
mod postings;
mod published;
mod rows;
mod tile;

pub use data::{Before, Behind, Groups, Level, Picture, Wall};
pub use published::Published;

pub(super) use data::visible;

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::escaped;
use columns::Columns;
pub use tile::Tile;

/// Raised when the same data give another page.
pub const VERSION: u32 = 8;
/// A page of more pictures has its data in files beside it.
const MOST_INSIDE: usize = 4096;

const TEMPLATE: &str = include_str!("index.html");
const STYLES: [&str; 3] = [include_str!("style.css"), include_str!("box.css"), include_str!("phone.css")];
/// One script, in the order in which it is read. Each file has a scope of its own; what it gives to others it puts at
/// its end under its name into `page`, and what it takes from others stands at its beginning. Values that change are
/// given to be read: only functions of the file that they belong to change them.
const SCRIPTS: [&str; 29] = [
    include_str!("tiles.js"),
    include_str!("data.js"),
    include_str!("rows.js"),
    include_str!("layouts.js"),
    include_str!("crowd.js"),
    include_str!("squares.js"),
    include_str!("view.js"),
    include_str!("sheets.js"),
    include_str!("picked.js"),
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

/// Whether the data of so many pictures are in files beside the page.
pub fn is_large(pictures: usize) -> bool {
    pictures > MOST_INSIDE
}

/// A page that is about to be written.
pub struct Page<'w> {
    wall: &'w Wall<'w>,
    columns: Columns,
    facets: Vec<Tile>,
    index: Vec<Tile>,
}

impl<'w> Page<'w> {
    /// The page of a wall.
    pub fn new(wall: &'w Wall<'w>) -> Self {
        Self { wall, columns: Columns::of(wall), facets: facets::tiles(wall), index: index::tiles(wall) }
    }

    /// All that the page knows of single pictures.
    pub fn tiles(&self) -> impl Iterator<Item = Cow<'_, Tile>> {
        let rough = Tile::rough(&self.wall.rough).into_iter();
        let made = self.columns.tiles().chain(rough).chain(rows::tiles(self.wall)).map(Cow::Owned);
        made.chain(self.facets.iter().chain(&self.index).map(Cow::Borrowed))
    }

    /// The page, with its tiles inside, or as files in a folder beside it.
    pub fn html(&self, folder: Option<&str>) -> String {
        let wall = self.wall;
        let style = STYLES.concat();
        let script = format!("\"use strict\";\nconst page = {{}};\n{{\n{}}}\n", SCRIPTS.join("}\n{\n"));
        let (files, maker) = if folder.is_some() { (" 'strict-dynamic'", "tiles") } else { ("", "'none'") };
        let policy = format!(
            "default-src 'none'; img-src 'self' file:; style-src 'sha256-{}'; script-src 'sha256-{}'{files}; \
             base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types {maker}",
            hash(&style),
            hash(&script)
        );
        let inside = if folder.is_none() { self.tiles().map(|tile| tile.block()).collect() } else { Vec::new() };
        let first = inside.len().min(1);
        fill(TEMPLATE, |name| match name {
            "policy" => policy.clone(),
            "version" => env!("CARGO_PKG_VERSION").to_owned(),
            "title" => escaped(&wall.title()),
            "head" => wall.published.as_ref().map(|published| published.head(&wall.title())).unwrap_or_default(),
            "about" => wall.published.as_ref().map(Published::about).unwrap_or_default(),
            "style" => style.clone(),
            "script" => script.clone(),
            "wall" => {
                tile::block("wall", &wall.head(&self.columns, self.facets.len(), folder)) + &inside[..first].concat()
            }
            // Behind the script, so that the wall is drawn while these are still being read.
            "rest" => inside[first..].concat(),
            other => unreachable!("the template has no place called {other}"),
        })
    }
}

/// Fills the places `{{name}}` of the template; what is filled in is not looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, text) = part.split_once("}}").expect("the template closes what it opens");
        filled.push_str(&value(name));
        filled.push_str(text);
    }
    filled
}

/// JSON in which no character means anything to HTML.
fn harmless(json: &str) -> String {
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

fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_their_block() {
        let hostile = "</script><script>alert(1)</script><!-- & {{script}} \u{2028}";
        let json = harmless(&serde_json::json!([hostile]).to_string());
        assert!(!json.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [hostile]);
        assert_eq!(fill("a{{x}}b{{y}}", |name| format!("[{name}{{{{x}}}}]")), "a[x{{x}}]b[y{{x}}]");
    }

    #[test]
    fn style_and_script_are_those_of_the_policy() {
        let page = Page::new(&data::tests::empty()).html(None);
        let between = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
        assert!(page.contains(&format!("style-src 'sha256-{}'", hash(&between("<style>", "</style>")))));
        let script = between("<script>", "</script>");
        assert!(page.contains(&format!("script-src 'sha256-{}'", hash(&script))));
        assert!(!script.contains("innerHTML") && !script.contains("eval("), "text stays text");
        assert!(page.contains("trusted-types 'none'") && !page.contains("strict-dynamic"));
    }

    #[test]
    fn a_large_page_has_no_more_in_it_than_an_empty_one() {
        let mut wall = data::tests::empty();
        let small = Page::new(&wall).html(Some("data-0")).len();
        wall.pictures = (0..5000).map(|cell| data::tests::picture(cell, [f64::from(cell), 0.0])).collect();
        let page = Page::new(&wall);
        assert!(is_large(wall.pictures.len()) && page.html(None).len() > small + 40_000);
        let html = page.html(Some("data-0"));
        assert!(html.len() < small + 100, "{} bytes against {small}", html.len());
        assert!(html.contains("'strict-dynamic'; base-uri 'none'") && html.contains("trusted-types tiles"));
        let names: Vec<String> = page.tiles().map(|tile| tile.name.clone()).collect();
        assert_eq!(names.join(" "), "columns-0 rows-0 rows-1 rows-2 rows-3 rows-4 index-0 words-0 found-0");
    }
}
