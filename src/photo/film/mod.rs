//! A film is read as one of its frames: its still. What that takes of the file, its table and one frame, is packed into
//! a few bytes, which are then decoded as those of a picture are.

mod table;

use std::ops::Range;

use image::RgbImage;
use image::metadata::Orientation;
use rust_h264::decoder::{Decoder, Frame};
use rust_h264::nal::{NalUnit, NalUnitType, SpsInfo, parse_avcc, parse_avcc_config, parse_sps_info};

use super::colour::Colours;
use super::heic::Heic;
use super::{Reason, Unreadable, unreadable};
use table::{Codec, frame};

/// What packed bytes begin with. No film does.
const PACKED: &[u8] = b"\0\0\0\x0Cftyptsgs";
/// Longer tables are not read: that of a film of some hours has a few MB.
pub const MOST_TABLE: u64 = 16 << 20;
/// Nor are longer frames.
const MOST_FRAME: u64 = 64 << 20;
/// Bytes that decoding takes for a pixel as it is coded: some frames, in colours of a half of the size or of 16 bits.
const PIXEL: u64 = 16;
/// H.273's number of a matrix that is not named, and of BT.709's.
const UNNAMED: u8 = 2;
const BT_709: u8 = 1;

/// What of a film stands for it.
#[derive(Debug)]
pub struct Still {
    head: Vec<u8>,
    /// Where the frame lies in the file.
    pub place: Range<u64>,
}

impl Still {
    /// Finds it in the table of a film: the body of `moov`.
    ///
    /// # Errors
    /// That it is a film which is not read, and why.
    pub fn find(moov: &[u8]) -> Result<Self, Unreadable> {
        let frame = frame(moov).map_err(no_still)?;
        if frame.place.end - frame.place.start > MOST_FRAME {
            return Err(no_still("a frame of it is too large"));
        }
        let mut head = PACKED.to_vec();
        head.push(u8::from(frame.codec == Codec::Hevc));
        head.push(frame.turn);
        frame.size.iter().for_each(|side| head.extend(side.to_be_bytes()));
        for part in [frame.settings, frame.colour] {
            head.extend((part.len() as u32).to_be_bytes());
            head.extend(part);
        }
        Ok(Self { head, place: frame.place })
    }

    /// Packs it with its frame.
    pub fn packed(self, frame: &[u8]) -> Vec<u8> {
        let mut packed = self.head;
        packed.extend(frame);
        packed
    }
}

/// A film that is not read.
pub(super) fn no_still(why: &str) -> Unreadable {
    unreadable(Reason::Video, format!("a video ({why})"))
}

/// Whether bytes are what [`Still::packed`] gives.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(PACKED)
}

/// A still of which the settings have been read.
pub(super) struct Film {
    /// Width and height as it is coded.
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
    coded: Coded,
}

enum Coded {
    /// Size as it is coded, with margins, and what comes of it.
    H264 { info: SpsInfo, settings: Vec<u8>, frame: Vec<u8> },
    /// As a picture in a file of its own.
    Hevc { heic: Heic, file: Vec<u8> },
}

