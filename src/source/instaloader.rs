//! Folders that Instaloader has written: `2024-03-01_18-30-00_UTC_1.jpg`, with `….txt` (the caption) and `….json` or
//! `….json.xz` (the metadata of the post) next to it. The time is in the name, unless the user chose another pattern
//! for names. The post's shortcode may follow the time or replace it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_lists::{self, parse_optional};
use super::metadata::{Membership, Metadata, caption};
use super::path_index::matches_pattern;
use super::{Entry, Listing, MetadataError, timestamp};
use crate::artifact::{CaptureDate, DateProvider, SkipReason};
use crate::config::PictureKind;

/// Captions and metadata that have more bytes than this after unpacking are not read.
const MAX_BYTES: u64 = 16 << 20;
/// The limit of memory for unpacking, in KiB. The largest preset of xz needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 96 << 10;
/// The pattern that a name begins with. A `0` stands for any digit.
const STAMP: &str = "0000-00-00_00-00-00_UTC";

/// The parts of a file name.
struct ParsedName<'a> {
    /// The part that all files of a post share.
    stem: &'a str,
    /// The meaning of the rest of the name.
    rest: NameKind<'a>,
}

enum NameKind<'a> {
    /// A picture or video, with its number in a carousel, from 1.
    Medium(Option<u32>),
    /// The profile picture of the account.
    Profile,
    /// The cover of a highlight, which is a collection of stories. It is not a picture of its own.
    Cover,
    /// A caption or metadata, with its suffix.
    Sidecar(&'a str),
    /// Comments or places, which are not read.
    Ignored,
}

impl<'a> ParsedName<'a> {
    /// Parses a name with a time: `2024-03-01_18-30-00_UTC`, optionally followed by the post's shortcode, and by a
    /// number or a word.
    fn of(name: &'a str) -> Option<Self> {
        name.get(..STAMP.len()).filter(|stamp| matches_pattern(stamp, STAMP))?;
        let dot = STAMP.len() + name[STAMP.len()..].find('.')?;
        let (base, suffix) = (&name[..dot], &name[dot + 1..]);
        let middle = &base[STAMP.len()..];
        if !(middle.is_empty() || middle.starts_with('_')) {
            return None;
        }
        let is_sidecar = matches!(suffix, "txt" | "json" | "json.xz");
        let is_ignored = IGNORED_WORDS.iter().any(|word| middle.ends_with(word));
        let (stem, number) = without_number(base, STAMP.len());
        let rest = match middle {
            _ if is_sidecar && is_ignored => return Some(Self { stem: &base[..STAMP.len()], rest: NameKind::Ignored }),
            _ if is_sidecar => {
                return is_optional_shortcode(middle).then_some(Self { stem: base, rest: NameKind::Sidecar(suffix) });
            }
            "_profile_pic" => NameKind::Profile,
            "_cover" => NameKind::Cover,
            _ => {
                return is_optional_shortcode(&stem[STAMP.len()..])
                    .then_some(Self { stem, rest: NameKind::Medium(number) });
            }
        };
        Some(Self { stem: &base[..STAMP.len()], rest })
    }

    fn time(&self) -> Option<CaptureDate> {
        let (day, clock) = self.stem.get(..STAMP.len())?.strip_suffix("_UTC")?.split_once('_')?;
        let time = format!("{day}T{}", clock.replace('-', ":")).parse().ok()?;
        Some(CaptureDate::utc(DateProvider::Index, time))
    }
}

/// Other files that Instaloader writes for a post, by the word after the time. `old` is a caption that was replaced.
const IGNORED_WORDS: [&str; 3] = ["_comments", "_location", "_old"];

/// Splits off the number that a picture has in its carousel. The first `start` bytes are not searched for it.
fn without_number(base: &str, start: usize) -> (&str, Option<u32>) {
    let parts = base.rsplit_once('_').filter(|(before, number)| before.len() >= start && number.len() <= 3);
    let number = parts.and_then(|(before, number)| Some((before, number.parse().ok()?)));
    number.map_or((base, None), |(before, number)| (before, Some(number)))
}

