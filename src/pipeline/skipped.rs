//! Summarises in one phrase what is skipped, and which flag would include it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::SkipReason;
use crate::artifact::rows::SkippedRow;
use crate::config::{PictureKind, SourceSettings, VideoPolicy};
use crate::report::group_digits;
use crate::source::skipped_kind;

/// Files with the same defect are named if there are at most this many.
const MAX_EXAMPLES: usize = 3;

/// Counts of skipped inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SkippedSummary {
    /// Inputs whose kind is not in `source.kinds`; they are not in `reasons`.
    kinds: BTreeMap<PictureKind, usize>,
    reasons: BTreeMap<SkipReason, usize>,
    /// Names of the first files for each defect; one more than [`MAX_EXAMPLES`], to know whether there are more.
    examples: BTreeMap<SkipReason, Vec<String>>,
    /// Whether one of the videos is in a format that `--films still` reads.
    readable_videos: bool,
}

impl SkippedSummary {
    /// Counts one skipped input.
    pub(super) fn add(&mut self, path: &str, reason: SkipReason, detail: &str) {
        match skipped_kind(detail).filter(|_| reason == SkipReason::NotSelected) {
            Some(kind) => *self.kinds.entry(kind).or_default() += 1,
            None => {
                self.add_many(reason, 1);
                let named = self.examples.entry(reason).or_default();
                if reason.is_defect() && named.len() <= MAX_EXAMPLES {
                    named.push(path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned());
                }
            }
        }
        let suffix = path.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
        self.readable_videos |=
            reason == SkipReason::Video && suffix.is_some_and(|suffix| ["mp4", "mov", "m4v"].contains(&&*suffix));
    }

    /// Counts inputs whose paths are not known.
    pub(super) fn add_many(&mut self, reason: SkipReason, count: usize) {
        *self.reasons.entry(reason).or_default() += count;
    }

    /// Counts the rows of the table `skipped`.
    pub(super) fn from_rows(rows: &[SkippedRow]) -> Self {
        let mut all = Self::default();
        rows.iter().for_each(|row| all.add(&row.path, row.reason, &row.detail));
        all
    }

    /// `29 skipped (28 stories: --kinds post,story adds them; 1 video)`; `None` if nothing is skipped. With
    /// `with_examples`, the files with a defect are named if at most [`MAX_EXAMPLES`] have it.
    pub(super) fn describe(&self, settings: &SourceSettings, with_examples: bool) -> Option<String> {
        let count: usize = self.kinds.values().chain(self.reasons.values()).sum();
        if count == 0 {
            return None;
        }
        let mut parts = Vec::new();
        if !self.kinds.is_empty() {
            let counts: Vec<String> = self.kinds.iter().map(|(kind, count)| count_of_kind(*kind, *count)).collect();
            let wanted: BTreeSet<PictureKind> = settings.kinds.iter().chain(self.kinds.keys()).copied().collect();
            let wanted: Vec<String> = wanted.iter().map(PictureKind::to_string).collect();
            let pronoun = if self.kinds.values().sum::<usize>() == 1 { "it" } else { "them" };
            parts.push(format!("{}: --kinds {} adds {pronoun}", counts.join(", "), wanted.join(",")));
        }
        for (reason, count) in &self.reasons {
            let mut part = count_of_reason(*reason, *count);
            if *reason == SkipReason::Video
                && self.readable_videos
                && settings.films != VideoPolicy::Still
                && cfg!(feature = "films")
            {
                part.push_str(": --films still shows a still of MP4 and MOV");
            }
            let named =
                self.examples.get(reason).filter(|named| with_examples && (1..=MAX_EXAMPLES).contains(&named.len()));
            part.extend(named.map(|named| format!(": {}", named.join(", "))));
            parts.push(part);
        }
        Some(format!("{} skipped ({})", group_digits(count), parts.join("; ")))
    }
}

