//! What a source says of a picture beside its pixels, and how two sources' words are put together.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::artifact::Taken;
use crate::config::Kind;

/// Longer captions are cut here.
const MAX_CAPTION_BYTES: usize = 64 << 10;

/// What is known of a picture; any of it may be missing. Texts are shared: an address may fit many files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What it was to the site it comes from.
    pub kind: Option<Kind>,
    /// When it was taken or posted, and which of its files says so.
    pub taken_at: Option<Taken>,
    /// What its owner wrote; never empty.
    pub caption: Option<Arc<str>>,
    /// The post it belongs to.
    pub post: Option<Membership>,
    /// The address that an index gives it.
    pub uri: Option<Arc<str>>,
    /// What else a table says of it, in the order of its columns; a column may have several values.
    pub fields: Vec<Field>,
}

/// What is known of an input. Of most it is nothing, and that takes no room.
#[derive(Clone, Debug, Default)]
pub struct Said(Option<Box<Known>>);

impl Deref for Said {
    type Target = Known;

    fn deref(&self) -> &Known {
        static NOTHING: Known =
            Known { kind: None, taken_at: None, caption: None, post: None, uri: None, fields: Vec::new() };
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Said {
    fn deref_mut(&mut self) -> &mut Known {
        self.0.get_or_insert_default()
    }
}

impl From<Known> for Said {
    fn from(known: Known) -> Self {
        Self((known != Known::default()).then(|| Box::new(known)))
    }
}

/// The name of a table's column, and a value in it.
pub type Field = (Arc<str>, Arc<str>);

/// A picture's place in a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The post's name: the address of its first picture.
    pub post: Arc<str>,
    /// The picture's number in it, from 0; none if it is the only one.
    pub index: Option<u32>,
}

impl Known {
    /// Takes over what `other` knows and this does not; and its date, if it has it from someone more trusted.
    pub fn fill(&mut self, other: &Self) {
        self.kind = self.kind.or(other.kind);
        self.taken_at = Taken::best(self.taken_at, other.taken_at);
        self.caption = self.caption.take().or_else(|| other.caption.clone());
        self.post = self.post.take().or_else(|| other.post.clone());
        self.uri = self.uri.take().or_else(|| other.uri.clone());
        let mine = self.fields.len();
        for field in &other.fields {
            if self.fields[..mine].iter().all(|(name, _)| *name != field.0) {
                self.fields.push(field.clone());
            }
        }
    }
}

/// A caption as it is kept: none if empty, cut at 64 KiB.
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
        let odd = caption(&("x".to_owned() + &"ü".repeat(40_000))).unwrap();
        assert_eq!(odd.len(), MAX_CAPTION_BYTES - 1);
    }
}
