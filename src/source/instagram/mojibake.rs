//! Exports write every UTF-8 byte of a text as a character of its own (`ü` as `\u00c3\u00bc`). Some cut it between
//! the bytes of a character, and some have what was typed later beside it, as it should be.

use std::borrow::Cow;

/// The text as it was written, where that can be told; any other text is left alone. What is left of a character
/// that was cut becomes `\u{fffd}`.
pub fn restored(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    if let Some(whole) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Cow::Owned(whole);
    }
    let (mut restored, mut run, mut mended) = (String::with_capacity(text.len()), Vec::new(), false);
    for c in text.chars() {
        match byte(c).filter(|byte| !byte.is_ascii()) {
            Some(byte) => run.push(byte),
            None => {
                mended |= restore(&run, &mut restored);
                run.clear();
                restored.push(c);
            }
        }
    }
    mended |= restore(&run, &mut restored);
    // The first byte of a character may also be a letter at the end of a word, but hardly of a text that was mangled.
    if mended && restored.ends_with(|c| matches!(c, '\u{c2}'..='\u{f4}')) {
        restored.pop();
        restored.push(char::REPLACEMENT_CHARACTER);
    }
    if mended { Cow::Owned(restored) } else { Cow::Borrowed(text) }
}

fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok()
}

/// Adds a run of bytes, or of letters like `é`, to `text`: characters where the bytes cannot but be theirs. Says
/// whether there were any.
fn restore(run: &[u8], text: &mut String) -> bool {
    // Nobody types control characters; `»` after a capital with an accent is typed in French.
    let is_control = |byte: &u8| (0x80..0xa0).contains(byte);
    let mut mended = false;
    for chunk in run.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let sure = valid.len() >= 3 || valid.iter().any(is_control) || matches!(valid.first(), Some(0xc2 | 0xc3));
        match sure {
            true => text.push_str(chunk.valid()),
            false => text.extend(valid.iter().copied().map(char::from)),
        }
        let cut = chunk.invalid().len() > 1 && chunk.invalid().iter().any(is_control);
        match cut {
            true => text.push(char::REPLACEMENT_CHARACTER),
            false => text.extend(chunk.invalid().iter().copied().map(char::from)),
        }
        mended |= (sure && !valid.is_empty()) || cut;
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mangled(text: &str) -> String {
        text.bytes().map(char::from).collect()
    }

    #[test]
    fn mangled_text_is_restored_and_other_text_left_alone() {
        assert_eq!(restored("sch\u{c3}\u{b6}n \u{f0}\u{9f}\u{8c}\u{85}"), "schön 🌅");
        for text in
            ["", "plain", "schön", "🌅", "\u{ff}", "Sch\u{f6}n 🌅", "« CAFÉ» — là", "við", "naïve – ça", "Ærø ð"]
        {
            assert_eq!(restored(text), text);
        }
    }

    #[test]
    fn what_was_mangled_once_is_restored_once() {
        for text in ["Café ☕", "ÄÖÜ", "日本語", "e\u{301}", "\u{1f468}\u{200d}\u{1f469}"] {
            assert_eq!(restored(&mangled(text)), text);
            assert_eq!(restored(&mangled(&mangled(text))), mangled(text));
        }
    }

    #[test]
    fn what_was_mangled_in_part_is_restored_in_part() {
        for text in ["grün", "🌊", "да", "日本語", "é\u{301}"] {
            assert_eq!(restored(&format!("{} — typed later ö", mangled(text))), format!("{text} — typed later ö"));
            assert_eq!(restored(&format!("ö 🌅 {}", mangled(text))), format!("ö 🌅 {text}"));
        }
    }

    #[test]
    fn a_text_cut_within_a_character_loses_that_character() {
        for (text, left) in [("long ü 🌊", "long ü \u{fffd}"), ("日本", "日\u{fffd}"), ("für 1 €", "für 1 \u{fffd}")]
        {
            let whole: Vec<char> = mangled(text).chars().collect();
            for cut in 1..text.chars().last().unwrap().len_utf8() {
                let cut: String = whole[..whole.len() - cut].iter().collect();
                assert_eq!(restored(&cut), left, "{cut:?}");
            }
        }
        let cut: String = mangled("only 🌊").chars().take(8).collect();
        assert_eq!(restored(&cut), "only \u{fffd}");
        assert_eq!(restored(&format!("{}\u{2026}", mangled("🌊 日").trim_end_matches('\u{a5}'))), "🌊 \u{fffd}…");
    }
}
