//! Replaces `bucket.rs` in a program that is built without the feature `s3`.

use std::io;

use super::Object;

/// A type without values.
#[derive(Clone, Debug)]
pub enum Bucket {}

impl std::fmt::Display for Bucket {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl Bucket {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Err(format!("cannot use s3://{text}: this program was built without the feature s3"))
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

    /// An error for `s3://bucket/prefix`; `None` for another text.
    ///
    /// # Errors
    /// Always for `s3://…`.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        text.strip_prefix("s3://").map(Self::new)
    }

    /// Unreachable, as there are no values.
    ///
    /// # Errors
    /// Never.
    pub fn objects<E: From<io::Error>>(&self, _: impl FnMut(Vec<Object>) -> Result<(), E>) -> Result<(), E> {
        match *self {}
    }

    /// Unreachable, as there are no values.
    ///
    /// # Errors
    /// Never.
    pub fn find(&self, _: &str) -> io::Result<Option<Object>> {
        match *self {}
    }

    /// Unreachable, as there are no values.
    ///
    /// # Errors
    /// Never.
    pub fn check(&self) -> io::Result<()> {
        match *self {}
    }

    /// Unreachable, as there are no values.
    ///
    /// # Errors
    /// Never.
    pub fn open(&self, _: &str, _: u64, _: u64) -> io::Result<io::Empty> {
        match *self {}
    }
}
