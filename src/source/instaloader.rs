//! Folders as Instaloader leaves them: `2024-03-01_18-30-00_UTC_1.jpg` with `….txt` (the caption)
//! and `….json` or `….json.xz` (what the site said) beside it. The time is in the name, unless the user chose another
//! one, with the post's shortcode beside the time or in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::known::{Known, Membership, caption};
use super::lists::{self, part};
use super::names::begins_like;
use super::{Entry, Listing, Odd, moment};
use crate::artifact::{Reason, Taken, Witness};
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
    stem: &'a str,
    /// What follows it.
    rest: Rest<'a>,
}

enum Rest<'a> {
    /// A picture or film, with its number in a carousel, from 1.
    Medium(Option<u32>),
    /// The account's own picture.
    Profile,
    /// What stands for a highlight, a collection of stories: no picture of its own.
    Cover,
    /// Caption or metadata.
    Facts(&'a str),
    /// Comments, places: not read.
    More,
}

impl<'a> Name<'a> {
    /// Of a name with a time: `2024-03-01_18-30-00_UTC`, maybe with the post's shortcode, and a number or a word.
    fn of(name: &'a str) -> Option<Self> {
        name.get(..STAMP.len()).filter(|stamp| begins_like(stamp, STAMP))?;
        let dot = STAMP.len() + name[STAMP.len()..].find('.')?;
        let (whole, suffix) = (&name[..dot], &name[dot + 1..]);
        let middle = &whole[STAMP.len()..];
        if !(middle.is_empty() || middle.starts_with('_')) {
            return None;
        }
        let facts = matches!(suffix, "txt" | "json" | "json.xz");
        let is_more = MORE.iter().any(|word| middle.ends_with(word));
        let (stem, number) = without_number(whole, STAMP.len());
        let rest = match middle {
            _ if facts && is_more => return Some(Self { stem: &whole[..STAMP.len()], rest: Rest::More }),
            _ if facts => return is_code(middle).then_some(Self { stem: whole, rest: Rest::Facts(suffix) }),
            "_profile_pic" => Rest::Profile,
            "_cover" => Rest::Cover,
            _ => return is_code(&stem[STAMP.len()..]).then_some(Self { stem, rest: Rest::Medium(number) }),
        };
        Some(Self { stem: &whole[..STAMP.len()], rest })
    }

    fn time(&self) -> Option<Taken> {
        let (day, clock) = self.stem.get(..STAMP.len())?.strip_suffix("_UTC")?.split_once('_')?;
        let time = format!("{day}T{}", clock.replace('-', ":")).parse().ok()?;
        Some(Taken::utc(Witness::Index, time))
    }
}

/// What Instaloader writes of a post besides, after its time; `old` is a caption that was replaced.
const MORE: [&str; 3] = ["_comments", "_location", "_old"];

/// A path without the number of a picture in its carousel, and that; the first `from` bytes have none.
fn without_number(whole: &str, from: usize) -> (&str, Option<u32>) {
    let parts = whole.rsplit_once('_').filter(|(before, number)| before.len() >= from && number.len() <= 3);
    let number = parts.and_then(|(before, number)| Some((before, number.parse().ok()?)));
    number.map_or((whole, None), |(before, number)| (before, Some(number)))
}

/// Whether this is nothing, or a post's shortcode after an underscore or two.
fn is_code(middle: &str) -> bool {
    let code = middle.strip_prefix('_').map_or(middle, |code| code.strip_prefix('_').unwrap_or(code));
    middle.is_empty() || (code.len() >= 5 && code.chars().all(is_of_code))
}

