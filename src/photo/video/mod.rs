//! Videos: reads one frame of a video, its still.
//!
//! What the still needs of the file (the decoder settings, and the coded frame) is packed into a byte string. From
//! there on, that is treated like the bytes of any picture file.

mod moov;

use std::ops::Range;

use image::RgbImage;
use image::metadata::Orientation;
use rust_h264::decoder::{Decoder, Frame};
use rust_h264::nal::{NalUnit, NalUnitType, SpsInfo, parse_avcc, parse_avcc_config, parse_sps_info};

use super::colour::Colours;
use super::heic::Heic;
use super::{DecodeError, Reason, decode_error};
use moov::{Codec, frame};

/// Signature of a packed still: an `ftyp` box with a brand that no video has.
const PACKED: &[u8] = b"\0\0\0\x0Cftyptsgs";
/// Limit on the header table (`moov`) in bytes. That of a video of some hours has a few MB.
pub const MAX_MOOV_BYTES: u64 = 16 << 20;
/// Limit on the coded frame in bytes.
const MAX_FRAME_BYTES: u64 = 64 << 20;
/// Bytes that decoding takes per coded pixel: several frames, with subsampled colours or with samples of 16 bits.
const BYTES_PER_PIXEL: u64 = 16;
// Matrix coefficients of ITU-T H.273.
const UNSPECIFIED: u8 = 2;
const BT_709: u8 = 1;

/// The frame that represents a video.
#[derive(Debug)]
pub struct Still {
    head: Vec<u8>,
    /// Byte range of the frame in the file.
    pub byte_range: Range<u64>,
}

impl Still {
    /// Finds the still in the header table of a video. `moov` is the body of that box.
    ///
    /// # Errors
    /// With [`Reason::Video`] and an explanation, when no frame of the video can be read.
    pub fn find(moov: &[u8]) -> Result<Self, DecodeError> {
        let frame = frame(moov).map_err(no_still)?;
        if frame.byte_range.end - frame.byte_range.start > MAX_FRAME_BYTES {
            return Err(no_still("its frame is too large"));
        }
        // The packed format: signature, codec, orientation, width and height, then the decoder settings and the body of
        // `colr`, each after its length. The frame follows.
        let mut head = PACKED.to_vec();
        head.push(u8::from(frame.codec == Codec::Hevc));
        head.push(frame.turn);
        frame.size.iter().for_each(|side| head.extend(side.to_be_bytes()));
        for part in [frame.settings, frame.colour] {
            head.extend((part.len() as u32).to_be_bytes());
            head.extend(part);
        }
        Ok(Self { head, byte_range: frame.byte_range })
    }

    /// Appends the bytes of the frame and returns the packed still.
    pub fn packed(self, frame: &[u8]) -> Vec<u8> {
        let mut packed = self.head;
        packed.extend(frame);
        packed
    }
}

/// The error for a video of which no frame can be read.
pub(super) fn no_still(reason: &str) -> DecodeError {
    decode_error(Reason::Video, format!("a video ({reason})"))
}

/// Whether `bytes` are a packed still.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(PACKED)
}

/// A packed still whose decoder settings have been read.
pub(super) struct Video {
    /// Width and height in pixels, before the orientation is applied.
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
    coded: Coded,
}

enum Coded {
    /// `info` is the parsed sequence parameter set, with the coded size (padded to whole blocks) and the cropped size.
    H264 { info: SpsInfo, settings: Vec<u8>, frame: Vec<u8> },
    /// The frame, wrapped into a HEIF file.
    Hevc { heic: Heic, file: Vec<u8> },
}

