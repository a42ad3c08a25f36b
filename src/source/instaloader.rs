//! Folders as Instaloader leaves them: `2024-03-01_18-30-00_UTC_1.jpg` with `….txt` (the caption)
//! and `….json` or `….json.xz` (what the site said) beside it. The time is in the name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::known::{Known, Membership, caption};
use super::names::begins_like;
use super::{Entry, Listing, Odd};
use crate::artifact::{Reason, Taken, Time, Witness};
use crate::config::Kind;

/// Larger texts and metadata are not read.
const MAX_BYTES: u64 = 16 << 20;
/// Memory for unpacking, in KiB: xz's largest preset needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 96 << 10;
/// What a name begins with, a digit for each 0.
const STAMP: &str = "0000-00-00_00-00-00_UTC";

/// A name taken apart.
struct Name<'a> {
    /// The part that a post's files share.
    stamp: &'a str,
    /// What follows it.
    rest: Rest<'a>,
}

enum Rest<'a> {
    /// A picture or film, with its number in a carousel, from 1.
    Medium(Option<u32>),
    /// The account's own picture.
    Profile,
    /// Caption or metadata.
    Facts(&'a str),
    /// Comments, places: not read.
    More,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let stamp = name.get(..STAMP.len()).filter(|stamp| begins_like(stamp, STAMP))?;
        let (middle, suffix) = name[STAMP.len()..].split_once('.')?;
        let facts = matches!(suffix, "txt" | "json" | "json.xz");
        let rest = match (middle, facts) {
            ("", true) => Rest::Facts(suffix),
            (_, true) => Rest::More,
            ("_profile_pic", _) => Rest::Profile,
            ("", _) => Rest::Medium(None),
            (number, _) => Rest::Medium(Some(number.strip_prefix('_')?.parse().ok()?)),
        };
        Some(Self { stamp, rest })
    }

    fn time(&self) -> Option<Taken> {
        let (day, clock) = self.stamp.strip_suffix("_UTC")?.split_once('_')?;
        let time = format!("{day}T{}", clock.replace('-', ":")).parse().ok()?;
        Some(Taken::utc(Witness::Index, time))
    }
}

/// Adds what Instaloader's names and files say of the pictures beside them, also those in another
/// source; its own files are taken off the list.
pub(super) fn annotate(listing: &mut Listing) {
    let group = |entry: &Entry, stamp: &str| format!("{}{stamp}", folder(entry));
    let mut posts = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for entry in &listing.entries {
        if let Some(Name { stamp, rest: Rest::Medium(_) | Rest::Profile }) = Name::of(entry.name()) {
            posts.insert(group(entry, stamp));
            folders.insert((entry.source.clone(), folder(entry).to_owned()));
        }
    }
    if posts.is_empty() {
        return;
    }
    let mut facts: BTreeMap<String, BTreeMap<Arc<str>, Known>> = BTreeMap::new();
    for entry in std::mem::take(&mut listing.entries) {
        match Name::of(entry.name()) {
            Some(Name { stamp, rest: Rest::Facts(suffix) }) if posts.contains(&group(&entry, stamp)) => {
                listing.note_index("instaloader", &entry);
                match read(&entry, suffix) {
                    Ok(known) => {
                        let by_source = facts.entry(group(&entry, stamp)).or_default();
                        by_source.entry(entry.source.clone()).or_default().fill(&known);
                    }
                    Err(why) => listing.skipped.push(entry.skipped(Reason::BadEntry, why)),
                }
            }
            Some(Name { stamp, rest: Rest::More }) if posts.contains(&group(&entry, stamp)) => {}
            None if is_own(entry.name()) && folders.contains(&(entry.source.clone(), folder(&entry).to_owned())) => {}
            _ => listing.entries.push(entry),
        }
    }
    for entry in &mut listing.entries {
        let Some(name) = Name::of(entry.name()) else { continue };
        let (group, taken_at) = (group(entry, name.stamp), name.time());
        let story = folder(entry).ends_with(":stories/");
        let (kind, index) = match name.rest {
            Rest::Medium(number) if story => (Kind::Story, number),
            Rest::Medium(number) => (Kind::Post, number),
            Rest::Profile => (Kind::Profile, None),
            Rest::Facts(_) | Rest::More => continue,
        };
        if let Some(by_source) = facts.get(&group).filter(|_| kind != Kind::Profile) {
            let own = by_source.get(&entry.source);
            for known in own.into_iter().chain(by_source.values()) {
                entry.known.fill(known);
            }
        }
        // The metadata knows a story by its type; the name alone does not.
        let post = Membership { post: group.into(), index: index.map(|number| number.saturating_sub(1)) };
        entry.known.fill(&Known { kind: Some(kind), taken_at, post: Some(post), ..Known::default() });
    }
}

