//! `source.films`: selects the videos that are read as stills, and reads them. Only the moov box and one frame of a
//! video are needed for that, but its identity is the digest of the whole file.

use std::collections::BTreeMap;
use std::io::Read;

use super::entry::{Content, Rejection};
use super::path_index::{Stem, stem, to_nfc};
use super::{Entry, Listing};
use crate::artifact::SkipReason;
use crate::config::{SourceSettings, VideoPolicy};
use crate::photo::{Budget, Format, MAX_MOOV_BYTES, Still};
use crate::store::Digest;

/// Suffixes of the videos that can be read.
const SUFFIXES: [&str; 4] = ["mp4", "mov", "m4v", "mp"];
/// Formats of the pictures that phones write together with a short video.
const PICTURE_FORMATS: [Format; 2] = [Format::Heic, Format::Jpeg];

/// Marks the videos that are to be read according to the settings. A video that belongs to a picture is represented by
/// it.
pub(super) fn apply(settings: &SourceSettings, listing: &mut Listing) {
    if settings.films == VideoPolicy::Skip || !cfg!(feature = "films") {
        return;
    }
    let pictures = pictures(&listing.entries);
    let mut paired_count = 0;
    for entry in &mut listing.entries {
        let is_posted = entry.metadata.kind.is_some();
        if !SUFFIXES.contains(&&*entry.suffix()) || entry.still.is_some() {
            continue;
        }
        // A site stores videos and pictures separately, so a posted video belongs to no picture, even of the same name.
        let picture =
            if is_posted { None } else { pictures.get(&stem(entry)).or_else(|| pictures.get(&full_path(entry))) };
        paired_count += usize::from(picture.is_some());
        entry.still = picture.cloned();
        entry.is_video = entry.still.is_none() && (is_posted || settings.films == VideoPolicy::Still);
    }
    let (videos, belong) = if paired_count == 1 { ("video", "belongs") } else { ("videos", "belong") };
    listing.notes.extend((paired_count > 0 && settings.films == VideoPolicy::Still).then(|| {
        format!(
            "{paired_count} {videos} {belong} to a picture of the same name (a Live Photo or motion photo), which represents it"
        )
    }));
}

/// In a motion photo of Google's camera, the video `PXL_1.MP` belongs to `PXL_1.MP.jpg`.
fn full_path(entry: &Entry) -> Stem {
    (entry.source.clone(), to_nfc(&entry.path).into_owned())
}

/// The pictures that a video may belong to, by their stems.
fn pictures(entries: &[Entry]) -> BTreeMap<Stem, String> {
    let videos: std::collections::BTreeSet<Stem> = entries
        .iter()
        .filter(|entry| SUFFIXES.contains(&&*entry.suffix()))
        .flat_map(|entry| [stem(entry), full_path(entry)])
        .collect();
    let is_picture =
        |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some_and(|format| PICTURE_FORMATS.contains(&format));
    let partners = entries.iter().filter(is_picture).filter(|entry| videos.contains(&stem(entry)));
    partners.map(|entry| (stem(entry), entry.path.clone())).collect()
}

/// At most this many boxes of a video are searched for its moov box.
const MAX_BOXES: usize = 64;

/// Reads the frame of a video that represents it, and hashes the whole file.
pub(super) fn read<'a>(video: &Entry, budget: &'a Budget) -> Result<Content<'a>, Rejection> {
    let still = still(video)?;
    let digest_and_size = video.open(|stream, size| match size <= budget.max_file {
        true => Digest::of_stream(stream).map(|digest| (digest, size)).map_err(Rejection::of_io),
        false => {
            let (size, limit) = (size >> 20, budget.max_file >> 20);
            Err(no_still(&format!("of {size} MB; the limit is {limit} MB (limits.max_file)")))
        }
    });
    let digest_and_size = digest_and_size.map_err(Rejection::of_io)??;
    let (offset, length) = (still.byte_range.start, still.byte_range.end - still.byte_range.start);
    // The frame is in memory twice: as it is read, and as it is packed.
    let permit = budget.files.reserve(2 * length).ok_or_else(|| no_still("its frame is too large"))?;
    let frame = read_range(video, offset, length)?;
    match frame.len() as u64 == length {
        true => Ok(Content { bytes: still.packed(&frame), video: Some(digest_and_size), _permit: permit }),
        false => Err(no_still("it is truncated")),
    }
}

/// The rejection of a video.
fn no_still(why: &str) -> Rejection {
    Rejection::new(SkipReason::Video, format!("a video ({why})"))
}

/// Reads up to `length` bytes from `offset` on; fewer if the file ends earlier.
fn read_range(video: &Entry, offset: u64, length: u64) -> Result<Vec<u8>, Rejection> {
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.take(length).read_to_end(&mut bytes).map(|_| bytes)
    };
    video.open_at(offset, read).and_then(|read| read).map_err(Rejection::of_io)
}

/// Why the still of a video cannot be read, as far as the moov box shows.
pub(super) fn rejection(video: &Entry) -> Option<Rejection> {
    still(video).err()
}

/// Finds the frame that represents a video.
fn still(video: &Entry) -> Result<Still, Rejection> {
    let Some((offset, length)) = find_moov_box(video)? else { return Err(no_still("its moov box is missing")) };
    if length > MAX_MOOV_BYTES {
        return Err(no_still("its moov box is too large"));
    }
    Still::find(&read_range(video, offset, length)?).map_err(|error| Rejection::new(SkipReason::Video, error.detail))
}

/// Offset and length of the content of the first `moov` box. The length is not limited by the size of the file.
fn find_moov_box(video: &Entry) -> Result<Option<(u64, u64)>, Rejection> {
    let mut offset = 0_u64;
    for _ in 0..MAX_BOXES {
        let head = read_range(video, offset, 16)?;
        let Some((short, kind)) = head.split_first_chunk::<4>().filter(|(_, kind)| kind.len() >= 4) else { break };
        let (short, is_moov) = (u32::from_be_bytes(*short), kind.starts_with(b"moov"));
        // A box begins with its length and its type (ISO/IEC 14496-12). Length 0 means up to the end of the file, and
        // length 1 that a length of 64 bits follows the type.
        let (head_length, length) = match (short, head.last_chunk::<8>()) {
            (0, _) => (8, u64::MAX),
            (1, Some(long)) if head.len() == 16 => (16, u64::from_be_bytes(*long)),
            _ => (8, u64::from(short)),
        };
        let Some(body) = length.checked_sub(head_length) else { break };
        if is_moov {
            return Ok(Some((offset + head_length, body)));
        }
        let Some(next) = offset.checked_add(length) else { break };
        offset = next;
    }
    Ok(None)
}
