//! The objects of a bucket as inputs (`s3://bucket/prefix`), listed like the files of a folder and read in place. The
//! ETag of an object tells whether its bytes have changed since they were last read.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::entry::{Entry, Location, Stamp};
use super::folder::{is_hidden_name, readable};
use super::{Bounds, Listing};
use crate::error::Exit;
use crate::store::{Bucket, Digest, Object};

/// The bucket that a source names, if any.
///
/// # Errors
/// [`Exit::Usage`] when the bucket has no name, or this program was built without support for buckets.
pub(super) fn bucket(source: &Path) -> Result<Option<Arc<Bucket>>, Exit> {
    let bucket = source.to_str().and_then(Bucket::parse).transpose();
    bucket.map(|bucket| bucket.map(Arc::new)).map_err(Exit::Usage)
}

/// Whether a source is an address in a bucket, which starts with `s3://`.
pub fn is_bucket(source: &Path) -> bool {
    source.to_str().is_some_and(|text| text.starts_with("s3://"))
}

/// Refuses an address in a bucket when the network must not be used.
///
/// # Errors
/// [`Exit::NotFound`] when `offline` is set and `location` is an address in a bucket.
pub fn refuse_offline(offline: bool, location: &Path) -> Result<(), Exit> {
    match offline && is_bucket(location) {
        true => {
            Err(Exit::NotFound(format!("{} is in a bucket, which cannot be used with --offline", location.display())))
        }
        false => Ok(()),
    }
}

/// Adds the objects under the prefix, except those with hidden names, sorted like the same files in a folder.
///
/// # Errors
/// When the bucket cannot be listed or has no objects there, the limits in `bounds` are exceeded, or the user
/// interrupts.
pub(super) fn list(bucket: &Arc<Bucket>, name: &Arc<str>, bounds: &Bounds<'_>, listing: &mut Listing) -> Result<()> {
    let mut objects: Vec<Object> = Vec::new();
    bucket.objects(|page| {
        objects.extend(page.into_iter().filter(|object| !object.name.split('/').any(is_hidden_name)));
        bounds.check(listing.len() + objects.len())
    })?;
    if objects.is_empty() {
        bail!(Exit::NotFound(format!("there are no objects under {bucket}/")));
    }
    objects.sort_by(|a, b| Path::new(&a.name).cmp(Path::new(&b.name)));
    listing.entries.extend(objects.into_iter().map(|Object { name: key, size, tag }| {
        let path = readable(key.as_bytes());
        let key = (key != path).then(|| key.into());
        let location = Location::Object { bucket: bucket.clone(), key, size };
        Entry::plain(path, name.clone(), location, tag.map(|tag| stamp(size, &tag)))
    }));
    Ok(())
}

/// The stamp of an object: its size and a hash of its tag, which changes with its bytes. No times are needed.
fn stamp(size: u64, tag: &str) -> Stamp {
    let first_eight_bytes =
        |bytes: &[u8; 32]| bytes.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte));
    Stamp { size, modified_ns: 0, changed_ns: 0, inode: first_eight_bytes(Digest::of(tag.as_bytes()).as_bytes()) }
}
