//! Reads the header table of a video (`moov`): which frame represents the video, where it is in the file, and how it is
//! coded.

use std::ops::Range;

use super::super::boxes::{boxes, find};

/// The coding of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Hevc,
}

/// The frame that represents a video, as the table describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) codec: Codec,
    /// The decoder settings: the body of `avcC` or `hvcC`.
    pub(super) settings: &'a [u8],
    /// The body of `colr`, or empty if there is none.
    pub(super) colour: &'a [u8],
    /// The orientation, in the values of EXIF.
    pub(super) turn: u8,
    /// Width and height in pixels, before the orientation is applied.
    pub(super) size: [u16; 2],
    /// Byte range in the file.
    pub(super) byte_range: Range<u64>,
}

/// Length in bytes of the fields of a visual sample entry that precede its boxes.
const SAMPLE_ENTRY_BYTES: usize = 78;
/// Offset of width and height in a visual sample entry.
const SIZE_OFFSET: usize = 24;

/// Finds the frame that represents a video: the first key frame from one second on, else the first key frame. The error
/// is an explanation for the user.
pub(super) fn frame(moov: &[u8]) -> Result<Frame<'_>, &'static str> {
    let mut explanation = "it has no video track";
    for (_, track) in boxes(moov).filter(|(kind, _)| kind == b"trak") {
        match frame_of_track(track) {
            Some(Ok(frame)) => return Ok(frame),
            Some(Err(reason)) => explanation = reason,
            None => {}
        }
    }
    Err(explanation)
}

/// The frame of one track. `None` if it is not a video track.
fn frame_of_track(track: &[u8]) -> Option<Result<Frame<'_>, &'static str>> {
    let media = find(track, &[b"mdia"])?;
    (find(media, &[b"hdlr"])?.get(8..12)? == b"vide").then_some(())?;
    let table = find(media, &[b"minf", b"stbl"])?;
    // A version, flags and a count precede the sample descriptions. The first one counts.
    let (kind, description) = boxes(find(table, &[b"stsd"])?.get(8..)?).next()?;
    let codec = match &kind {
        b"avc1" | b"avc3" => Codec::H264,
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => Codec::Hevc,
        _ => return Some(Err("its frames are neither H.264 nor HEVC")),
    };
    let inner = description.get(SAMPLE_ENTRY_BYTES..)?;
    let settings = if codec == Codec::H264 { b"avcC" } else { b"hvcC" };
    let Some(settings) = find(inner, &[settings]) else { return Some(Err("its decoder settings are missing")) };
    let side = |offset: usize| Some(u16::from_be_bytes(*description.get(offset..)?.first_chunk()?));
    let header = find(track, &[b"tkhd"]);
    let frame = |byte_range| {
        Some(Frame {
            codec,
            settings,
            colour: find(inner, &[b"colr"]).unwrap_or_default(),
            turn: header.and_then(turn).unwrap_or(1),
            size: [side(SIZE_OFFSET)?, side(SIZE_OFFSET + 2)?],
            byte_range,
        })
    };
    Some(
        frame_range(table, timescale(media)?)
            .and_then(frame)
            .ok_or("its header lists no frames, or they are in fragments"),
    )
}

/// Converts the matrix of a track header to an EXIF orientation. The signs of four of its elements suffice for
/// rotations by quarter turns and reflections.
fn turn(header: &[u8]) -> Option<u8> {
    // In version 1, times and duration have 64 bits, so the matrix is 12 bytes further.
    let matrix = if *header.first()? == 1 { 52 } else { 40 };
    let sign = |offset: usize| Some(number(header, matrix + 4 * offset)?.cast_signed().signum());
    Some(match [sign(0)?, sign(1)?, sign(3)?, sign(4)?] {
        [0, 1, -1, 0] => 6,
        [-1, 0, 0, -1] => 3,
        [0, -1, 1, 0] => 8,
        [-1, 0, 0, 1] => 2,
        [1, 0, 0, -1] => 4,
        _ => 1,
    })
}

/// Time units per second.
fn timescale(media: &[u8]) -> Option<u64> {
    let header = find(media, &[b"mdhd"])?;
    number(header, if *header.first()? == 1 { 20 } else { 12 }).map(u64::from)
}

