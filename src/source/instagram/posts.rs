//! Entries of the indexes of G2 and later: a post with a list of media, or one medium by itself.
//!
//! The caption and time of a single picture are on the picture, those of a carousel on the post;
//! the order of the media is the carousel's. In G5 the post's own facts are [`super::labels`]. Where Meta wraps any of
//! it in objects of other names, or writes one thing where a list should be, it is found all the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::known::{Known, Membership, caption};
use super::super::lists::{self, At};
use super::super::{Odd, moment};
use super::mojibake::restored;
use super::{Told, labels};
use crate::artifact::{Taken, Witness};
use crate::config::Kind;

/// What an entry has, if it stands where a list of entries should.
pub(super) const FIELDS: [&str; 8] =
    ["media", "label_values", "uri", "title", "creation_timestamp", "timestamp", "thumbnail", "cover"];
/// Media are not looked for in more objects within each other.
const MAX_DEPTH: usize = 8;
/// No post has more pictures; what nests more is no post.
const MAX_MEDIA: usize = 10_000;

#[derive(Deserialize)]
#[serde(expecting = "a post with its media")]
struct Post<'a> {
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    creation_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    label_values: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(expecting = "a picture with its uri")]
struct Medium<'a> {
    uri: Option<String>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    creation_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    /// A film's still picture; not every export has one.
    #[serde(borrow, alias = "cover")]
    thumbnail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Still {
    uri: String,
}

/// What one entry says of its pictures. A post of text alone has none, and nothing is wrong with it.
pub(super) fn read(kind: Kind, at: At<'_>, entry: &RawValue, tell: &mut impl FnMut(Told)) {
    read_within(kind, at, entry, 0, tell);
}

fn read_within(kind: Kind, at: At<'_>, entry: &RawValue, depth: usize, tell: &mut impl FnMut(Told)) {
    if entry.get().starts_with('[') && depth < MAX_DEPTH {
        let entries = lists::parse::<Vec<&RawValue>>(entry).unwrap_or_default();
        // Within an entry a list of texts is none of media.
        let entries = entries.into_iter().filter(|entry| depth == 0 || holds(entry));
        return entries.for_each(|entry| read_within(kind, at, entry, depth + 1, tell));
    }
    let post: Post<'_> = match lists::parse(entry) {
        _ if entry.get() == "null" => return,
        Ok(post) => post,
        Err(why) => return tell(Told::odd(at, why)),
    };
    if post.media.is_none() && post.label_values.is_none() && post.uri.is_none() && depth < MAX_DEPTH {
        return wrapped(entry).for_each(|inner| read_within(kind, at, inner, depth + 1, tell));
    }
    if let Some(posts) = post.media.filter(|media| depth < MAX_DEPTH && are_posts(media)) {
        return read_within(kind, at, posts, depth + 1, tell);
    }
    let labels = post.label_values.map(labels::read).unwrap_or_default();
    let mut found = Found { caption: labels.caption, ..Found::default() };
    match (post.media, post.uri) {
        (None, Some(_)) => found.add(entry, 0),
        (media, _) => media.into_iter().for_each(|media| found.add(media, 0)),
    }
    if found.media.is_empty() {
        labels.media.iter().for_each(|media| found.add(media, 0));
    }
    post_of(kind, at, &post, found, tell);
}