fn is_of_code(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// What the files beside pictures say, by source, of each post.
type Facts = BTreeMap<String, BTreeMap<Arc<str>, Known>>;

/// Adds what Instaloader's names and files say of the pictures beside them, also those in another
/// source; its own files are taken off the list.
pub(super) fn annotate(listing: &mut Listing) {
    let posts = Posts::of(&listing.entries);
    if posts.stems.is_empty() {
        return;
    }
    let mut facts = Facts::new();
    for entry in std::mem::take(&mut listing.entries) {
        match posts.facts(&entry) {
            Some((post, Rest::Facts(suffix))) => {
                listing.note_index("instaloader", &entry);
                match read(&entry, suffix) {
                    Ok(known) => {
                        let by_source = facts.entry(post).or_default();
                        by_source.entry(entry.source.clone()).or_default().fill(&known);
                    }
                    Err(why) => listing.skipped.push(entry.skipped(Reason::BadEntry, why)),
                }
            }
            Some(_) => {}
            None if posts.folders.contains(entry.folder()) && is_own(&entry) => {}
            None => listing.entries.push(entry),
        }
    }
    for entry in &mut listing.entries {
        posts.annotate(entry, &facts);
    }
}

/// The posts whose pictures are here.
#[derive(Default)]
struct Posts {
    /// Paths without number and suffix.
    stems: BTreeSet<String>,
    /// Where they lie.
    folders: BTreeSet<String>,
    /// Those of them that are highlights.
    highlights: BTreeSet<String>,
}

impl Posts {
    fn of(entries: &[Entry]) -> Self {
        let mut posts = Self::default();
        for entry in entries {
            let Some(Name { stem, rest }) = Name::of(entry.name()) else { continue };
            match rest {
                Rest::Medium(_) | Rest::Profile => _ = posts.stems.insert(format!("{}{stem}", entry.folder())),
                Rest::Cover => _ = posts.highlights.insert(entry.folder().to_owned()),
                Rest::Facts(_) | Rest::More => continue,
            }
            posts.folders.insert(entry.folder().to_owned());
        }
        posts.add_unstamped(entries);
        posts
    }

    /// Posts whose names have no time in them, but Instaloader's metadata or a shortcode's caption beside.
    fn add_unstamped(&mut self, entries: &[Entry]) {
        let whole = |entry: &Entry| stem_of(entry.name()).map(|stem| format!("{}{stem}", entry.folder()));
        let mut media = BTreeSet::new();
        for entry in entries.iter().filter(|entry| facts_suffix(entry.name()).is_none()) {
            let Some(whole) = whole(entry) else { continue };
            media.insert(without_number(&whole, entry.folder().len() + 1).0.to_owned());
            media.insert(whole);
        }
        for entry in entries {
            let (Some(suffix), Some(stem)) = (facts_suffix(entry.name()), whole(entry)) else { continue };
            let is_post = match suffix {
                "txt" => is_shortcode(&stem[entry.folder().len()..]),
                _ => media.contains(&stem) && Name::of(entry.name()).is_none() && is_metadata(entry, suffix),
            };
            if is_post && media.contains(&stem) {
                self.stems.insert(stem);
                self.folders.insert(entry.folder().to_owned());
            }
        }
    }

    /// Which post a file says something of.
    fn facts<'a>(&self, entry: &'a Entry) -> Option<(String, Rest<'a>)> {
        let folder = entry.folder();
        let of = |stem: &str| Some(format!("{folder}{stem}")).filter(|stem| self.stems.contains(stem));
        match Name::of(entry.name()) {
            Some(Name { stem, rest: Rest::Facts(suffix) }) => of(stem).map(|post| (post, Rest::Facts(suffix))),
            Some(Name { stem, rest: Rest::More }) if self.folders.contains(folder) => {
                Some((format!("{folder}{stem}"), Rest::More))
            }
            Some(_) => None,
            None => {
                let suffix = facts_suffix(entry.name())?;
                of(stem_of(entry.name())?).map(|post| (post, Rest::Facts(suffix)))
            }
        }
    }

    /// Gives a picture of a post what is known of it.
    fn annotate(&self, entry: &mut Entry, facts: &Facts) {
        let folder = entry.folder();
        let name = Name::of(entry.name());
        let taken_at = name.as_ref().and_then(Name::time);
        let (stem, rest) = match name {
            Some(Name { stem, rest }) => (format!("{folder}{stem}"), rest),
            None => {
                let Some(whole) = stem_of(entry.name()) else { return };
                let whole = format!("{folder}{whole}");
                let (numbered, number) = without_number(&whole, folder.len() + 1);
                match (self.stems.contains(&whole), self.stems.contains(numbered)) {
                    (true, _) => (whole, Rest::Medium(None)),
                    (false, true) => (numbered.to_owned(), Rest::Medium(number)),
                    (false, false) => return,
                }
            }
        };
        let (kind, index) = match rest {
            Rest::Facts(_) | Rest::More => return,
            Rest::Profile => (Kind::Profile, None),
            Rest::Cover => (Kind::Other, None),
            Rest::Medium(number) => (self.kind(&entry.source, folder), number),
        };
        if let Some(by_source) = facts.get(&stem).filter(|_| matches!(rest, Rest::Medium(_))) {
            let own = by_source.get(&entry.source);
            for known in own.into_iter().chain(by_source.values()) {
                entry.known.fill(known);
            }
        }
        if kind == Kind::Other {
            entry.known.kind = Some(kind);
        }
        // The metadata knows a story by its type; the name alone does not.
        let post = Membership { post: stem.into(), index: index.map(|number| number.saturating_sub(1)) };
        entry.known.fill(&Known { kind: Some(kind), taken_at, post: Some(post), ..Known::default() });
    }

    /// What the pictures of a folder are by its name. Windows has another colon in names.
    fn kind(&self, source: &str, folder: &str) -> Kind {
        let path = format!("{source}/{}", folder.trim_end_matches('/'));
        let mark = path.split('/').find_map(|part| part.strip_prefix([':', '\u{ff1a}', '\u{a789}']));
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        match mark {
            Some("stories" | "highlights") => Kind::Story,
            Some("igtv" | "reels") => Kind::Reel,
            // Saved, tagged, the feed: what other people posted; so are a hashtag's and a place's.
            Some(_) => Kind::Other,
            None if last.starts_with(['#', '%']) => Kind::Other,
            None if self.highlights.contains(folder) => Kind::Story,
            None => Kind::Post,
        }
    }
}

