//! Entries of the indexes of G2 and later: a post with a list of media, or one medium by itself.
//!
//! The caption and time of a single picture are on the picture, those of a carousel on the post;
//! the order of the media is the carousel's. In G5 the post's own facts are [`super::labels`].

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Odd;
use super::super::known::{Known, Membership, caption};
use super::super::lists::{self, At};
use super::mojibake::restored;
use super::{Told, labels};
use crate::artifact::{Taken, Time, Witness};
use crate::config::Kind;

#[derive(Deserialize)]
#[serde(expecting = "a post with its media")]
struct Post<'a> {
    #[serde(borrow)]
    media: Option<Vec<&'a RawValue>>,
    title: Option<String>,
    creation_timestamp: Option<i64>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    label_values: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a picture with its uri")]
struct Medium<'a> {
    uri: String,
    title: Option<String>,
    creation_timestamp: Option<i64>,
    /// A film's still picture; not every export has one.
    #[serde(borrow, alias = "cover")]
    thumbnail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Still {
    uri: String,
}

/// What one entry says of its pictures.
pub(super) fn read(kind: Kind, at: At<'_>, entry: &RawValue, tell: &mut impl FnMut(Told)) {
    let post: Post<'_> = match lists::parse(entry) {
        Ok(post) => post,
        Err(why) => return tell(Told::odd(at, why)),
    };
    let labels = post.label_values.as_deref().map(labels::read);
    let media = match (post.media, &labels) {
        (Some(media), _) if !media.is_empty() => media,
        (_, Some(labels)) => labels.media.clone(),
        (Some(none), None) => none,
        (None, None) => vec![entry],
    };
    let time = match post.creation_timestamp.or(post.timestamp).map(Time::of_seconds).transpose() {
        Ok(time) => time,
        Err(why) => return tell(Told::odd(at, why)),
    };
    let text = post.title.and_then(|title| caption(&restored(&title)));
    let text = text.or(labels.and_then(|labels| labels.caption));
    let several = media.len() > 1;
    let mut first: Option<(Arc<str>, Option<Arc<str>>)> = None;
    for (i, raw) in media.into_iter().enumerate() {
        let (medium, taken_at) = match medium(raw) {
            Ok(medium) => medium,
            Err(why) if several => {
                tell(Told::odd(at, Odd::Medium(i, why.into())));
                continue;
            }
            Err(why) => return tell(Told::odd(at, why)),
        };
        let uri: Arc<str> = restored(&medium.uri).into();
        let own = medium.title.and_then(|title| caption(&restored(&title)));
        let (post, of_first) = first.get_or_insert_with(|| (uri.clone(), own.clone()));
        let known = Known {
            kind: Some(kind),
            taken_at: if several { time.or(taken_at) } else { taken_at.or(time) }
                .map(|time| Taken::utc(Witness::Index, time)),
            caption: own.or_else(|| text.clone()).or_else(|| of_first.clone()),
            post: Some(Membership { post: post.clone(), index: several.then_some(i as u32) }),
            uri: Some(uri.clone()),
            ..Known::default()
        };
        let still = medium.thumbnail.and_then(|raw| serde_json::from_str::<Still>(raw.get()).ok());
        if let Some(still) = still {
            let uri: Arc<str> = restored(&still.uri).into();
            tell(Told::Picture { known: Known { uri: Some(uri.clone()), ..known.clone() }, uri });
        }
        tell(Told::Picture { uri, known });
    }
}

fn medium(raw: &RawValue) -> Result<(Medium<'_>, Option<Time>), Odd> {
    let medium: Medium<'_> = lists::parse(raw)?;
    if medium.uri.is_empty() {
        return Err(Odd::Nameless("file"));
    }
    let time = medium.creation_timestamp.map(Time::of_seconds).transpose()?;
    Ok((medium, time))
}
