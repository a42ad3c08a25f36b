//! The table of a film (`moov`): which of its frames stands for it, where that lies, and how it is coded.

use std::ops::Range;

use super::super::boxes::{boxes, find};

/// How frames are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Hevc,
}

/// What the table says of the frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) codec: Codec,
    /// The decoder's settings: the body of `avcC` or `hvcC`.
    pub(super) settings: &'a [u8],
    /// The body of `colr`, if there is one.
    pub(super) colour: &'a [u8],
    /// What has to be done to see it upright, as EXIF counts.
    pub(super) turn: u8,
    /// Width and height as it is coded.
    pub(super) size: [u16; 2],
    /// Where it lies in the file.
    pub(super) place: Range<u64>,
}

/// Fields of a film's own description that come before its boxes.
const DESCRIPTION: usize = 78;
/// Where width and height stand among them.
const SIZE: usize = 24;

/// The frame that stands for a film: of those that need no other one the first from one second on; else the first.
/// Says in words why there is none.
pub(super) fn frame(moov: &[u8]) -> Result<Frame<'_>, &'static str> {
    let mut why = "it has no moving picture";
    for (_, track) in boxes(moov).filter(|(kind, _)| kind == b"trak") {
        match of_track(track) {
            Some(Ok(frame)) => return Ok(frame),
            Some(Err(reason)) => why = reason,
            None => {}
        }
    }
    Err(why)
}

/// None if it is the track of something else.
fn of_track(track: &[u8]) -> Option<Result<Frame<'_>, &'static str>> {
    let media = find(track, &[b"mdia"])?;
    (find(media, &[b"hdlr"])?.get(8..12)? == b"vide").then_some(())?;
    let table = find(media, &[b"minf", b"stbl"])?;
    // A version, flags and a number come before the descriptions, of which the first counts.
    let (kind, description) = boxes(find(table, &[b"stsd"])?.get(8..)?).next()?;
    let codec = match &kind {
        b"avc1" | b"avc3" => Codec::H264,
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => Codec::Hevc,
        _ => return Some(Err("its frames are neither H.264 nor HEVC")),
    };
    let inner = description.get(DESCRIPTION..)?;
    let settings = if codec == Codec::H264 { b"avcC" } else { b"hvcC" };
    let Some(settings) = find(inner, &[settings]) else { return Some(Err("its settings are missing")) };
    let side = |at: usize| Some(u16::from_be_bytes(*description.get(at..)?.first_chunk()?));
    let header = find(track, &[b"tkhd"]);
    let frame = |place| {
        Some(Frame {
            codec,
            settings,
            colour: find(inner, &[b"colr"]).unwrap_or_default(),
            turn: header.and_then(turn).unwrap_or(1),
            size: [side(SIZE)?, side(SIZE + 2)?],
            place,
        })
    };
    Some(place(table, second(media)?).and_then(frame).ok_or("its table names no frame, or has them in fragments"))
}

/// The matrix of a track's header, by the signs of its four numbers.
fn turn(header: &[u8]) -> Option<u8> {
    let matrix = if *header.first()? == 1 { 52 } else { 40 };
    let sign = |at: usize| Some(number(header, matrix + 4 * at)?.cast_signed().signum());
    Some(match [sign(0)?, sign(1)?, sign(3)?, sign(4)?] {
        [0, 1, -1, 0] => 6,
        [-1, 0, 0, -1] => 3,
        [0, -1, 1, 0] => 8,
        [-1, 0, 0, 1] => 2,
        [1, 0, 0, -1] => 4,
        _ => 1,
    })
}

/// How many units of time make a second.
fn second(media: &[u8]) -> Option<u64> {
    let header = find(media, &[b"mdhd"])?;
    number(header, if *header.first()? == 1 { 20 } else { 12 }).map(u64::from)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The entries of a table of so many numbers each, of which the count stands at `from`.
fn entries<const N: usize>(body: &[u8], from: usize) -> impl Iterator<Item = [u32; N]> {
    let count = number(body, from).unwrap_or(0) as usize;
    let numbers = body.get(from + 4..).unwrap_or_default().as_chunks::<4>().0;
    numbers.chunks_exact(N).take(count).map(|entry| std::array::from_fn(|i| u32::from_be_bytes(entry[i])))
}

/// Where the frame lies.
fn place(table: &[u8], second: u64) -> Option<Range<u64>> {
    let chosen = chosen(table, second)?;
    let (chunk, first) = chunk(table, chosen)?;
    let sizes = find(table, &[b"stsz"])?;
    // Where all are of one size there is no list.
    let all = number(sizes, 4)?;
    let size = |i: u64| if all > 0 { Some(all) } else { number(sizes, 12 + 4 * usize::try_from(i).ok()?) };
    let before = match all {
        0 => (first..chosen).map(size).sum::<Option<u32>>().map(u64::from)?,
        all => (chosen - first).checked_mul(all.into())?,
    };
    let chunk = usize::try_from(chunk).ok()?;
    let start = match find(table, &[b"co64"]) {
        Some(far) => u64::from(number(far, 8 + 8 * chunk)?) << 32 | u64::from(number(far, 12 + 8 * chunk)?),
        None => number(find(table, &[b"stco"])?, 8 + 4 * chunk)?.into(),
    };
    let start = start.checked_add(before)?;
    let length = size(chosen).filter(|&length| length > 0)?;
    Some(start..start.checked_add(length.into())?)
}

/// The number of the frame, from 0 on.
fn chosen(table: &[u8], second: u64) -> Option<u64> {
    let late = late(table, second);
    match find(table, &[b"stss"]) {
        Some(keys) => {
            let keys = || entries::<1>(keys, 4).filter_map(|[key]| u64::from(key).checked_sub(1));
            keys().find(|&key| late.is_some_and(|late| key >= late)).or_else(|| keys().next())
        }
        // All of them need no other.
        None => Some(late.unwrap_or(0)),
    }
}

/// The number of the first frame from one second on.
fn late(table: &[u8], second: u64) -> Option<u64> {
    let (mut frame, mut time) = (0_u64, 0_u64);
    for [count, step] in entries::<2>(find(table, &[b"stts"])?, 4) {
        let (count, step) = (u64::from(count), u64::from(step));
        // Where frames take no time, none of them is late.
        let wanted = second.saturating_sub(time).div_ceil(step.max(1));
        if wanted < count && (step > 0 || wanted == 0) {
            return Some(frame + wanted);
        }
        (frame, time) = (frame + count, time.saturating_add(count * step));
    }
    None
}

/// The chunk that a frame lies in, from 0 on, and the first frame of that.
fn chunk(table: &[u8], frame: u64) -> Option<(u64, u64)> {
    let runs: Vec<[u32; 3]> = entries(find(table, &[b"stsc"])?, 4).collect();
    let mut first_frame = 0_u64;
    for (i, &[first_chunk, frames, _]) in runs.iter().enumerate() {
        let first_chunk = u64::from(first_chunk).checked_sub(1)?;
        let frames = u64::from(frames).max(1);
        let chunks = match runs.get(i + 1) {
            Some(&[next, ..]) => u64::from(next).checked_sub(1)?.checked_sub(first_chunk)?,
            None => u64::MAX / frames,
        };
        let within = (frame - first_frame) / frames;
        if within < chunks {
            return Some((first_chunk + within, first_frame + within * frames));
        }
        first_frame += chunks * frames;
    }
    None
}
