//! Instagram exports in JSON: captions, times, kinds and carousels for the pictures they list.
//!
//! An export is recognised by its folders, wherever they lie, and all parts of all exports are
//! laid over each other: a `uri` is looked up among the names that were seen, in its own source
//! first. Of `your_instagram_activity/` only the indexes below are read; messages are neither
//! listed nor opened. What else lies beside an export is an ordinary file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use serde_json::Value;

use super::archive::read_json;
use super::{Entry, Listing, Place};
use crate::artifact::rows::Micros;
use crate::config::Kind;

/// Captions are cut here.
const MAX_CAPTION_BYTES: usize = 64 << 10;
/// What lies directly under an export's root.
const ACTIVITY: &str = "your_instagram_activity/";
/// Folders of `media/`, and what is in them when no index says so.
const FOLDERS: [(&str, Kind); 7] = [
    ("media/posts/", Kind::Post),
    ("media/stories/", Kind::Story),
    ("media/reels/", Kind::Reel),
    ("media/igtv/", Kind::Reel),
    ("media/archived_posts/", Kind::Archived),
    ("media/profile/", Kind::Profile),
    ("media/other/", Kind::Other),
];

/// Finds the exports among the entries, keeps of them what may be shown, and adds what their
/// indexes know.
pub(super) fn annotate(listing: &mut Listing) {
    let roots = roots(&listing.entries);
    if roots.is_empty() {
        return;
    }
    let (mut media, mut indexes, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for entry in std::mem::take(&mut listing.entries) {
        let Some(root) = roots.get(&*entry.source).and_then(|roots| root_of(&entry.path, roots)) else {
            others.push(entry);
            continue;
        };
        let inside = entry.path[root.len()..].to_owned();
        if let Some(kind) = index_kind(&inside) {
            indexes.push((kind, entry));
        } else if is_private(&inside) {
            // Neither listed nor opened.
        } else if inside.starts_with("media/") {
            let folder = FOLDERS.iter().find(|(folder, _)| inside.starts_with(folder));
            let kind = folder.map_or(Kind::Other, |&(_, kind)| kind);
            media.push((inside, Entry { kind, ..entry }));
        } else {
            others.push(entry);
        }
    }
    // Posts first: what is both a post and something else is a post.
    indexes.sort_by_key(|(kind, _)| *kind);
    let mut by_uri: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (inside, _)) in media.iter().enumerate() {
        by_uri.entry(inside).or_default().push(i);
    }
    let mut known: BTreeMap<usize, Known> = BTreeMap::new();
    for (kind, index) in &indexes {
        match read_index(index) {
            Ok(items) => {
                for (uri, item) in items.into_iter().flat_map(|item| described(&item, *kind)) {
                    let places = by_uri.get(uri.as_str()).map(Vec::as_slice).unwrap_or_default();
                    let here = |&&i: &&usize| media[i].1.source == index.source;
                    let own: Vec<usize> = places.iter().filter(here).copied().collect();
                    let chosen = if own.is_empty() { places.to_vec() } else { own };
                    if chosen.is_empty() {
                        listing.skip(
                            uri,
                            &index.source,
                            "missing",
                            format!("listed in {}, but no such file was found", index.path),
                        );
                        continue;
                    }
                    for i in chosen {
                        known.entry(i).or_insert_with(|| item.clone());
                    }
                }
            }
            Err(why) => listing.skip(index.path.clone(), &index.source, "unreadable", why),
        }
    }
    if indexes.is_empty() {
        listing
            .notes
            .push("this Instagram export has no JSON index; one asked for as JSON also has captions and dates".into());
    }
    for (i, (_, entry)) in media.into_iter().enumerate() {
        let entry = match known.remove(&i) {
            Some(known) => known.onto(entry),
            None => entry,
        };
        others.push(entry);
    }
    others.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    listing.entries = others;
}

/// What an index says of one picture.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    kind: Kind,
    taken_at: Option<Micros>,
    caption: Option<String>,
    post: String,
    carousel_index: Option<u32>,
}

impl Known {
    fn onto(self, entry: Entry) -> Entry {
        let Self { kind, taken_at, caption, post, carousel_index } = self;
        Entry { kind, taken_at, caption, post: Some(post), carousel_index, ..entry }
    }
}

/// What an export holds of other people and of the account: everything beside the indexes in
/// `your_instagram_activity/`, and messages wherever they lie.
fn is_private(inside: &str) -> bool {
    inside.starts_with(ACTIVITY) || inside.split('/').any(|part| matches!(part, "messages" | "threads"))
}

/// The export roots of each source: the path before `your_instagram_activity/` or `media/posts/`
/// and its like. (`media/other/` or `media/profile/` alone may be anybody's folder.)
fn roots(entries: &[Entry]) -> BTreeMap<String, BTreeSet<String>> {
    let mut roots: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in entries {
        let telling = FOLDERS.iter().filter(|(_, kind)| !matches!(kind, Kind::Other | Kind::Profile));
        let signs = std::iter::once(ACTIVITY).chain(telling.map(|&(folder, _)| folder));
        let root = signs.filter_map(|sign| Some(&entry.path[..find_part(&entry.path, sign)?])).min_by_key(|r| r.len());
        if let Some(root) = root {
            roots.entry(entry.source.to_string()).or_default().insert(root.to_owned());
        }
    }
    roots
}

/// Where `part` begins in `path`, if it begins with a path component.
fn find_part(path: &str, part: &str) -> Option<usize> {
    if path.starts_with(part) {
        return Some(0);
    }
    path.find(&format!("/{part}")).map(|at| at + 1)
}