impl Video {
    pub(super) fn open(packed: &[u8]) -> Result<Self, DecodeError> {
        let unpack = || {
            let rest = packed.strip_prefix(PACKED)?;
            let ([is_hevc, turn, size @ ..], rest) = rest.split_first_chunk::<6>()?;
            let mut rest = rest;
            let mut part = || {
                let (length, after) = rest.split_first_chunk::<4>()?;
                let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                rest = after;
                Some(part)
            };
            let (settings, colour) = (part()?, part()?);
            Some((*is_hevc == 1, *turn, size, settings, colour, rest))
        };
        let (is_hevc, turn, size, settings, colour, frame) = unpack().ok_or_else(|| no_still("its data is cut off"))?;
        let orientation = Orientation::from_exif(turn).unwrap_or(Orientation::NoTransforms);
        if is_hevc {
            let file = heif([size[0], size[1], size[2], size[3]], settings, colour, frame);
            let heic = Heic::open(&file).map_err(|error| no_still(&error.detail))?;
            return Ok(Self { size: heic.size, orientation, coded: Coded::Hevc { heic, file } });
        }
        let config = parse_avcc_config(settings).map_err(no_still)?;
        let first = config.sps_nals.first().ok_or_else(|| no_still("its decoder settings are missing"))?;
        let info = parse_sps_info(first).map_err(|_| no_still("its decoder settings are broken"))?;
        let coded = Coded::H264 { info, settings: settings.to_vec(), frame: frame.to_vec() };
        Ok(Self { size: (info.width, info.height), orientation, coded })
    }

    /// Bytes that decoding takes in addition to the two RGB pictures.
    pub(super) fn buffer_bytes(&self) -> u64 {
        match &self.coded {
            Coded::H264 { info, settings, frame } => {
                let pixels = u64::from(info.coded_width) * u64::from(info.coded_height);
                BYTES_PER_PIXEL * pixels + 3 * (settings.len() + frame.len()) as u64
            }
            Coded::Hevc { heic, file } => heic.buffer_bytes() + file.len() as u64,
        }
    }

    /// The colour space, if it is known.
    pub(super) fn colours(&mut self) -> Option<Colours> {
        match &mut self.coded {
            Coded::H264 { .. } => None,
            Coded::Hevc { heic, .. } => heic.colours.take(),
        }
    }

    /// Decodes the pixels, before the orientation is applied.
    pub(super) fn read(self) -> Result<RgbImage, DecodeError> {
        let pixels = match self.coded {
            Coded::Hevc { heic, file } => heic.read(&file).map_err(|error| no_still(&error.detail))?,
            Coded::H264 { info, settings, frame } => h264(&info, &settings, &frame).map_err(no_still)?,
        };
        match pixels.dimensions() == self.size {
            true => Ok(pixels),
            false => Err(no_still("its frame has another size than its header says")),
        }
    }
}

/// Decodes one key frame of H.264. `settings` is the body of `avcC`.
fn h264(info: &SpsInfo, settings: &[u8], frame: &[u8]) -> Result<RgbImage, &'static str> {
    let config = parse_avcc_config(settings)?;
    let mut decoder = Decoder::new();
    // Another sequence parameter set could have a larger size, for which no memory was reserved. It is ignored.
    let is_expected = |unit: &NalUnit<'_>| match unit.nal_unit_type {
        NalUnitType::Sps => parse_sps_info(unit).is_ok_and(|other| other == *info),
        _ => true,
    };
    let units = parse_avcc(frame, config.length_size);
    let mut picture = None;
    let mut all_units = config.sps_nals.iter().chain(&config.pps_nals).chain(&units).filter(|unit| is_expected(unit));
    while let (None, Some(unit)) = (&picture, all_units.next()) {
        // Errors are ignored: a broken supplementary unit does no harm, and of a broken frame as much as was decoded is
        // shown.
        picture = decoder.decode_nal(unit).unwrap_or_default();
    }
    let picture = picture.or_else(|| decoder.flush()).ok_or("its frame could not be decoded")?;
    pixels(&picture, info).ok_or("its frame has fewer samples than its header says")
}

