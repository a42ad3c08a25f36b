//! The metadata that a source has of a picture, and how metadata from several sources is combined.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::artifact::CaptureDate;
use crate::config::PictureKind;

/// Captions are truncated to this many bytes.
const MAX_CAPTION_BYTES: usize = 64 << 10;

/// The metadata of a picture; any part may be missing. Texts are shared, because one address can match many files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind on the site that it comes from.
    pub kind: Option<PictureKind>,
    /// When it was taken or posted, and where that date comes from.
    pub taken_at: Option<CaptureDate>,
    /// The text that its owner wrote; never empty.
    pub caption: Option<Arc<str>>,
    /// The post it belongs to.
    pub post: Option<Membership>,
    /// The address that an index gives it.
    pub uri: Option<Arc<str>>,
    /// The other columns of a table, in their order. A column may have several values.
    pub fields: Vec<Field>,
}

/// The metadata of an input. It is boxed because most inputs have none.
#[derive(Clone, Debug, Default)]
pub struct BoxedMetadata(Option<Box<Metadata>>);

impl Deref for BoxedMetadata {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        static EMPTY: Metadata =
            Metadata { kind: None, taken_at: None, caption: None, post: None, uri: None, fields: Vec::new() };
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for BoxedMetadata {
    fn deref_mut(&mut self) -> &mut Metadata {
        self.0.get_or_insert_default()
    }
}

impl From<Metadata> for BoxedMetadata {
    fn from(metadata: Metadata) -> Self {
        Self((metadata != Metadata::default()).then(|| Box::new(metadata)))
    }
}

/// The name of a table's column, and a value of it.
pub type Field = (Arc<str>, Arc<str>);

/// A picture's position in a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// A name for the post, such as the address of its first picture.
    pub post: Arc<str>,
    /// The picture's position in it, from 0; `None` if that is unknown or it is the only one.
    pub index: Option<u32>,
}

impl Metadata {
    /// Adds what `other` has and `self` lacks. The date is also replaced if that of `other` has a more trusted origin.
    pub fn fill(&mut self, other: &Self) {
        self.kind = self.kind.or(other.kind);
        self.taken_at = CaptureDate::most_trusted(self.taken_at, other.taken_at);
        self.caption = self.caption.take().or_else(|| other.caption.clone());
        self.post = self.post.take().or_else(|| other.post.clone());
        self.uri = self.uri.take().or_else(|| other.uri.clone());
        let own_count = self.fields.len();
        for field in &other.fields {
            if self.fields[..own_count].iter().all(|(name, _)| *name != field.0) {
                self.fields.push(field.clone());
            }
        }
    }
}

/// A caption as it is stored: `None` if empty, and truncated to 64 KiB.
pub(super) fn caption(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text[..text.floor_char_boundary(MAX_CAPTION_BYTES)].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cut_between_characters() {
        assert_eq!(caption(""), None);
        let long = caption(&("ü".repeat(40_000) + "x")).unwrap();
        assert_eq!(long.len(), MAX_CAPTION_BYTES);
        let shifted = caption(&("x".to_owned() + &"ü".repeat(40_000))).unwrap();
        assert_eq!(shifted.len(), MAX_CAPTION_BYTES - 1);
    }
}