impl Film {
    pub(super) fn open(packed: &[u8]) -> Result<Self, Unreadable> {
        let parts = || {
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
        let (is_hevc, turn, size, settings, colour, frame) = parts().ok_or_else(|| no_still("it is cut off"))?;
        let orientation = Orientation::from_exif(turn).unwrap_or(Orientation::NoTransforms);
        if is_hevc {
            let file = heif([size[0], size[1], size[2], size[3]], settings, colour, frame);
            let heic = Heic::open(&file).map_err(|why| no_still(&why.detail))?;
            return Ok(Self { size: heic.size, orientation, coded: Coded::Hevc { heic, file } });
        }
        let config = parse_avcc_config(settings).map_err(no_still)?;
        let first = config.sps_nals.first().ok_or_else(|| no_still("its settings are missing"))?;
        let info = parse_sps_info(first).map_err(|_| no_still("its settings are broken"))?;
        let coded = Coded::H264 { info, settings: settings.to_vec(), frame: frame.to_vec() };
        Ok(Self { size: (info.width, info.height), orientation, coded })
    }

    /// Bytes that decoding takes beside two pictures of RGB.
    pub(super) fn raw(&self) -> u64 {
        match &self.coded {
            Coded::H264 { info, settings, frame } => {
                let pixels = u64::from(info.coded_width) * u64::from(info.coded_height);
                PIXEL * pixels + 3 * (settings.len() + frame.len()) as u64
            }
            Coded::Hevc { heic, file } => heic.raw() + file.len() as u64,
        }
    }

    /// What its colours are.
    pub(super) fn colours(&mut self) -> Option<Colours> {
        match &mut self.coded {
            Coded::H264 { .. } => None,
            Coded::Hevc { heic, .. } => heic.colours.take(),
        }
    }

    /// Reads the pixels, as they are stored.
    pub(super) fn read(self) -> Result<RgbImage, Unreadable> {
        let pixels = match self.coded {
            Coded::Hevc { heic, file } => heic.read(&file).map_err(|why| no_still(&why.detail))?,
            Coded::H264 { info, settings, frame } => h264(&info, &settings, &frame).map_err(no_still)?,
        };
        match pixels.dimensions() == self.size {
            true => Ok(pixels),
            false => Err(no_still("its frame has another size than it says")),
        }
    }
}

/// Decodes one frame that needs no other.
fn h264(info: &SpsInfo, settings: &[u8], frame: &[u8]) -> Result<RgbImage, &'static str> {
    let config = parse_avcc_config(settings)?;
    let mut decoder = Decoder::new();
    // Settings of another size would take memory that was not reckoned with.
    let is_same = |unit: &NalUnit<'_>| match unit.nal_unit_type {
        NalUnitType::Sps => parse_sps_info(unit).is_ok_and(|other| other == *info),
        _ => true,
    };
    let units = parse_avcc(frame, config.length_size);
    let mut picture = None;
    let mut all = config.sps_nals.iter().chain(&config.pps_nals).chain(&units).filter(|unit| is_same(unit));
    while let (None, Some(unit)) = (&picture, all.next()) {
        // A remark that is broken costs itself; a picture that is, comes as far as it goes.
        picture = decoder.decode_nal(unit).unwrap_or_default();
    }
    let picture = picture.or_else(|| decoder.flush()).ok_or("its frame could not be decoded")?;
    pixels(&picture, info).ok_or("its frame has fewer samples than it says")
}

/// From brightness and two differences to colour, with the matrix and the range that the settings name.
fn pixels(frame: &Frame, info: &SpsInfo) -> Option<RgbImage> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let [across, down] = [frame.chroma_width() as usize, frame.chroma_height() as usize];
    let bytes = frame.bytes_per_sample();
    let enough = frame.y.len() >= width * height * bytes
        && frame.u.len().min(frame.v.len()) >= across * down * bytes
        && across > 0
        && down > 0;
    enough.then_some(())?;
    let is_large = info.width >= 1280 || info.height >= 720;
    let is_709 = info.matrix == BT_709 || (info.matrix == UNNAMED || info.matrix == 0) && is_large;
    let (red, blue) = if is_709 { (0.2126_f32, 0.0722_f32) } else { (0.299, 0.114) };
    let green = 1.0 - red - blue;
    let one = (1_u32 << (frame.bit_depth - 8)) as f32;
    let (black, white, swing) = if info.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
    let luma = |i: usize| (f32::from(frame.sample(&frame.y, i)) / one - black) / white;
    let difference = |plane: &[u8], i: usize| (f32::from(frame.sample(plane, i)) / one - 128.0) / swing;
    let level = |value: f32| (255.0 * value + 0.5) as u8;
    let mut levels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let i = y * down / height * across + x * across / width;
            let (luma, b, r) = (luma(y * width + x), difference(&frame.u, i), difference(&frame.v, i));
            let (b, r) = (2.0 * (1.0 - blue) * b, 2.0 * (1.0 - red) * r);
            levels.extend([level(luma + r), level(luma - (red * r + blue * b) / green), level(luma + b)]);
        }
    }
    RgbImage::from_raw(frame.width, frame.height, levels)
}

