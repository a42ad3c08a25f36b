//! Entries of the indexes of G2 and later: a post with a list of media, or a single medium.
//!
//! The caption and time of a single picture are stored with the picture, those of a carousel with the post. The order
//! of the media is that of the carousel. In G5 the metadata of a post is in labels ([`super::labels`]). Meta sometimes
//! wraps a part in objects with other names, or writes a single value instead of a list. Both are read as well.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::json_lists::{self, EntryPosition};
use super::super::metadata::{Membership, Metadata, caption};
use super::super::{MetadataError, timestamp};
use super::mojibake::repair_mojibake;
use super::{IndexItem, labels};
use crate::artifact::{CaptureDate, DateProvider};
use crate::config::PictureKind;

/// An object with any of these fields is an entry, also in place of a list of entries.
pub(super) const FIELDS: [&str; 8] =
    ["media", "label_values", "uri", "title", "creation_timestamp", "timestamp", "thumbnail", "cover"];
/// Media are searched for in objects that are nested at most this deep.
const MAX_DEPTH: usize = 8;
/// At most this many media of a post are read. No real post has more.
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
    /// The still of a video. Not every export has one.
    #[serde(borrow, alias = "cover")]
    thumbnail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Still {
    uri: String,
}

/// Emits the pictures of one entry. A post without pictures is valid, and emits nothing.
pub(super) fn read(kind: PictureKind, position: EntryPosition<'_>, entry: &RawValue, emit: &mut impl FnMut(IndexItem)) {
    read_within(kind, position, entry, 0, emit);
}

fn read_within(
    kind: PictureKind,
    position: EntryPosition<'_>,
    entry: &RawValue,
    depth: usize,
    emit: &mut impl FnMut(IndexItem),
) {
    if entry.get().starts_with('[') && depth < MAX_DEPTH {
        let entries = json_lists::parse::<Vec<&RawValue>>(entry).unwrap_or_default();
        // Inside an entry, a list of texts is not a list of media.
        let entries = entries.into_iter().filter(|entry| depth == 0 || is_nested(entry));
        return entries.for_each(|entry| read_within(kind, position, entry, depth + 1, emit));
    }
    let post: Post<'_> = match json_lists::parse(entry) {
        _ if entry.get() == "null" => return,
        Ok(post) => post,
        Err(why) => return emit(IndexItem::invalid(position, why)),
    };
    if post.media.is_none() && post.label_values.is_none() && post.uri.is_none() && depth < MAX_DEPTH {
        return nested_values(entry).for_each(|inner| read_within(kind, position, inner, depth + 1, emit));
    }
    if let Some(posts) = post.media.filter(|media| depth < MAX_DEPTH && are_posts(media)) {
        return read_within(kind, position, posts, depth + 1, emit);
    }
    let labels = post.label_values.map(labels::read).unwrap_or_default();
    let mut found = PostMedia { caption: labels.caption, ..PostMedia::default() };
    match (post.media, post.uri) {
        (None, Some(_)) => found.add(entry, 0),
        (media, _) => media.into_iter().for_each(|media| found.add(media, 0)),
    }
    if found.media.is_empty() {
        labels.media.iter().for_each(|media| found.add(media, 0));
    }
    emit_post(kind, position, &post, found, emit);
}

