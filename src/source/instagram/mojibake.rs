//! Repairs texts of exports, which write every UTF-8 byte as a character of its own (`ü` as `\u00c3\u00bc`). Some
//! exports truncate a text between the bytes of a character, and some mix such text with correct text.

use std::borrow::Cow;

/// Restores the original text where it can be determined. Any other text is returned unchanged. The rest of a truncated
/// character becomes `\u{fffd}`.
pub fn repair_mojibake(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    if let Some(whole) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Cow::Owned(whole);
    }
    let (mut restored, mut run, mut any_restored) = (String::with_capacity(text.len()), Vec::new(), false);
    for c in text.chars() {
        match byte(c).filter(|byte| !byte.is_ascii()) {
            Some(byte) => run.push(byte),
            None => {
                any_restored |= restore(&run, &mut restored);
                run.clear();
                restored.push(c);
            }
        }
    }
    any_restored |= restore(&run, &mut restored);
    // The last character may be the first byte of a truncated character, or a letter such as `é`. In a text with other
    // mangled bytes, it is hardly a letter.
    if any_restored && restored.ends_with(|c| matches!(c, '\u{c2}'..='\u{f4}')) {
        restored.pop();
        restored.push(char::REPLACEMENT_CHARACTER);
    }
    if any_restored { Cow::Owned(restored) } else { Cow::Borrowed(text) }
}

fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok()
}

/// Appends a run of bytes, or of letters such as `é`, to `text`. Bytes are decoded only where they cannot be letters.
/// Returns whether any were decoded.
fn restore(run: &[u8], text: &mut String) -> bool {
    // Nobody types control characters, so these must be bytes. A capital with an accent before `»`, as typed in French,
    // is also valid UTF-8 of two bytes, so such a pair does not count as bytes.
    let is_control = |byte: &u8| (0x80..0xa0).contains(byte);
    let mut any_restored = false;
    for chunk in run.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let is_utf8 = valid.len() >= 3 || valid.iter().any(is_control) || matches!(valid.first(), Some(0xc2 | 0xc3));
        match is_utf8 {
            true => text.push_str(chunk.valid()),
            false => text.extend(valid.iter().copied().map(char::from)),
        }
        let is_truncated = chunk.invalid().len() > 1 && chunk.invalid().iter().any(is_control);
        match is_truncated {
            true => text.push(char::REPLACEMENT_CHARACTER),
            false => text.extend(chunk.invalid().iter().copied().map(char::from)),
        }
        any_restored |= (is_utf8 && !valid.is_empty()) || is_truncated;
    }
    any_restored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mangled(text: &str) -> String {
        text.bytes().map(char::from).collect()
    }

    #[test]
    fn mangled_text_is_restored_and_other_text_left_alone() {
        assert_eq!(repair_mojibake("sch\u{c3}\u{b6}n \u{f0}\u{9f}\u{8c}\u{85}"), "schön 🌅");
        for text in
            ["", "plain", "schön", "🌅", "\u{ff}", "Sch\u{f6}n 🌅", "« CAFÉ» — là", "við", "naïve – ça", "Ærø ð"]
        {
            assert_eq!(repair_mojibake(text), text);
        }
    }

    #[test]
    fn what_was_mangled_once_is_restored_once() {
        for text in ["Café ☕", "ÄÖÜ", "日本語", "e\u{301}", "\u{1f468}\u{200d}\u{1f469}"] {
            assert_eq!(repair_mojibake(&mangled(text)), text);
            assert_eq!(repair_mojibake(&mangled(&mangled(text))), mangled(text));
        }
    }

    #[test]
    fn what_was_mangled_in_part_is_restored_in_part() {
        for text in ["grün", "🌊", "да", "日本語", "é\u{301}"] {
            assert_eq!(
                repair_mojibake(&format!("{} — typed later ö", mangled(text))),
                format!("{text} — typed later ö")
            );
            assert_eq!(repair_mojibake(&format!("ö 🌅 {}", mangled(text))), format!("ö 🌅 {text}"));
        }
    }

    #[test]
    fn a_text_cut_within_a_character_loses_that_character() {
        for (text, left) in [("long ü 🌊", "long ü \u{fffd}"), ("日本", "日\u{fffd}"), ("für 1 €", "für 1 \u{fffd}")]
        {
            let whole: Vec<char> = mangled(text).chars().collect();
            for missing in 1..text.chars().last().unwrap().len_utf8() {
                let truncated: String = whole[..whole.len() - missing].iter().collect();
                assert_eq!(repair_mojibake(&truncated), left, "{truncated:?}");
            }
        }
        let truncated: String = mangled("only 🌊").chars().take(8).collect();
        assert_eq!(repair_mojibake(&truncated), "only \u{fffd}");
        assert_eq!(
            repair_mojibake(&format!("{}\u{2026}", mangled("🌊 日").trim_end_matches('\u{a5}'))),
            "🌊 \u{fffd}…"
        );
    }
}