/// The path up to the name.
fn folder(entry: &Entry) -> &str {
    &entry.path[..entry.path.len() - entry.name().len()]
}

/// Instaloader's notes to itself.
fn is_own(name: &str) -> bool {
    name == "id" || name.starts_with("iterator_")
}

fn read(entry: &Entry, suffix: &str) -> Result<Known, Odd> {
    let text = |stream: &mut dyn Read| -> Result<Known, Odd> {
        let text = String::from_utf8(all(stream)?).map_err(|_| Odd::NoText)?;
        Ok(Known { caption: caption(text.strip_suffix('\n').unwrap_or(&text)), ..Known::default() })
    };
    entry.open(|stream, _| match suffix {
        "txt" => text(stream),
        "json" => read_metadata(&all(stream)?),
        _ => read_metadata(&all(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY_KIB))?),
    })?
}

fn all(stream: impl Read) -> Result<Vec<u8>, Odd> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(Odd::TooLarge(MAX_BYTES)) } else { Ok(bytes) }
}

/// The metadata's outermost fields; each is read by itself, so that one that does not fit is one lost.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
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

/// What a post's metadata says: caption, time, and whether it is a story.
///
/// # Errors
/// When it is not JSON, or no object.
pub fn read_metadata(json: &[u8]) -> Result<Known, Odd> {
    let whole: Metadata<'_> = serde_json::from_slice(json).map_err(Odd::NotJson)?;
    let node: Node<'_> = part(whole.node).unwrap_or_default();
    let text = part::<Edges>(node.edge_media_to_caption)
        .map(|edges| edges.edges.0.node)
        .or_else(|| part::<IphoneStruct>(node.iphone_struct).map(|of| of.caption))
        .or_else(|| part(node.caption))
        .map(|Text { text }| text)
        .or_else(|| part(node.caption));
    let moments = [node.taken_at_timestamp, node.date, node.taken_at];
    Ok(Known {
        kind: part::<Writer>(whole.instaloader).filter(|by| by.node_type == "StoryItem").map(|_| Kind::Story),
        taken_at: moments
            .into_iter()
            .find_map(part)
            .and_then(|moment| Time::of_seconds(moment).ok().map(|time| Taken::utc(Witness::Index, time))),
        caption: text.and_then(|text| caption(&text)),
        ..Known::default()
    })
}

/// A value as what it should be, if it is that.
fn part<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let medium = |name| match Name::of(name)?.rest {
            Rest::Medium(number) => Some(number),
            _ => None,
        };
        assert_eq!(medium("2024-03-01_18-30-00_UTC.jpg"), Some(None));
        assert_eq!(medium("2024-03-01_18-30-00_UTC_12.webp"), Some(Some(12)));
        for other in ["2024-03-01_18-30-00_UTC.txt", "2024-03-01_18-30-00_UTC_comments.json", "2024-03-01.jpg", "id"] {
            assert_eq!(medium(other), None, "{other}");
        }
        let name = Name::of("2019-03-01_12-00-00_UTC_1.jpg").unwrap();
        assert_eq!(name.time().map(|taken| taken.at.seconds()), Some(1_551_441_600));
        assert_eq!(Name::of("2019-13-01_12-00-00_UTC_1.jpg").unwrap().time(), None);
    }

    #[test]
    fn metadata_gives_caption_time_and_kind() {
        let json =
            br#"{"node": {"taken_at_timestamp": 5, "edge_media_to_caption": {"edges": [{"node": {"text": "hi"}}]}},
            "instaloader": {"version": "4", "node_type": "StoryItem"}}"#;
        let known = read_metadata(json).unwrap();
        assert_eq!(
            (known.kind, known.taken_at.map(|taken| taken.at.seconds()), known.caption.as_deref()),
            (Some(Kind::Story), Some(5), Some("hi"))
        );
        assert_eq!(read_metadata(b"[7]").unwrap(), Known::default());
        assert!(read_metadata(b"{").is_err());
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(read_metadata(&deep).unwrap(), Known::default());
        for (node, expected) in [
            (r#"{"iphone_struct": {"caption": {"text": "a"}}, "caption": "b", "date": 7}"#, Some("a")),
            (r#"{"edge_media_to_caption": {"edges": []}, "caption": {"text": "c"}, "date": 7}"#, Some("c")),
            (r#"{"caption": "d", "iphone_struct": 8, "taken_at_timestamp": "soon", "taken_at": 7}"#, Some("d")),
            (r#"{"caption": [8], "taken_at": 7, "owner": [[{}]]}"#, None),
        ] {
            let known = read_metadata(format!("{{\"node\": {node}}}").as_bytes()).unwrap();
            let seconds = known.taken_at.map(|taken| taken.at.seconds());
            assert_eq!((known.caption.as_deref(), seconds), (expected, Some(7)), "{node}");
        }
    }
}