/// Whether the text is empty, or the shortcode of a post after at most two underscores.
fn is_optional_shortcode(middle: &str) -> bool {
    let code = middle.strip_prefix('_').map_or(middle, |code| code.strip_prefix('_').unwrap_or(code));
    middle.is_empty() || (code.len() >= 5 && code.chars().all(is_shortcode_char))
}

fn is_shortcode_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The metadata of each post, by the source of the file that contains it.
type SidecarMetadata = BTreeMap<String, BTreeMap<Arc<str>, Metadata>>;

/// Adds the metadata in Instaloader's file names and sidecar files to the pictures next to them, also to those in
/// another source. Instaloader's own files are removed from the list.
pub(super) fn annotate(listing: &mut Listing) {
    let posts = Posts::of(&listing.entries);
    if posts.stems.is_empty() {
        return;
    }
    let mut sidecars = SidecarMetadata::new();
    for entry in std::mem::take(&mut listing.entries) {
        match posts.classify(&entry) {
            Some((post, NameKind::Sidecar(suffix))) => {
                listing.note_metadata_file("instaloader", &entry);
                match read_sidecar(&entry, suffix) {
                    Ok(metadata) => {
                        let by_source = sidecars.entry(post).or_default();
                        by_source.entry(entry.source.clone()).or_default().fill(&metadata);
                    }
                    Err(why) => listing.skipped.push(entry.skipped(SkipReason::BadEntry, why)),
                }
            }
            Some(_) => {}
            None if posts.folders.contains(entry.folder()) && is_own(&entry) => {}
            None => listing.entries.push(entry),
        }
    }
    for entry in &mut listing.entries {
        posts.annotate(entry, &sidecars);
    }
}

/// The posts whose pictures are listed.
#[derive(Default)]
struct Posts {
    /// Paths without number and suffix.
    stems: BTreeSet<String>,
    /// Folders that contain such posts.
    folders: BTreeSet<String>,
    /// Those of the folders that contain a highlight.
    highlights: BTreeSet<String>,
}

impl Posts {
    fn of(entries: &[Entry]) -> Self {
        let mut posts = Self::default();
        for entry in entries {
            let Some(ParsedName { stem, rest }) = ParsedName::of(entry.name()) else { continue };
            match rest {
                NameKind::Medium(_) | NameKind::Profile => _ = posts.stems.insert(format!("{}{stem}", entry.folder())),
                NameKind::Cover => _ = posts.highlights.insert(entry.folder().to_owned()),
                NameKind::Sidecar(_) | NameKind::Ignored => continue,
            }
            posts.folders.insert(entry.folder().to_owned());
        }
        posts.add_unstamped(entries);
        posts
    }

    /// Adds the posts whose names have no time. They are recognised by Instaloader's metadata next to them, or by a
    /// caption whose name is a shortcode.
    fn add_unstamped(&mut self, entries: &[Entry]) {
        let full_stem = |entry: &Entry| stem_of(entry.name()).map(|stem| format!("{}{stem}", entry.folder()));
        let mut media = BTreeSet::new();
        for entry in entries.iter().filter(|entry| sidecar_suffix(entry.name()).is_none()) {
            let Some(full_stem) = full_stem(entry) else { continue };
            media.insert(without_number(&full_stem, entry.folder().len() + 1).0.to_owned());
            media.insert(full_stem);
        }
        for entry in entries {
            let (Some(suffix), Some(stem)) = (sidecar_suffix(entry.name()), full_stem(entry)) else { continue };
            let is_post = match suffix {
                "txt" => is_shortcode(&stem[entry.folder().len()..]),
                _ => media.contains(&stem) && ParsedName::of(entry.name()).is_none() && is_metadata(entry, suffix),
            };
            if is_post && media.contains(&stem) {
                self.stems.insert(stem);
                self.folders.insert(entry.folder().to_owned());
            }
        }
    }