/// The shortest root that `path` lies under.
fn root_of<'a>(path: &str, roots: &'a BTreeSet<String>) -> Option<&'a str> {
    roots.iter().map(String::as_str).filter(|root| path.starts_with(root)).min_by_key(|root| root.len())
}

/// Which index this is, if it is one: `…/media/posts_1.json` and its like.
fn index_kind(inside: &str) -> Option<Kind> {
    let (folder, name) = inside.rsplit_once('/')?;
    let activity = folder.strip_prefix(ACTIVITY)?;
    let stem = name.strip_suffix(".json")?;
    if !matches!(activity, "media" | "content") {
        return None;
    }
    match stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_') {
        "posts" if stem != "posts" => Some(Kind::Post),
        "stories" => Some(Kind::Story),
        "reels" | "igtv_videos" => Some(Kind::Reel),
        "archived_posts" => Some(Kind::Archived),
        "profile_photos" => Some(Kind::Profile),
        _ => None,
    }
}

/// The items of an index: its array, or the one array in its object.
fn read_index(entry: &Entry) -> Result<Vec<Value>, String> {
    let bytes = match &entry.place {
        Place::File(path) => File::open(path).and_then(read_json),
        Place::Zip { archive, index } => archive.read_json(*index),
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    match serde_json::from_slice(&bytes).map_err(|error| format!("not the JSON it should be: {error}"))? {
        Value::Array(items) => Ok(items),
        Value::Object(object) => {
            let lists = object
                .into_iter()
                .filter_map(|(_, value)| if let Value::Array(items) = value { Some(items) } else { None });
            lists
                .reduce(|mut all, more| {
                    all.extend(more);
                    all
                })
                .ok_or_else(|| "no list of posts in it".into())
        }
        _ => Err("neither a list nor an object".into()),
    }
}

/// The pictures of one item and what is known of each. An item is a post with `media`, or one
/// picture; fields of the wrong type count as absent.
fn described(item: &Value, kind: Kind) -> Vec<(String, Known)> {
    let one = std::slice::from_ref(item);
    let media = item.get("media").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let uri = |m: &Value| Some(unmangled(m.get("uri")?.as_str()?));
    let Some(post) = media.first().and_then(uri) else { return Vec::new() };
    let text = |v: &Value| v.get("title").and_then(Value::as_str).filter(|t| !t.is_empty()).map(caption);
    let time = |v: &Value| v.get("creation_timestamp").and_then(Value::as_i64)?.checked_mul(1_000_000).map(Micros);
    let of_post = || text(item).or_else(|| text(&media[0]));
    let described = media.iter().enumerate().filter_map(|(i, m)| {
        let known = Known {
            kind,
            taken_at: time(item).or_else(|| time(m)),
            caption: text(m).or_else(of_post),
            post: post.clone(),
            carousel_index: (media.len() > 1).then_some(i as u32),
        };
        Some((uri(m)?, known))
    });
    described.collect()
}

fn caption(text: &str) -> String {
    let mut text = unmangled(text);
    if text.len() > MAX_CAPTION_BYTES {
        let end = (0..=MAX_CAPTION_BYTES).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// Exports write every UTF-8 byte as a character of its own (`ü` as `\u00c3\u00bc`). Where that
/// can be undone, undo it; any other string is left alone.
fn unmangled(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mangled_text_is_restored_and_other_text_left_alone() {
        assert_eq!(unmangled("sch\u{c3}\u{b6}n \u{f0}\u{9f}\u{8c}\u{85}"), "schön 🌅");
        for text in ["plain", "schön", "🌅", "\u{ff}"] {
            assert_eq!(unmangled(text), text);
        }
    }

    #[test]
    fn a_single_picture_has_its_own_caption_and_a_carousel_its_posts() {
        let single = json!({"media": [{"uri": "media/posts/a.jpg", "creation_timestamp": 5, "title": "one"}]});
        let [(uri, known)] = &described(&single, Kind::Post)[..] else { panic!() };
        assert_eq!(uri, "media/posts/a.jpg");
        assert_eq!(
            (known.taken_at, known.caption.as_deref(), known.carousel_index),
            (Some(Micros(5_000_000)), Some("one"), None)
        );
        let carousel = json!({"title": "two", "creation_timestamp": 9, "media": [
            {"uri": "media/posts/b.jpg", "creation_timestamp": 8, "title": ""}, {"uri": "media/posts/c.jpg", "title": ""}]});
        let known = described(&carousel, Kind::Post);
        assert_eq!(known.len(), 2);
        for (i, (_, known)) in known.iter().enumerate() {
            assert_eq!((known.taken_at, known.caption.as_deref()), (Some(Micros(9_000_000)), Some("two")));
            assert_eq!((known.post.as_str(), known.carousel_index), ("media/posts/b.jpg", Some(i as u32)));
        }
    }

    #[test]
    fn wrong_types_count_as_absent() {
        let odd =
            json!({"media": [{"uri": "media/x.jpg", "title": 7, "creation_timestamp": "yesterday"}, 3, {"uri": []}]});
        let known = described(&odd, Kind::Story);
        assert_eq!(known.len(), 1);
        assert_eq!((known[0].1.taken_at, &known[0].1.caption), (None, &None));
        assert!(described(&json!("text"), Kind::Post).is_empty());
        assert!(described(&json!({"media": []}), Kind::Post).is_empty());
    }

    #[test]
    fn indexes_are_told_by_place_and_name() {
        assert_eq!(index_kind("your_instagram_activity/media/posts_12.json"), Some(Kind::Post));
        assert_eq!(index_kind("your_instagram_activity/media/stories.json"), Some(Kind::Story));
        assert_eq!(index_kind("logged_information/past_instagram_insights/posts.json"), None);
        assert_eq!(index_kind("your_instagram_activity/messages/inbox/posts_1.json"), None);
    }
}