/// Emits the pictures of a post.
fn emit_post(
    kind: PictureKind,
    position: EntryPosition<'_>,
    post: &Post<'_>,
    found: PostMedia<'_>,
    emit: &mut impl FnMut(IndexItem),
) {
    let time = timestamp::of_json(post.creation_timestamp).or_else(|| timestamp::of_json(post.timestamp));
    let mut text = |title| {
        text(title).unwrap_or_else(|why| {
            emit(IndexItem::invalid(position, why));
            None
        })
    };
    let title = text(post.title).or_else(|| found.caption.clone());
    let several = found.media.len() > 1;
    let own_titles: Vec<Option<Arc<str>>> = found
        .media
        .iter()
        .map(|medium| match medium {
            // A single medium is the post itself, and its title has already been read.
            Ok(medium) if post.media.is_some() || post.uri.is_none() => text(medium.title),
            _ => None,
        })
        .collect();
    let mut first: Option<(Arc<str>, Option<Arc<str>>)> = None;
    for (i, (medium, own_title)) in found.media.into_iter().zip(own_titles).enumerate() {
        let medium = match medium {
            Ok(medium) => medium,
            Err(why) if several => {
                emit(IndexItem::invalid(position, MetadataError::Medium(i, why.into())));
                continue;
            }
            Err(why) => return emit(IndexItem::invalid(position, why)),
        };
        let Some(uri) = medium.uri.as_deref().filter(|uri| !uri.is_empty()) else { continue };
        let uri: Arc<str> = repair_mojibake(uri).into();
        let taken_at = timestamp::of_json(medium.creation_timestamp).or_else(|| timestamp::of_json(medium.timestamp));
        let (post, first_title) = first.get_or_insert_with(|| (uri.clone(), own_title.clone()));
        let metadata = Metadata {
            kind: Some(kind),
            // The time of a carousel is that of the post. The time of a single picture is its own.
            taken_at: if several { time.or(taken_at) } else { taken_at.or(time) }
                .map(|time| CaptureDate::utc(DateProvider::Index, time)),
            // Without a title of its own or of the post, a picture of a carousel gets the title of the first.
            caption: own_title.or_else(|| title.clone()).or_else(|| first_title.clone()),
            post: Some(Membership { post: post.clone(), index: several.then_some(i as u32) }),
            uri: Some(uri.clone()),
            ..Metadata::default()
        };
        let still = medium.thumbnail.and_then(|raw| serde_json::from_str::<Still>(raw.get()).ok());
        if let Some(still) = still.filter(|still| !still.uri.is_empty()) {
            let uri: Arc<str> = repair_mojibake(&still.uri).into();
            emit(IndexItem::Medium { metadata: Metadata { uri: Some(uri.clone()), ..metadata.clone() }, uri });
        }
        emit(IndexItem::Medium { uri, metadata });
    }
}

/// The media of a post in their order, or what is wrong with them.
#[derive(Default)]
struct PostMedia<'a> {
    /// Their caption, from the labels.
    caption: Option<Arc<str>>,
    media: Vec<Result<Medium<'a>, MetadataError>>,
}

impl<'a> PostMedia<'a> {
    /// Adds the media in `raw`: a list of media, a single medium, or objects that contain either.
    fn add(&mut self, raw: &'a RawValue, depth: usize) {
        if self.media.len() >= MAX_MEDIA || raw.get() == "null" {
            return;
        }
        if raw.get().starts_with('[') && depth < MAX_DEPTH {
            match json_lists::parse::<Vec<&RawValue>>(raw) {
                Ok(media) => {
                    let media = media.into_iter().filter(|medium| depth == 0 || is_nested(medium));
                    media.for_each(|medium| self.add(medium, depth + 1));
                }
                Err(why) => self.media.push(Err(why)),
            }
            return;
        }
        match json_lists::parse::<Medium<'_>>(raw) {
            Ok(medium) if medium.uri.is_none() && depth < MAX_DEPTH => {
                nested_values(raw).for_each(|inner| self.add(inner, depth + 1));
            }
            medium => self.media.push(medium),
        }
    }
}

/// Whether a list called `media` is a list of posts.
fn are_posts(media: &RawValue) -> bool {
    let is_post = |raw: &&RawValue| {
        json_lists::parse::<Post<'_>>(raw)
            .is_ok_and(|post| post.media.or(post.label_values).is_some() && post.uri.is_none())
    };
    media.get().starts_with('[')
        && json_lists::parse::<Vec<&RawValue>>(media).is_ok_and(|entries| entries.iter().any(is_post))
}

/// The objects and lists among the values of an object.
fn nested_values(object: &RawValue) -> impl Iterator<Item = &RawValue> {
    /// Fields that describe a picture and contain no other picture.
    const DESCRIPTIONS: [&str; 2] = ["media_metadata", "cross_post_source"];
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = json_lists::parse(object).unwrap_or_default();
    fields
        .into_iter()
        .filter(|(name, value)| !DESCRIPTIONS.contains(&&**name) && is_nested(value))
        .map(|(_, value)| value)
}

/// Whether a value is an object or a list.
fn is_nested(value: &RawValue) -> bool {
    value.get().starts_with(['{', '['])
}

/// The title in a value; `None` if it is empty.
fn text(title: Option<&RawValue>) -> Result<Option<Arc<str>>, MetadataError> {
    Ok(title
        .map(json_lists::parse::<Option<String>>)
        .transpose()?
        .flatten()
        .and_then(|title| caption(&repair_mojibake(&title))))
}