    /// The post and the kind of a sidecar or an ignored file. `None` for other files, and for those whose post is not
    /// listed.
    fn classify<'a>(&self, entry: &'a Entry) -> Option<(String, NameKind<'a>)> {
        let folder = entry.folder();
        let listed_post = |stem: &str| Some(format!("{folder}{stem}")).filter(|stem| self.stems.contains(stem));
        match ParsedName::of(entry.name()) {
            Some(ParsedName { stem, rest: NameKind::Sidecar(suffix) }) => {
                listed_post(stem).map(|post| (post, NameKind::Sidecar(suffix)))
            }
            Some(ParsedName { stem, rest: NameKind::Ignored }) if self.folders.contains(folder) => {
                Some((format!("{folder}{stem}"), NameKind::Ignored))
            }
            Some(_) => None,
            None => {
                let suffix = sidecar_suffix(entry.name())?;
                listed_post(stem_of(entry.name())?).map(|post| (post, NameKind::Sidecar(suffix)))
            }
        }
    }

    /// Adds what is known about its post to a picture.
    fn annotate(&self, entry: &mut Entry, sidecars: &SidecarMetadata) {
        let folder = entry.folder();
        let name = ParsedName::of(entry.name());
        let taken_at = name.as_ref().and_then(ParsedName::time);
        let (stem, rest) = match name {
            Some(ParsedName { stem, rest }) => (format!("{folder}{stem}"), rest),
            None => {
                let Some(stem) = stem_of(entry.name()) else { return };
                let full_stem = format!("{folder}{stem}");
                let (numbered, number) = without_number(&full_stem, folder.len() + 1);
                match (self.stems.contains(&full_stem), self.stems.contains(numbered)) {
                    (true, _) => (full_stem, NameKind::Medium(None)),
                    (false, true) => (numbered.to_owned(), NameKind::Medium(number)),
                    (false, false) => return,
                }
            }
        };
        let (kind, index) = match rest {
            NameKind::Sidecar(_) | NameKind::Ignored => return,
            NameKind::Profile => (PictureKind::Profile, None),
            NameKind::Cover => (PictureKind::Other, None),
            NameKind::Medium(number) => (self.kind(&entry.source, folder), number),
        };
        if let Some(by_source) = sidecars.get(&stem).filter(|_| matches!(rest, NameKind::Medium(_))) {
            let own = by_source.get(&entry.source);
            for metadata in own.into_iter().chain(by_source.values()) {
                entry.metadata.fill(metadata);
            }
        }
        // Other people's posts stay `Other`, even if the metadata calls them stories.
        if kind == PictureKind::Other {
            entry.metadata.kind = Some(kind);
        }
        // Only the metadata can identify a story by its type. `fill` keeps that kind.
        let post = Membership { post: stem.into(), index: index.map(|number| number.saturating_sub(1)) };
        entry.metadata.fill(&Metadata { kind: Some(kind), taken_at, post: Some(post), ..Metadata::default() });
    }

    /// The kind of the pictures in a folder, by the folder's name. On Windows another character takes the place of the
    /// colon.
    fn kind(&self, source: &str, folder: &str) -> PictureKind {
        let path = format!("{source}/{}", folder.trim_end_matches('/'));
        let category = path.split('/').find_map(|part| part.strip_prefix([':', '\u{ff1a}', '\u{a789}']));
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        match category {
            Some("stories" | "highlights") => PictureKind::Story,
            Some("igtv" | "reels") => PictureKind::Reel,
            // Saved and tagged posts, the feed, hashtags and places contain what other people posted.
            Some(_) => PictureKind::Other,
            None if last.starts_with(['#', '%']) => PictureKind::Other,
            None if self.highlights.contains(folder) => PictureKind::Story,
            None => PictureKind::Post,
        }
    }
}

/// A file name without its suffix. `.json.xz` counts as one suffix.
fn stem_of(name: &str) -> Option<&str> {
    name.strip_suffix(".json.xz").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem))
}

/// The suffix of a caption or a metadata file; `None` for other files.
fn sidecar_suffix(name: &str) -> Option<&'static str> {
    ["txt", "json", "json.xz"]
        .into_iter()
        .find(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
}

