//! A chunk of the page's data: a block inside a small page, a file next to a large one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::escape_json;

/// A block of JSON that no browser executes. All characters with a meaning in HTML are escaped.
pub(super) fn block(name: &str, json: &Value) -> String {
    format!("<script type=\"application/json\" id=\"data-{name}\">{}</script>\n", escape_json(&json.to_string()))
}

/// A named part of the data.
#[derive(Clone)]
pub struct Chunk {
    /// Its name: a kind in letters, a hyphen and a number.
    pub name: String,
    json: Value,
}

impl Chunk {
    pub(super) fn new(kind: &str, number: usize, json: impl Into<Value>) -> Self {
        Self { name: format!("{kind}-{number}"), json: json.into() }
    }

    /// The sheets of the first level, for a script that needs their pixels: browsers do not let a page opened from disk
    /// read the pixels of an image file. `None` if there are no sheets.
    pub(super) fn coarsest(sheets: &[Vec<u8>]) -> Option<Self> {
        let encoded: Vec<String> = sheets.iter().map(|sheet| BASE64_STANDARD.encode(sheet)).collect();
        (!encoded.is_empty()).then(|| Self::new("rough", 0, encoded))
    }

    /// The chunk as a block inside the page.
    pub(super) fn block(&self) -> String {
        block(&self.name, &self.json)
    }

    /// The chunk as a file with a classic script, because a page opened from disk can load no other data. The script
    /// passes the JSON as a string literal: browsers read that faster than code, and nothing in it can be executed.
    pub fn script(&self) -> String {
        let text = Value::String(self.json.to_string()).to_string();
        format!("page.chunks.take(\"{}\",{});\n", self.name, escape_json(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_tile_is_more_than_text() {
        let hostile = "</script><script>alert(1)</script>\");alert(2);(\"\\ \u{2028}\u{2029}&";
        let chunk = Chunk::new("rows", 3, serde_json::json!([hostile]));
        let block = chunk.block();
        let inside = block.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert!(!inside.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Vec<String>>(inside).unwrap(), [hostile]);
        let script = chunk.script();
        let inside = script.strip_prefix("page.chunks.take(\"rows-3\",").unwrap().strip_suffix(");\n").unwrap();
        assert!(!inside.contains(['<', '>', '&', '\n']));
        let text: String = serde_json::from_str(inside).unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [hostile]);
    }
}