/// The big-endian 32-bit number at an offset.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The entries of a table, of `N` numbers each. Their count is at `from`, and they follow it.
fn entries<const N: usize>(body: &[u8], from: usize) -> impl Iterator<Item = [u32; N]> {
    let count = number(body, from).unwrap_or(0) as usize;
    let numbers = body.get(from + 4..).unwrap_or_default().as_chunks::<4>().0;
    numbers.chunks_exact(N).take(count).map(|entry| std::array::from_fn(|i| u32::from_be_bytes(entry[i])))
}

/// Byte range of the key frame: the offset of its chunk, plus the sizes of the frames before it in that chunk.
fn frame_range(table: &[u8], timescale: u64) -> Option<Range<u64>> {
    let key_frame = key_frame(table, timescale)?;
    let (chunk, first) = chunk(table, key_frame)?;
    let sizes = find(table, &[b"stsz"])?;
    // If all frames have the same size, there is no list of sizes.
    let common_size = number(sizes, 4)?;
    let size =
        |i: u64| if common_size > 0 { Some(common_size) } else { number(sizes, 12 + 4 * usize::try_from(i).ok()?) };
    let before = match common_size {
        0 => (first..key_frame).map(size).sum::<Option<u32>>().map(u64::from)?,
        common_size => (key_frame - first).checked_mul(common_size.into())?,
    };
    let chunk = usize::try_from(chunk).ok()?;
    let start = match find(table, &[b"co64"]) {
        Some(offsets) => u64::from(number(offsets, 8 + 8 * chunk)?) << 32 | u64::from(number(offsets, 12 + 8 * chunk)?),
        None => number(find(table, &[b"stco"])?, 8 + 4 * chunk)?.into(),
    };
    let start = start.checked_add(before)?;
    let length = size(key_frame).filter(|&length| length > 0)?;
    Some(start..start.checked_add(length.into())?)
}

/// Index of the frame that represents the video, from 0.
fn key_frame(table: &[u8], timescale: u64) -> Option<u64> {
    let late_frame = late_frame(table, timescale);
    match find(table, &[b"stss"]) {
        Some(keys) => {
            // stss counts from 1.
            let keys = || entries::<1>(keys, 4).filter_map(|[key]| u64::from(key).checked_sub(1));
            keys().find(|&key| late_frame.is_some_and(|late_frame| key >= late_frame)).or_else(|| keys().next())
        }
        // Without a table of key frames, all frames are key frames.
        None => Some(late_frame.unwrap_or(0)),
    }
}

/// Index of the first frame from one second on.
fn late_frame(table: &[u8], timescale: u64) -> Option<u64> {
    let (mut frame, mut time) = (0_u64, 0_u64);
    for [count, duration] in entries::<2>(find(table, &[b"stts"])?, 4) {
        let (count, duration) = (u64::from(count), u64::from(duration));
        // Frames without a duration do not advance the time.
        let to_one_second = timescale.saturating_sub(time).div_ceil(duration.max(1));
        if to_one_second < count && (duration > 0 || to_one_second == 0) {
            return Some(frame + to_one_second);
        }
        (frame, time) = (frame + count, time.saturating_add(count * duration));
    }
    None
}

/// The chunk that contains a frame, and the first frame of that chunk, both counted from 0.
fn chunk(table: &[u8], frame: u64) -> Option<(u64, u64)> {
    // Each entry of stsc is a run of chunks with the same number of frames: first chunk (from 1), frames per chunk, and
    // a description. A run ends where the next one begins.
    let runs: Vec<[u32; 3]> = entries(find(table, &[b"stsc"])?, 4).collect();
    let mut first_frame = 0_u64;
    for (i, &[first_chunk, frames, _]) in runs.iter().enumerate() {
        let first_chunk = u64::from(first_chunk).checked_sub(1)?;
        let frames = u64::from(frames).max(1);
        let chunks = match runs.get(i + 1) {
            Some(&[next, ..]) => u64::from(next).checked_sub(1)?.checked_sub(first_chunk)?,
            None => u64::MAX / frames,
        };
        let index = (frame - first_frame) / frames;
        if index < chunks {
            return Some((first_chunk + index, first_frame + index * frames));
        }
        first_frame += chunks * frames;
    }
    None
}