/// Whether a name is the shortcode of a post: 11 of 64 possible characters, with letters in upper and in lower case.
fn is_shortcode(name: &str) -> bool {
    let has = |kind: fn(&char) -> bool| name.chars().any(|c| kind(&c));
    name.len() == 11
        && name.chars().all(is_shortcode_char)
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
}

/// Whether a JSON file states that Instaloader wrote it.
fn is_metadata(entry: &Entry, suffix: &str) -> bool {
    let json = entry.open(|stream, _| read_json(stream, suffix));
    let has_marker = |json: Vec<u8>| {
        serde_json::from_slice::<MetadataJson<'_>>(&json).is_ok_and(|metadata| metadata.instaloader.is_some())
    };
    json.is_ok_and(|json| json.is_ok_and(has_marker))
}

/// Whether a file is Instaloader's own state, or describes the account: `me_1234567.json.xz` in `me/`.
fn is_own(entry: &Entry) -> bool {
    let name = entry.name();
    let account = sidecar_suffix(name).and_then(|_| stem_of(name)?.rsplit_once('_'));
    let is_account = |(account, number): (&str, &str)| {
        let folder = entry.folder().trim_end_matches('/').rsplit('/').next().filter(|folder| !folder.is_empty());
        account == folder.unwrap_or(&entry.source) && number.bytes().all(|b| b.is_ascii_digit())
    };
    name == "id" || name.starts_with("iterator_") || account.is_some_and(is_account)
}

fn read_sidecar(entry: &Entry, suffix: &str) -> Result<Metadata, MetadataError> {
    let text = |stream: &mut dyn Read| -> Result<Metadata, MetadataError> {
        let text = String::from_utf8(read_limited(stream)?).map_err(|_| MetadataError::NotUtf8)?;
        Ok(Metadata { caption: caption(text.strip_suffix('\n').unwrap_or(&text)), ..Metadata::default() })
    };
    entry.open(|stream, _| if suffix == "txt" { text(stream) } else { read_metadata(&read_json(stream, suffix)?) })?
}

/// The bytes of a metadata file, unpacked.
fn read_json(stream: &mut dyn Read, suffix: &str) -> Result<Vec<u8>, MetadataError> {
    match suffix {
        "json" => read_limited(stream),
        _ => read_limited(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY_KIB)),
    }
}

fn read_limited(stream: impl Read) -> Result<Vec<u8>, MetadataError> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(MetadataError::TooLarge(MAX_BYTES)) } else { Ok(bytes) }
}

/// The outermost fields of the metadata. Each is parsed separately, so that an unexpected value in one does not
/// affect the others.
#[derive(Deserialize, Default)]
#[serde(default)]
struct MetadataJson<'a> {
    #[serde(borrow)]
    node: Option<&'a RawValue>,
    #[serde(borrow)]
    instaloader: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node<'a> {
    #[serde(borrow)]
    edge_media_to_caption: Option<&'a RawValue>,
    #[serde(borrow)]
    iphone_struct: Option<&'a RawValue>,
    #[serde(borrow)]
    caption: Option<&'a RawValue>,
    #[serde(borrow)]
    taken_at_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
    #[serde(borrow)]
    taken_at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Edges {
    edges: (Edge,),
}

#[derive(Deserialize)]
struct Edge {
    node: Text,
}

