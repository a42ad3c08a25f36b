//! In the place of buckets, where the program is built without them.

use std::io;

use super::Object;

/// There is none.
#[derive(Clone, Debug)]
pub enum Bucket {}

impl std::fmt::Display for Bucket {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl Bucket {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Err(format!("s3://{text} is in a bucket, and this program was built without the feature s3"))
    }

    pub(super) fn names(&self, _: &str) -> io::Result<Vec<String>> {
        match *self {}
    }

    pub(super) fn read(&self, _: &str, _: &str, _: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        match *self {}
    }

    pub(super) fn publish(&self, _: &str, _: &str, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    /// The place that is written `s3://bucket/prefix`, which this program does not know.
    ///
    /// # Errors
    /// Always, where it is one.
    pub fn at(text: &str) -> Option<Result<Self, String>> {
        text.strip_prefix("s3://").map(Self::new)
    }

    /// Hands on its objects.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn objects<E: From<io::Error>>(&self, _: impl FnMut(Vec<Object>) -> Result<(), E>) -> Result<(), E> {
        match *self {}
    }

    /// The object of this name.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn find(&self, _: &str) -> io::Result<Option<Object>> {
        match *self {}
    }

    /// Makes sure that it can be asked.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn check(&self) -> io::Result<()> {
        match *self {}
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn open(&self, _: &str, _: u64, _: u64) -> io::Result<io::Empty> {
        match *self {}
    }
}
