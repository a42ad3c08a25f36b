//! What is left out and what would bring it in, in a few words.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::Reason;
use crate::artifact::rows::SkippedRow;
use crate::config::{Films, Kind, SourceSettings};
use crate::report::thousands;
use crate::source::kind_left_out;

/// So many files of one defect are called by their names.
const NAMED: usize = 3;

/// What is left out, as it adds up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LeftOut {
    kinds: BTreeMap<Kind, usize>,
    reasons: BTreeMap<Reason, usize>,
    /// What is called so, of those with a defect, the first.
    named: BTreeMap<Reason, Vec<String>>,
    /// Whether one of the videos is of a kind that may be read.
    films: bool,
}

impl LeftOut {
    /// Counts an input.
    pub(super) fn add(&mut self, path: &str, reason: Reason, detail: &str) {
        match kind_left_out(detail).filter(|_| reason == Reason::NotSelected) {
            Some(kind) => *self.kinds.entry(kind).or_default() += 1,
            None => {
                self.add_many(reason, 1);
                let named = self.named.entry(reason).or_default();
                if reason.is_defect() && named.len() <= NAMED {
                    named.push(path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned());
                }
            }
        }
        let suffix = path.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
        self.films |= reason == Reason::Video && suffix.is_some_and(|suffix| ["mp4", "mov", "m4v"].contains(&&*suffix));
    }

    /// Counts inputs of which nothing else is known.
    pub(super) fn add_many(&mut self, reason: Reason, count: usize) {
        *self.reasons.entry(reason).or_default() += count;
    }

    /// All of a table.
    pub(super) fn of(rows: &[SkippedRow]) -> Self {
        let mut all = Self::default();
        rows.iter().for_each(|row| all.add(&row.path, row.reason, &row.detail));
        all
    }

    /// `29 left out (28 stories: --kinds post,story adds them; 1 video)`; nothing if nothing is. A few with a defect are called by
    /// their names if `naming`.
    pub(super) fn told(&self, settings: &SourceSettings, naming: bool) -> Option<String> {
        let count: usize = self.kinds.values().chain(self.reasons.values()).sum();
        if count == 0 {
            return None;
        }
        let mut parts = Vec::new();
        if !self.kinds.is_empty() {
            let each: Vec<String> = self.kinds.iter().map(|(kind, count)| of_kind(*kind, *count)).collect();
            let wanted: BTreeSet<Kind> = settings.kinds.iter().chain(self.kinds.keys()).copied().collect();
            let wanted: Vec<String> = wanted.iter().map(Kind::to_string).collect();
            let them = if self.kinds.values().sum::<usize>() == 1 { "it" } else { "them" };
            parts.push(format!("{}: --kinds {} adds {them}", each.join(", "), wanted.join(",")));
        }
        for (reason, count) in &self.reasons {
            let mut part = because(*reason, *count);
            if *reason == Reason::Video && self.films && settings.films != Films::Still && cfg!(feature = "films") {
                part.push_str(": --films still shows a still of MP4 and MOV");
            }
            let named = self.named.get(reason).filter(|named| naming && (1..=NAMED).contains(&named.len()));
            part.extend(named.map(|named| format!(": {}", named.join(", "))));
            parts.push(part);
        }
        Some(format!("{} left out ({})", thousands(count), parts.join("; ")))
    }
}

/// What a decoder says, in plain words; anything else stays as it is.
pub(super) fn plainly(detail: &str) -> Cow<'_, str> {
    const CUT: [&str; 5] = ["unexpected end", "premature end", "not enough bytes", "unexpectedeof", "failed to fill"];
    let told = detail.strip_prefix("Format error decoding ").and_then(|rest| rest.split_once(": "));
    let told = told.or_else(|| Some(("TIFF", detail.strip_prefix("format error: ")?)));
    let Some((format, raw)) = told else { return detail.into() };
    let (format, raw) = (format.to_ascii_uppercase(), raw.to_ascii_lowercase());
    match CUT.iter().any(|cut| raw.contains(cut)) {
        true => format!("not a complete {format}; copy it again").into(),
        false => format!("a broken {format}; copy it again, or save it anew with another program").into(),
    }
}

/// `1 story`, `28 stories`.
pub(super) fn of_kind(kind: Kind, count: usize) -> String {
    let (one, many) = match kind {
        Kind::Post => ("post", "posts"),
        Kind::Story => ("story", "stories"),
        Kind::Reel => ("reel", "reels"),
        Kind::Archived => ("archived picture", "archived pictures"),
        Kind::Profile => ("profile picture", "profile pictures"),
        Kind::Other => ("picture in no index", "pictures in no index"),
        Kind::Threads => ("picture of Threads", "pictures of Threads"),
        Kind::File => ("file", "files"),
    };
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

fn because(reason: Reason, count: usize) -> String {
    let (one, many) = match reason {
        Reason::BadAddress => ("address of no file", "addresses of no file"),
        Reason::BadEntry => ("entry of an index that makes no sense", "entries of indexes that make no sense"),
        Reason::Damaged => ("damaged", "damaged"),
        Reason::Encrypted => ("encrypted", "encrypted"),
        Reason::Missing => ("listed but not here", "listed but not here"),
        Reason::NotAFile => ("link or device", "links or devices"),
        Reason::NotAnImage => ("other file", "other files"),
        Reason::NotSelected => ("not asked for", "not asked for"),
        Reason::Own => ("made by tsne-grid", "made by tsne-grid"),
        Reason::TooLarge => ("too large", "too large"),
        Reason::Undecodable => ("broken", "broken"),
        Reason::Unreadable => ("unreadable", "unreadable"),
        Reason::Unsupported => ("picture of a kind that is not read", "pictures of kinds that are not read"),
        Reason::Video => ("video", "videos"),
    };
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decoders_say_is_made_plain() {
        let plain = |detail| plainly(detail).into_owned();
        assert_eq!(plain("Format error decoding Png: Unexpected End of File"), "not a complete PNG; copy it again");
        assert!(plain("Format error decoding Bmp: Image too large").starts_with("a broken BMP; "));
        assert!(plain("format error: file contained a cycle in the list of IFDs").starts_with("a broken TIFF"));
        assert_eq!(plain("encrypted"), "encrypted");
    }

    #[test]
    fn it_is_said_with_what_would_bring_it_in() {
        let settings = SourceSettings { kinds: vec![Kind::Post], ..SourceSettings::default() };
        let mut out = LeftOut::default();
        assert_eq!(out.told(&settings, true), None);
        (0..28).for_each(|_| out.add("a.jpg", Reason::NotSelected, "kind story is not in source.kinds"));
        out.add("b.webm", Reason::Video, "a video");
        assert_eq!(
            out.told(&settings, true).unwrap(),
            "29 left out (28 stories: --kinds post,story adds them; 1 video)"
        );
        out.add("b.mp4", Reason::Video, "a video");
        out.add("a.jpg", Reason::NotSelected, "source.exclude matches it");
        let told = out.told(&settings, true).unwrap();
        assert!(told.contains("1 not asked for"), "{told}");
        assert_eq!(told.contains("2 videos: --films still"), cfg!(feature = "films"), "{told}");
        let mut out = LeftOut::default();
        ["in/a.jpg", "b.jpg"].iter().for_each(|path| out.add(path, Reason::Undecodable, "a broken PNG"));
        assert_eq!(out.told(&settings, true).unwrap(), "2 left out (2 broken: a.jpg, b.jpg)");
        assert_eq!(out.told(&settings, false).unwrap(), "2 left out (2 broken)");
    }
}
