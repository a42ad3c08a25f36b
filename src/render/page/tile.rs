//! A tile of the page's data: a block of a small page, a file of a large one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::harmless;

/// A block that no browser executes, in which no character means anything to HTML.
pub(super) fn block(name: &str, json: &Value) -> String {
    format!("<script type=\"application/json\" id=\"data-{name}\">{}</script>\n", harmless(&json.to_string()))
}

/// A part of the data, under a name.
#[derive(Clone)]
pub struct Tile {
    /// What it is called: letters, and a number where there are several.
    pub name: String,
    json: Value,
}

impl Tile {
    pub(super) fn new(kind: &str, number: usize, json: impl Into<Value>) -> Self {
        Self { name: format!("{kind}-{number}"), json: json.into() }
    }

    /// The sheets of the first level: a picture from a file would not show the page its pixels.
    pub(super) fn rough(sheets: &[Vec<u8>]) -> Option<Self> {
        let encoded: Vec<String> = sheets.iter().map(|sheet| BASE64_STANDARD.encode(sheet)).collect();
        (!encoded.is_empty()).then(|| Self::new("rough", 0, encoded))
    }

    /// In the page.
    pub(super) fn block(&self) -> String {
        block(&self.name, &self.json)
    }

    /// As a classic script, since a page from the disk can load no other file. It hands the tile over as a text, which a
    /// browser reads faster than a program; nothing in it can be taken for one.
    pub fn script(&self) -> String {
        let text = Value::String(self.json.to_string()).to_string();
        format!("page.tiles.take(\"{}\",{});\n", self.name, harmless(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_tile_is_more_than_text() {
        let hostile = "</script><script>alert(1)</script>\");alert(2);(\"\\ \u{2028}\u{2029}&";
        let tile = Tile::new("rows", 3, serde_json::json!([hostile]));
        let block = tile.block();
        let inside = block.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert!(!inside.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Vec<String>>(inside).unwrap(), [hostile]);
        let script = tile.script();
        let inside = script.strip_prefix("page.tiles.take(\"rows-3\",").unwrap().strip_suffix(");\n").unwrap();
        assert!(!inside.contains(['<', '>', '&', '\n']));
        let text: String = serde_json::from_str(inside).unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [hostile]);
    }
}