/// Converts YCbCr to RGB, with the matrix and the range that the sequence parameter set specifies (ITU-T H.273). `None`
/// if the frame has too few samples.
fn pixels(frame: &Frame, info: &SpsInfo) -> Option<RgbImage> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let [chroma_width, chroma_height] = [frame.chroma_width() as usize, frame.chroma_height() as usize];
    let bytes = frame.bytes_per_sample();
    let is_complete = frame.y.len() >= width * height * bytes
        && frame.u.len().min(frame.v.len()) >= chroma_width * chroma_height * bytes
        && chroma_width > 0
        && chroma_height > 0;
    is_complete.then_some(())?;
    // Without a matrix, players assume BT.709 for HD and BT.601 below.
    let is_large = info.width >= 1280 || info.height >= 720;
    let is_709 = info.matrix == BT_709 || (info.matrix == UNSPECIFIED || info.matrix == 0) && is_large;
    let (red, blue) = if is_709 { (0.2126_f32, 0.0722_f32) } else { (0.299, 0.114) };
    let green = 1.0 - red - blue;
    // All samples are scaled to 8 bits. Of limited range, luma is 16 to 235 and chroma 16 to 240.
    let scale = (1_u32 << (frame.bit_depth - 8)) as f32;
    let (black, white, swing) = if info.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
    let luma = |i: usize| (f32::from(frame.sample(&frame.y, i)) / scale - black) / white;
    let difference = |plane: &[u8], i: usize| (f32::from(frame.sample(plane, i)) / scale - 128.0) / swing;
    let level = |value: f32| (255.0 * value + 0.5) as u8;
    let mut levels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let i = y * chroma_height / height * chroma_width + x * chroma_width / width;
            let (luma, b, r) = (luma(y * width + x), difference(&frame.u, i), difference(&frame.v, i));
            let (b, r) = (2.0 * (1.0 - blue) * b, 2.0 * (1.0 - red) * r);
            levels.extend([level(luma + r), level(luma - (red * r + blue * b) / green), level(luma + b)]);
        }
    }
    RgbImage::from_raw(frame.width, frame.height, levels)
}

/// Wraps a frame of HEVC into a HEIF file with one picture.
fn heif(size: [u8; 4], settings: &[u8], colour: &[u8], frame: &[u8]) -> Vec<u8> {
    let make_box = |kind: &[u8; 4], parts: &[&[u8]]| -> Vec<u8> {
        let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
        [&(length as u32).to_be_bytes()[..], kind, &parts.concat()].concat()
    };
    let [w0, w1, h0, h1] = size;
    let ispe = make_box(b"ispe", &[&[0; 4], &[0, 0, w0, w1, 0, 0, h0, h1]]);
    // QuickTime's `nclc` has three code points and no flag for full range; `nclx` adds the flag.
    let colr = match colour {
        [b'n', b'c', b'l', b'c', numbers @ ..] if numbers.len() >= 6 => {
            make_box(b"colr", &[b"nclx", &numbers[..6], &[0]])
        }
        [b'n', b'c', b'l', b'x', ..] => make_box(b"colr", &[colour]),
        _ => Vec::new(),
    };
    let count = 2 + u8::from(!colr.is_empty());
    let ipco = make_box(b"ipco", &[&make_box(b"hvcC", &[settings]), &ispe, &colr]);
    let associations: Vec<u8> = (1..=count).map(|i| if i == 1 { 0x80 | i } else { i }).collect();
    let ipma = make_box(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, count], &associations]);
    let iprp = make_box(b"iprp", &[&ipco, &ipma]);
    let hdlr = make_box(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]);
    let pitm = make_box(b"pitm", &[&[0, 0, 0, 0, 0, 1]]);
    let infe = make_box(b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], b"hvc1\0"]);
    let iinf = make_box(b"iinf", &[&[0, 0, 0, 0, 0, 1], &infe]);
    let ftyp = make_box(b"ftyp", &[b"heic\0\0\0\0mif1heic"]);
    let meta = |frame_offset: u32| {
        // One item of one extent, with an offset and a length of four bytes.
        let extent = [frame_offset.to_be_bytes(), (frame.len() as u32).to_be_bytes()].concat();
        let iloc = make_box(b"iloc", &[&[0, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 0, 0, 1], &extent]);
        make_box(b"meta", &[&[0; 4], &hdlr, &pitm, &iloc, &iinf, &iprp])
    };
    // The length of `meta` does not depend on the offset that it contains.
    let frame_offset = (ftyp.len() + meta(0).len() + 8) as u32;
    [ftyp, meta(frame_offset), make_box(b"mdat", &[frame])].concat()
}