#[derive(Deserialize)]
struct IphoneStruct {
    caption: Text,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Writer {
    node_type: String,
}

/// The metadata of a post: caption, time, and whether it is a story.
///
/// # Errors
/// When it is not valid JSON, or is a single value such as a number.
pub fn read_metadata(json: &[u8]) -> Result<Metadata, MetadataError> {
    let repaired = std::str::from_utf8(json).ok().and_then(json_lists::replace_lone_surrogates);
    let json = repaired.as_deref().map_or(json, str::as_bytes);
    let document: MetadataJson<'_> = serde_json::from_slice(json).map_err(MetadataError::NotJson)?;
    let node: Node<'_> = parse_optional(document.node).unwrap_or_default();
    let text = parse_optional::<Edges>(node.edge_media_to_caption)
        .map(|edges| edges.edges.0.node)
        .or_else(|| parse_optional::<IphoneStruct>(node.iphone_struct).map(|phone| phone.caption))
        .or_else(|| parse_optional(node.caption))
        .map(|Text { text }| text)
        .or_else(|| parse_optional(node.caption));
    let times = [node.taken_at_timestamp, node.date, node.taken_at];
    Ok(Metadata {
        kind: parse_optional::<Writer>(document.instaloader)
            .filter(|writer| writer.node_type == "StoryItem")
            .map(|_| PictureKind::Story),
        taken_at: times
            .into_iter()
            .find_map(timestamp::of_json)
            .map(|time| CaptureDate::utc(DateProvider::Index, time)),
        caption: text.and_then(|text| caption(&text)),
        ..Metadata::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let medium = |name| match ParsedName::of(name)?.rest {
            NameKind::Medium(number) => Some(number),
            _ => None,
        };
        assert_eq!(medium("2024-03-01_18-30-00_UTC.jpg"), Some(None));
        assert_eq!(medium("2024-03-01_18-30-00_UTC_12.webp"), Some(Some(12)));
        assert_eq!(medium("2024-03-01_18-30-00_UTC__CSMaOdnszpv_2.jpg"), Some(Some(2)));
        let stem = |name| ParsedName::of(name).map(|name| name.stem);
        let post = Some("2024-03-01_18-30-00_UTC__CSMaOdnszpv");
        assert_eq!(stem("2024-03-01_18-30-00_UTC__CSMaOdnszpv_2.jpg"), post);
        assert_eq!(stem("2024-03-01_18-30-00_UTC__CSMaOdnszpv.json.xz"), post);
        for other in [
            "2024-03-01_18-30-00_UTC.txt",
            "2024-03-01_18-30-00_UTC_comments.json",
            "2024-03-01_18-30-00_UTC_cover.jpg",
            "2024-03-01_18-30-00_UTC_profile_pic.jpg",
            "2024-03-01.jpg",
            "id",
        ] {
            assert_eq!(medium(other), None, "{other}");
        }
        let name = ParsedName::of("2019-03-01_12-00-00_UTC_1.jpg").unwrap();
        assert_eq!(name.time().map(|taken| taken.at.seconds()), Some(1_551_441_600));
        assert_eq!(ParsedName::of("2019-13-01_12-00-00_UTC_1.jpg").unwrap().time(), None);
    }

    #[test]
    fn metadata_gives_caption_time_and_kind() {
        let json =
            br#"{"node": {"taken_at_timestamp": 5, "edge_media_to_caption": {"edges": [{"node": {"text": "hi"}}]}},
            "instaloader": {"version": "4", "node_type": "StoryItem"}}"#;
        let metadata = read_metadata(json).unwrap();
        assert_eq!(
            (metadata.kind, metadata.taken_at.map(|taken| taken.at.seconds()), metadata.caption.as_deref()),
            (Some(PictureKind::Story), Some(5), Some("hi"))
        );
        assert_eq!(read_metadata(b"[7]").unwrap(), Metadata::default());
        assert!(read_metadata(b"{").is_err());
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(read_metadata(&deep).unwrap(), Metadata::default());
        for (node, expected) in [
            (r#"{"iphone_struct": {"caption": {"text": "a"}}, "caption": "b", "date": 7}"#, Some("a")),
            (r#"{"edge_media_to_caption": {"edges": []}, "caption": {"text": "c"}, "date": 7}"#, Some("c")),
            (r#"{"caption": "d", "iphone_struct": 8, "taken_at_timestamp": "soon", "taken_at": 7}"#, Some("d")),
            (r#"{"caption": [8], "taken_at": 7, "owner": [[{}]]}"#, None),
        ] {
            let metadata = read_metadata(format!("{{\"node\": {node}}}").as_bytes()).unwrap();
            let seconds = metadata.taken_at.map(|taken| taken.at.seconds());
            assert_eq!((metadata.caption.as_deref(), seconds), (expected, Some(7)), "{node}");
        }
    }
}