/// Rewords the error of a picture decoder. Any other text is returned unchanged.
pub(super) fn explain_decode_error(detail: &str) -> Cow<'_, str> {
    const TRUNCATED: [&str; 5] =
        ["unexpected end", "premature end", "not enough bytes", "unexpectedeof", "failed to fill"];
    let parts = detail.strip_prefix("Format error decoding ").and_then(|rest| rest.split_once(": "));
    let parts = parts.or_else(|| Some(("TIFF", detail.strip_prefix("format error: ")?)));
    let Some((format, raw)) = parts else { return detail.into() };
    let (format, raw) = (format.to_ascii_uppercase(), raw.to_ascii_lowercase());
    match TRUNCATED.iter().any(|text| raw.contains(text)) {
        true => format!("not a complete {format}; copy it again").into(),
        false => format!("a broken {format}; copy it again, or save it anew with another program").into(),
    }
}

/// `1 story`, `28 stories`.
pub(super) fn count_of_kind(kind: PictureKind, count: usize) -> String {
    let (one, many) = match kind {
        PictureKind::Post => ("post", "posts"),
        PictureKind::Story => ("story", "stories"),
        PictureKind::Reel => ("reel", "reels"),
        PictureKind::Archived => ("archived picture", "archived pictures"),
        PictureKind::Profile => ("profile picture", "profile pictures"),
        PictureKind::Other => ("picture that no index lists", "pictures that no index lists"),
        PictureKind::Threads => ("Threads picture", "Threads pictures"),
        PictureKind::File => ("file", "files"),
    };
    format!("{} {}", group_digits(count), if count == 1 { one } else { many })
}

fn count_of_reason(reason: SkipReason, count: usize) -> String {
    let (one, many) = match reason {
        SkipReason::BadAddress => ("invalid address", "invalid addresses"),
        SkipReason::BadEntry => ("invalid entry of an index", "invalid entries of indexes"),
        SkipReason::Damaged => ("damaged", "damaged"),
        SkipReason::Encrypted => ("encrypted", "encrypted"),
        SkipReason::Missing => ("listed but missing", "listed but missing"),
        SkipReason::NotAFile => ("link or device", "links or devices"),
        SkipReason::NotAnImage => ("other file", "other files"),
        SkipReason::NotSelected => ("not selected", "not selected"),
        SkipReason::Own => ("made by tsne-grid", "made by tsne-grid"),
        SkipReason::TooLarge => ("too large", "too large"),
        SkipReason::Undecodable => ("broken", "broken"),
        SkipReason::Unreadable => ("unreadable", "unreadable"),
        SkipReason::Unsupported => ("picture in an unsupported format", "pictures in unsupported formats"),
        SkipReason::Video => ("video", "videos"),
    };
    format!("{} {}", group_digits(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decoders_say_is_made_plain() {
        let plain = |detail| explain_decode_error(detail).into_owned();
        assert_eq!(plain("Format error decoding Png: Unexpected End of File"), "not a complete PNG; copy it again");
        assert!(plain("Format error decoding Bmp: Image too large").starts_with("a broken BMP; "));
        assert!(plain("format error: file contained a cycle in the list of IFDs").starts_with("a broken TIFF"));
        assert_eq!(plain("encrypted"), "encrypted");
    }

    #[test]
    fn it_is_said_with_what_would_bring_it_in() {
        let settings = SourceSettings { kinds: vec![PictureKind::Post], ..SourceSettings::default() };
        let mut out = SkippedSummary::default();
        assert_eq!(out.describe(&settings, true), None);
        (0..28).for_each(|_| out.add("a.jpg", SkipReason::NotSelected, "kind story is not in source.kinds"));
        out.add("b.webm", SkipReason::Video, "a video");
        assert_eq!(
            out.describe(&settings, true).unwrap(),
            "29 skipped (28 stories: --kinds post,story adds them; 1 video)"
        );
        out.add("b.mp4", SkipReason::Video, "a video");
        out.add("a.jpg", SkipReason::NotSelected, "source.exclude matches it");
        let text = out.describe(&settings, true).unwrap();
        assert!(text.contains("1 not selected"), "{text}");
        assert_eq!(text.contains("2 videos: --films still"), cfg!(feature = "films"), "{text}");
        let mut out = SkippedSummary::default();
        ["in/a.jpg", "b.jpg"].iter().for_each(|path| out.add(path, SkipReason::Undecodable, "a broken PNG"));
        assert_eq!(out.describe(&settings, true).unwrap(), "2 skipped (2 broken: a.jpg, b.jpg)");
        assert_eq!(out.describe(&settings, false).unwrap(), "2 skipped (2 broken)");
    }
}
