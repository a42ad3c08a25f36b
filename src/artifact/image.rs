//! The id of a picture.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use crate::store::Digest;

/// The id of a picture in every table: blake3 of the bytes of its file as 64 hexadecimal digits. In an `--input` table
/// an id can be any text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(Arc<str>);

impl ImageId {
    /// The id of the picture with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::of(bytes).to_string().into())
    }

    /// The id of the picture with this blake3.
    pub fn of_digest(digest: Digest) -> Self {
        Self(digest.to_string().into())
    }

    /// The blake3, unless the id comes from an `--input` table and is another text.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_hex(self)
    }
}

impl Deref for ImageId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ImageId {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for ImageId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl FromStr for ImageId {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.into())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