#[cfg(test)]
mod tests {
    use super::super::boxes::find;
    use super::super::{Budget, Photo, decode};
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    macro_rules! golden {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/it/golden/films/", $name))
        };
    }

    fn budget() -> &'static Budget {
        static BUDGET: LazyLock<Budget> = LazyLock::new(|| Budget { max_pixels: 100_000_000, ..Budget::new(1 << 30) });
        &BUDGET
    }

    fn packed(video: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let still = Still::find(find(video, &[b"moov"]).ok_or_else(|| no_still("no table"))?)?;
        let range = still.byte_range.start as usize..still.byte_range.end as usize;
        let frame = video.get(range).ok_or_else(|| no_still("cut"))?;
        Ok(still.packed(frame))
    }

    fn still(video: &[u8]) -> Photo<'static> {
        decode(&packed(video).unwrap(), budget()).unwrap()
    }

    fn assert_near(photo: &Photo<'_>, position: (u32, u32), colour: [u8; 3]) {
        let actual = photo.pixels.get_pixel(position.0, position.1).0;
        assert!((0..3).all(|c| actual[c].abs_diff(colour[c]) <= 4), "{actual:?} for {colour:?}");
    }

    /// Colours as FFmpeg renders them.
    const BLUE: [u8; 3] = [26, 66, 196];
    const ORANGE: [u8; 3] = [250, 132, 25];

    #[test]
    fn the_still_is_the_key_frame_after_one_second() {
        let mut films = vec![&golden!("h264.mp4")[..], golden!("h264-first.mov")];
        if cfg!(feature = "heic") {
            films.extend([&golden!("hevc.mp4")[..], golden!("hevc-10.mov")]);
        }
        for video in films {
            let photo = still(video);
            assert_eq!((photo.header.width, photo.header.height), (96, 64));
            assert_near(&photo, (5, 5), [255; 3]);
            assert_near(&photo, (90, 5), ORANGE);
            assert_near(&photo, (5, 60), ORANGE);
        }
        assert_near(&still(golden!("short.mp4")), (5, 5), BLUE);
    }

    #[test]
    fn a_film_that_was_held_upright_is_upright() {
        let photo = still(golden!("turned.mp4"));
        assert_eq!((photo.header.width, photo.header.height), (64, 96));
        assert_near(&photo, (5, 90), [255; 3]);
        assert_near(&photo, (5, 5), ORANGE);
        assert_near(&photo, (60, 90), ORANGE);
    }

    #[test]
    fn of_other_films_it_is_said_why_not() {
        let why = |video: &[u8]| packed(video).unwrap_err();
        for (video, words) in [
            (&golden!("fragments.mp4")[..], "fragments"),
            (golden!("mpeg4.mp4"), "neither"),
            (b"\0\0\0\x08moov", "no video track"),
        ] {
            let error = why(video);
            assert!(error.reason == Reason::Video && error.detail.contains(words), "{error}");
        }
        let mut cut = packed(golden!("h264.mp4")).unwrap();
        for length in (PACKED.len()..cut.len()).rev() {
            cut.truncate(length);
            assert!(decode(&cut, budget()).map_or_else(|error| error.reason == Reason::Video, |_| true), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_breaks_it(which in 0..5_usize, changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..9)) {
            let films = [&golden!("h264.mp4")[..], golden!("h264-first.mov"), golden!("hevc.mp4"), golden!("turned.mp4"), golden!("fragments.mp4")];
            let mut video = films[which].to_vec();
            for (fraction, value) in changes {
                let index = (video.len() as f64 * fraction) as usize;
                video[index] = value;
            }
            let _ = packed(&video).map(|packed| decode(&packed, budget()).map(drop));
        }
    }
}
