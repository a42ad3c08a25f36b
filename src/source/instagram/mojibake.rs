//! Exports write every UTF-8 byte of a text as a character of its own (`ü` as `\u00c3\u00bc`).

use std::borrow::Cow;

/// The text as it was written, where that can be told; any other text is left alone.
pub fn restored(text: &str) -> Cow<'_, str> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangled_text_is_restored_and_other_text_left_alone() {
        assert_eq!(restored("sch\u{c3}\u{b6}n \u{f0}\u{9f}\u{8c}\u{85}"), "schön 🌅");
        for text in ["", "plain", "schön", "🌅", "\u{ff}", "grün \u{c3}\u{bc} 🌅"] {
            assert_eq!(restored(text), text);
        }
    }

    #[test]
    fn what_was_mangled_once_is_restored_once() {
        let mangled = |text: &str| text.bytes().map(char::from).collect::<String>();
        for text in ["Café ☕", "ÄÖÜ", "日本語", "e\u{301}", "\u{1f468}\u{200d}\u{1f469}"] {
            assert_eq!(restored(&mangled(text)), text);
            assert_eq!(restored(&mangled(&mangled(text))), mangled(text));
        }
    }
}