/// A name without its suffix.
fn stem_of(name: &str) -> Option<&str> {
    name.strip_suffix(".json.xz").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem))
}

/// How a name of a caption or of metadata ends.
fn facts_suffix(name: &str) -> Option<&'static str> {
    ["txt", "json", "json.xz"]
        .into_iter()
        .find(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
}

/// Whether a name is what Instagram calls a post: 11 characters of 64, of several kinds.
fn is_shortcode(name: &str) -> bool {
    let has = |kind: fn(&char) -> bool| name.chars().any(|c| kind(&c));
    name.len() == 11 && name.chars().all(is_of_code) && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase)
}

/// Whether a JSON says that Instaloader wrote it.
fn is_metadata(entry: &Entry, suffix: &str) -> bool {
    let json = entry.open(|stream, _| json(stream, suffix));
    let is =
        |json: Vec<u8>| serde_json::from_slice::<Metadata<'_>>(&json).is_ok_and(|whole| whole.instaloader.is_some());
    json.is_ok_and(|json| json.is_ok_and(is))
}

/// Instaloader's notes to itself, and what it says of the account: `me_1234567.json.xz` in `me/`.
fn is_own(entry: &Entry) -> bool {
    let name = entry.name();
    let account = facts_suffix(name).and_then(|_| stem_of(name)?.rsplit_once('_'));
    let is_account = |(account, number): (&str, &str)| {
        let folder = entry.folder().trim_end_matches('/').rsplit('/').next().filter(|folder| !folder.is_empty());
        account == folder.unwrap_or(&entry.source) && number.bytes().all(|b| b.is_ascii_digit())
    };
    name == "id" || name.starts_with("iterator_") || account.is_some_and(is_account)
}

fn read(entry: &Entry, suffix: &str) -> Result<Known, Odd> {
    let text = |stream: &mut dyn Read| -> Result<Known, Odd> {
        let text = String::from_utf8(all(stream)?).map_err(|_| Odd::NoText)?;
        Ok(Known { caption: caption(text.strip_suffix('\n').unwrap_or(&text)), ..Known::default() })
    };
    entry.open(|stream, _| if suffix == "txt" { text(stream) } else { read_metadata(&json(stream, suffix)?) })?
}

/// The bytes of metadata, unpacked.
fn json(stream: &mut dyn Read, suffix: &str) -> Result<Vec<u8>, Odd> {
    match suffix {
        "json" => all(stream),
        _ => all(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY_KIB)),
    }
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
    let mended = std::str::from_utf8(json).ok().and_then(lists::without_halves);
    let json = mended.as_deref().map_or(json, str::as_bytes);
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
        taken_at: moments.into_iter().find_map(moment::of_json).map(|time| Taken::utc(Witness::Index, time)),
        caption: text.and_then(|text| caption(&text)),
        ..Known::default()
    })
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
        assert_eq!(medium("2024-03-01_18-30-00_UTC__CSMaOdnszpv_2.jpg"), Some(Some(2)));
        let stem = |name| Name::of(name).map(|name| name.stem);
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
