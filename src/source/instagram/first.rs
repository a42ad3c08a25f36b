//! Entries of G1's `media.json`: a list for each kind, a file in each entry.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::known::{Known, Membership, caption};
use super::super::lists::{self, At};
use super::super::{Odd, moment};
use super::mojibake::restored;
use super::{Told, layout};
use crate::artifact::{Taken, Witness};

#[derive(Deserialize)]
#[serde(expecting = "a picture with its path")]
struct File<'a> {
    path: String,
    caption: Option<String>,
    #[serde(borrow)]
    taken_at: Option<&'a RawValue>,
}

/// What one entry says of its picture. Lists that hold no pictures of the account (those sent in
/// messages, say) are passed over.
pub(super) fn read(at: At<'_>, entry: &RawValue, tell: &mut impl FnMut(Told)) {
    let Some(kind) = layout::first_list(at.list) else { return };
    let read = lists::parse::<File<'_>>(entry);
    let read = read.and_then(|file| if file.path.is_empty() { Err(Odd::Nameless("file")) } else { Ok(file) });
    match read {
        Err(why) => tell(Told::odd(at, why)),
        Ok(file) => {
            let uri: Arc<str> = restored(&file.path).into();
            let known = Known {
                kind: Some(kind),
                taken_at: moment::of_json(file.taken_at).map(|time| Taken::utc(Witness::Index, time)),
                caption: file.caption.and_then(|text| caption(&restored(&text))),
                post: Some(Membership { post: uri.clone(), index: None }),
                uri: Some(uri.clone()),
                ..Known::default()
            };
            tell(Told::Picture { uri, known });
        }
    }
}