/// A frame of HEVC as the one picture of a HEIF file.
fn heif(size: [u8; 4], settings: &[u8], colour: &[u8], frame: &[u8]) -> Vec<u8> {
    let of = |kind: &[u8; 4], parts: &[&[u8]]| -> Vec<u8> {
        let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
        [&(length as u32).to_be_bytes()[..], kind, &parts.concat()].concat()
    };
    let [a, b, c, d] = size;
    let ispe = of(b"ispe", &[&[0; 4], &[0, 0, a, b, 0, 0, c, d]]);
    // QuickTime's name of three numbers of colours that are never of the full range.
    let colr = match colour {
        [b'n', b'c', b'l', b'c', numbers @ ..] if numbers.len() >= 6 => of(b"colr", &[b"nclx", &numbers[..6], &[0]]),
        [b'n', b'c', b'l', b'x', ..] => of(b"colr", &[colour]),
        _ => Vec::new(),
    };
    let count = 2 + u8::from(!colr.is_empty());
    let ipco = of(b"ipco", &[&of(b"hvcC", &[settings]), &ispe, &colr]);
    let associations: Vec<u8> = (1..=count).map(|i| if i == 1 { 0x80 | i } else { i }).collect();
    let ipma = of(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, count], &associations]);
    let iprp = of(b"iprp", &[&ipco, &ipma]);
    let hdlr = of(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]);
    let pitm = of(b"pitm", &[&[0, 0, 0, 0, 0, 1]]);
    let infe = of(b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], b"hvc1\0"]);
    let iinf = of(b"iinf", &[&[0, 0, 0, 0, 0, 1], &infe]);
    let ftyp = of(b"ftyp", &[b"heic\0\0\0\0mif1heic"]);
    let meta = |at: u32| {
        // One item in one piece: offsets and lengths of four bytes.
        let place = [at.to_be_bytes(), (frame.len() as u32).to_be_bytes()].concat();
        let iloc = of(b"iloc", &[&[0, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 0, 0, 1], &place]);
        of(b"meta", &[&[0; 4], &hdlr, &pitm, &iloc, &iinf, &iprp])
    };
    let at = (ftyp.len() + meta(0).len() + 8) as u32;
    [ftyp, meta(at), of(b"mdat", &[frame])].concat()
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

    fn packed(film: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let still = Still::find(find(film, &[b"moov"]).ok_or_else(|| no_still("no table"))?)?;
        let place = still.place.start as usize..still.place.end as usize;
        let frame = film.get(place).ok_or_else(|| no_still("cut"))?;
        Ok(still.packed(frame))
    }

    fn still(film: &[u8]) -> Photo<'static> {
        decode(&packed(film).unwrap(), budget()).unwrap()
    }

    fn is_near(photo: &Photo<'_>, at: (u32, u32), colour: [u8; 3]) {
        let there = photo.pixels.get_pixel(at.0, at.1).0;
        assert!((0..3).all(|c| there[c].abs_diff(colour[c]) <= 4), "{there:?} for {colour:?}");
    }

    /// As FFmpeg shows them.
    const BLUE: [u8; 3] = [26, 66, 196];
    const ORANGE: [u8; 3] = [250, 132, 25];

    #[test]
    fn the_still_is_the_key_frame_after_one_second() {
        let mut films = vec![&golden!("h264.mp4")[..], golden!("h264-first.mov")];
        if cfg!(feature = "heic") {
            films.extend([&golden!("hevc.mp4")[..], golden!("hevc-10.mov")]);
        }
        for film in films {
            let photo = still(film);
            assert_eq!((photo.facts.width, photo.facts.height), (96, 64));
            is_near(&photo, (5, 5), [255; 3]);
            is_near(&photo, (90, 5), ORANGE);
            is_near(&photo, (5, 60), ORANGE);
        }
        is_near(&still(golden!("short.mp4")), (5, 5), BLUE);
    }

    #[test]
    fn a_film_that_was_held_upright_is_upright() {
        let photo = still(golden!("turned.mp4"));
        assert_eq!((photo.facts.width, photo.facts.height), (64, 96));
        is_near(&photo, (5, 90), [255; 3]);
        is_near(&photo, (5, 5), ORANGE);
        is_near(&photo, (60, 90), ORANGE);
    }

    #[test]
    fn of_other_films_it_is_said_why_not() {
        let why = |film: &[u8]| packed(film).unwrap_err();
        for (film, words) in [
            (&golden!("fragments.mp4")[..], "fragments"),
            (golden!("mpeg4.mp4"), "neither"),
            (b"\0\0\0\x08moov", "no moving"),
        ] {
            let no = why(film);
            assert!(no.reason == Reason::Video && no.detail.contains(words), "{no}");
        }
        let mut cut = packed(golden!("h264.mp4")).unwrap();
        for length in (PACKED.len()..cut.len()).rev() {
            cut.truncate(length);
            assert!(decode(&cut, budget()).map_or_else(|no| no.reason == Reason::Video, |_| true), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_breaks_it(which in 0..5_usize, changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..9)) {
            let films = [&golden!("h264.mp4")[..], golden!("h264-first.mov"), golden!("hevc.mp4"), golden!("turned.mp4"), golden!("fragments.mp4")];
            let mut film = films[which].to_vec();
            for (place, value) in changes {
                let at = (film.len() as f64 * place) as usize;
                film[at] = value;
            }
            let _ = packed(&film).map(|packed| decode(&packed, budget()).map(drop));
        }
    }
}