/// Tells the pictures of a post.
fn post_of(kind: Kind, at: At<'_>, post: &Post<'_>, found: Found<'_>, tell: &mut impl FnMut(Told)) {
    let time = moment::of_json(post.creation_timestamp).or_else(|| moment::of_json(post.timestamp));
    let mut text = |title| {
        text(title).unwrap_or_else(|why| {
            tell(Told::odd(at, why));
            None
        })
    };
    let title = text(post.title).or_else(|| found.caption.clone());
    let several = found.media.len() > 1;
    let own: Vec<Option<Arc<str>>> = found
        .media
        .iter()
        .map(|medium| match medium {
            // A medium by itself is the post, whose title has been read.
            Ok(medium) if post.media.is_some() || post.uri.is_none() => text(medium.title),
            _ => None,
        })
        .collect();
    let mut first: Option<(Arc<str>, Option<Arc<str>>)> = None;
    for (i, (medium, own)) in found.media.into_iter().zip(own).enumerate() {
        let medium = match medium {
            Ok(medium) => medium,
            Err(why) if several => {
                tell(Told::odd(at, Odd::Medium(i, why.into())));
                continue;
            }
            Err(why) => return tell(Told::odd(at, why)),
        };
        let Some(uri) = medium.uri.as_deref().filter(|uri| !uri.is_empty()) else { continue };
        let uri: Arc<str> = restored(uri).into();
        let taken_at = moment::of_json(medium.creation_timestamp).or_else(|| moment::of_json(medium.timestamp));
        let (post, of_first) = first.get_or_insert_with(|| (uri.clone(), own.clone()));
        let known = Known {
            kind: Some(kind),
            taken_at: if several { time.or(taken_at) } else { taken_at.or(time) }
                .map(|time| Taken::utc(Witness::Index, time)),
            caption: own.or_else(|| title.clone()).or_else(|| of_first.clone()),
            post: Some(Membership { post: post.clone(), index: several.then_some(i as u32) }),
            uri: Some(uri.clone()),
            ..Known::default()
        };
        let still = medium.thumbnail.and_then(|raw| serde_json::from_str::<Still>(raw.get()).ok());
        if let Some(still) = still.filter(|still| !still.uri.is_empty()) {
            let uri: Arc<str> = restored(&still.uri).into();
            tell(Told::Picture { known: Known { uri: Some(uri.clone()), ..known.clone() }, uri });
        }
        tell(Told::Picture { uri, known });
    }
}

/// The media of a post, or what is wrong with them, in their order.
#[derive(Default)]
struct Found<'a> {
    /// What the labels say of them.
    caption: Option<Arc<str>>,
    media: Vec<Result<Medium<'a>, Odd>>,
}

impl<'a> Found<'a> {
    /// Adds what `raw` is: media, one medium, or objects with any of these in them.
    fn add(&mut self, raw: &'a RawValue, depth: usize) {
        if self.media.len() >= MAX_MEDIA || raw.get() == "null" {
            return;
        }
        if raw.get().starts_with('[') && depth < MAX_DEPTH {
            match lists::parse::<Vec<&RawValue>>(raw) {
                Ok(media) => {
                    let media = media.into_iter().filter(|medium| depth == 0 || holds(medium));
                    media.for_each(|medium| self.add(medium, depth + 1));
                }
                Err(why) => self.media.push(Err(why)),
            }
            return;
        }
        match lists::parse::<Medium<'_>>(raw) {
            Ok(medium) if medium.uri.is_none() && depth < MAX_DEPTH => {
                wrapped(raw).for_each(|inner| self.add(inner, depth + 1));
            }
            medium => self.media.push(medium),
        }
    }
}

/// Whether a list called `media` is one of posts.
fn are_posts(media: &RawValue) -> bool {
    let is_post = |raw: &&RawValue| {
        lists::parse::<Post<'_>>(raw).is_ok_and(|post| post.media.or(post.label_values).is_some() && post.uri.is_none())
    };
    media.get().starts_with('[') && lists::parse::<Vec<&RawValue>>(media).is_ok_and(|all| all.iter().any(is_post))
}

/// The objects and lists that are the values of an object.
fn wrapped(object: &RawValue) -> impl Iterator<Item = &RawValue> {
    /// What Meta says of a picture besides, and holds no picture of its own.
    const BESIDE: [&str; 2] = ["media_metadata", "cross_post_source"];
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = lists::parse(object).unwrap_or_default();
    fields.into_iter().filter(|(name, value)| !BESIDE.contains(&&**name) && holds(value)).map(|(_, value)| value)
}

/// Whether a value may hold others.
fn holds(value: &RawValue) -> bool {
    value.get().starts_with(['{', '['])
}

/// The title that a value is; none if it is empty.
fn text(title: Option<&RawValue>) -> Result<Option<Arc<str>>, Odd> {
    Ok(title.map(lists::parse::<Option<String>>).transpose()?.flatten().and_then(|title| caption(&restored(&title))))
}
