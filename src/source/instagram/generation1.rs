//! Entries of G1's `media.json`: it has a list for each kind, and a file in each entry.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::json_lists::{self, EntryPosition};
use super::super::metadata::{Membership, Metadata, caption};
use super::super::{MetadataError, timestamp};
use super::mojibake::repair_mojibake;
use super::{IndexItem, export_layout};
use crate::artifact::{CaptureDate, DateProvider};

#[derive(Deserialize)]
#[serde(expecting = "a picture with its path")]
struct File<'a> {
    path: String,
    caption: Option<String>,
    #[serde(borrow)]
    taken_at: Option<&'a RawValue>,
}

/// Emits the picture of one entry. Lists without pictures of the account (such as those sent in messages) are ignored.
pub(super) fn read(position: EntryPosition<'_>, entry: &RawValue, emit: &mut impl FnMut(IndexItem)) {
    let Some(kind) = export_layout::g1_list_kind(position.list) else { return };
    let file = json_lists::parse::<File<'_>>(entry);
    let file =
        file.and_then(|file| if file.path.is_empty() { Err(MetadataError::MissingName("file")) } else { Ok(file) });
    match file {
        Err(why) => emit(IndexItem::invalid(position, why)),
        Ok(file) => {
            let uri: Arc<str> = repair_mojibake(&file.path).into();
            let metadata = Metadata {
                kind: Some(kind),
                taken_at: timestamp::of_json(file.taken_at).map(|time| CaptureDate::utc(DateProvider::Index, time)),
                caption: file.caption.and_then(|text| caption(&repair_mojibake(&text))),
                post: Some(Membership { post: uri.clone(), index: None }),
                uri: Some(uri.clone()),
                ..Metadata::default()
            };
            emit(IndexItem::Medium { uri, metadata });
        }
    }
}
