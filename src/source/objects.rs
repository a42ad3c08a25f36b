//! The objects of a bucket as inputs, `s3://bucket/prefix`: listed as the files of a folder are, and read in place. What the
//! server calls the bytes of an object (its ETag) says whether they are those that were read before.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::entry::{Entry, Place, Stamp};
use super::folder::{is_hidden_name, readable};
use super::{Bounds, Listing};
use crate::error::Halt;
use crate::store::{Bucket, Digest, Object};

/// The bucket that a source is, if it is one.
///
/// # Errors
/// [`Halt::Usage`] when it has no name, or the program knows none.
pub(super) fn bucket(source: &Path) -> Result<Option<Arc<Bucket>>, Halt> {
    let bucket = source.to_str().and_then(Bucket::at).transpose();
    bucket.map(|bucket| bucket.map(Arc::new)).map_err(Halt::Usage)
}

/// Whether a source is written as a place in a bucket.
pub fn is_bucket(source: &Path) -> bool {
    source.to_str().is_some_and(|text| text.starts_with("s3://"))
}

/// Adds what is under the prefix, but hidden names, in the order in which a folder of the same would be.
///
/// # Errors
/// When the bucket cannot be listed or has nothing there, there is more than `bounds` allow, or the user interrupts.
pub(super) fn list(bucket: &Arc<Bucket>, name: &Arc<str>, bounds: &Bounds<'_>, listing: &mut Listing) -> Result<()> {
    let mut objects: Vec<Object> = Vec::new();
    bucket.objects(|page| {
        objects.extend(page.into_iter().filter(|object| !object.name.split('/').any(is_hidden_name)));
        bounds.check(listing.len() + objects.len())
    })?;
    if objects.is_empty() {
        bail!(Halt::NotFound(format!("there is nothing under {bucket}/")));
    }
    objects.sort_by(|a, b| Path::new(&a.name).cmp(Path::new(&b.name)));
    listing.entries.extend(objects.into_iter().map(|Object { name: key, size, tag }| {
        let path = readable(key.as_bytes());
        let key = (key != path).then(|| key.into());
        let place = Place::Object { bucket: bucket.clone(), key, size };
        Entry::plain(path, name.clone(), place, tag.map(|tag| stamp(size, &tag)))
    }));
    Ok(())
}

/// The stamp of an object: its tag changes with its bytes, and no clock has a say.
fn stamp(size: u64, tag: &str) -> Stamp {
    let number = |bytes: &[u8; 32]| bytes.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte));
    Stamp { size, modified_ns: 0, changed_ns: 0, inode: number(Digest::of(tag.as_bytes()).as_bytes()) }
}
