//! HEIC: the primary picture of a HEIF file whose pictures are coded as HEVC's. Its box says which way up it is, and the
//! decoder turns it; what EXIF says of that does not count.

mod boxes;

use std::sync::LazyLock;
use std::{io, panic, thread};

use heic_decoder::bitreader::strip_emulation_prevention;
use heic_decoder::hevc::nal::{NAL_SPS, parse_nal_header};
use heic_decoder::hevc::params::{Sps, parse_sps};
use heic_decoder::isobmff::{ParsedHeif, ResolvedImage, parse};
use heic_decoder::{ColorInfo, HeifError, probe, read_metadata};
use image::RgbImage;
use rayon::ThreadPool;

use super::blocks::Blocks;
use super::colour::{Code, Colours};
use super::decoder::{CUT, blend, line};
use super::{IN_DECODER, Reason, Unreadable, unreadable};

/// Bytes of a sample, in the decoder.
const SAMPLE: u64 = 4;
/// Pieces of a coded picture's data; it has one, or one for each row of blocks.
const MOST_PIECES: usize = 4096;
// H.273's numbers of matrices.
const UNNAMED: u16 = 2;
const BT_601: u16 = 6;

/// A picture whose header has been read.
pub(super) struct Heic {
    /// Width and height, upright.
    pub(super) size: (u32, u32),
    /// Bytes that decoding takes at one time.
    need: u64,
    /// What its colours are.
    pub(super) colours: Option<Colours>,
}

impl Heic {
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Unreadable> {
        let copied = 5 * bytes.len() as u64;
        let bytes = boxes::accepted(bytes)?;
        let info = probe(&bytes).map_err(describe)?;
        let parsed = parse(&bytes).map_err(describe)?;
        let colour = Plane::of(&parsed)?;
        let need = match &parsed.alpha {
            Some(alpha) => colour.peak().max(colour.kept() + Plane::of(&alpha.image)?.peak()),
            None => colour.peak(),
        };
        let named = parsed.metadata.color_info.or(colour.named);
        let code = named.map(|named| {
            Colours::Code(Code { primaries: named.color_primaries, transfer: named.transfer_characteristics })
        });
        let side = |length: usize| u32::try_from(length).map_err(|_| describe(HeifError::LimitExceeded("a side")));
        let size = (side(info.width)?, side(info.height)?);
        Ok(Self { size, need: need + copied, colours: parsed.metadata.icc_profile.map(Colours::Profile).or(code) })
    }

    /// Bytes that decoding takes beside two pictures of RGB: those come when more than they take is free again.
    pub(super) fn raw(&self) -> u64 {
        self.need.saturating_sub(6 * u64::from(self.size.0) * u64::from(self.size.1))
    }

    /// Reads the pixels, upright, over white.
    pub(super) fn read(self, bytes: &[u8]) -> Result<RgbImage, Unreadable> {
        let bytes = boxes::accepted(bytes)?;
        let pool = POOL.as_ref().map_err(|error| unreadable(Reason::Undecodable, line(error)))?;
        // The decoder's tiles are a parallel iterator. A thread of ours that waited for one would meanwhile take up another
        // picture, and wait there for memory that it holds itself; a thread of no pool does nothing but wait.
        let pixels = thread::scope(|scope| {
            let waiting = thread::Builder::new().spawn_scoped(scope, || {
                IN_DECODER.set(true);
                pool.install(|| pixels(&bytes))
            });
            let waiting = waiting.map_err(|error: io::Error| unreadable(Reason::Undecodable, line(&error)))?;
            waiting.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })?;
        match pixels.dimensions() == self.size {
            true => Ok(pixels),
            false => Err(unreadable(Reason::Undecodable, "its picture has another size than it says")),
        }
    }
}

/// The threads of all decoders, as many as there are of ours.
static POOL: LazyLock<Result<ThreadPool, rayon::ThreadPoolBuildError>> = LazyLock::new(|| {
    let threads = rayon::current_num_threads();
    rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| IN_DECODER.set(true)).build()
});

fn pixels(bytes: &[u8]) -> Result<RgbImage, Unreadable> {
    let mut picture = heic_decoder::decode(bytes).map_err(describe)?;
    let mut named = picture.color_info.unwrap_or_default();
    if picture.color_info.is_none_or(|named| named.matrix_coefficients == UNNAMED) {
        // The decoder would take BT.709's; whoever writes none, and everyone else who reads it, means this one.
        named.matrix_coefficients = BT_601;
    }
    picture.color_info = Some(named);
    let (width, height) = (picture.width as u32, picture.height as u32);
    let levels = if picture.alpha.is_some() {
        let rgba = picture.to_rgba8().map_err(describe)?;
        drop(picture);
        let is_laid = rgba.premultiplied;
        let over_white = |&[red, green, blue, alpha]: &[u8; 4]| {
            [red, green, blue]
                .map(|level| if is_laid { level.saturating_add(255 - alpha) } else { blend(level, alpha) })
        };
        rgba.data.as_chunks::<4>().0.iter().flat_map(over_white).collect()
    } else {
        picture.to_rgb8().map_err(describe)?.data
    };
    RgbImage::from_raw(width, height, levels)
        .ok_or_else(|| unreadable(Reason::Undecodable, "its picture has fewer pixels than it says"))
}

/// How much there is of a picture: of its colours or of its transparency.
struct Plane {
    /// Pixels as they are coded, with their margins; of all tiles.
    coded: u64,
    /// Pixels of the picture that tiles are put together to.
    canvas: u64,
    /// Samples of two pixels.
    samples: u64,
    /// What the coded data say of their colours.
    named: Option<ColorInfo>,
}

impl Plane {
    fn of(parsed: &ParsedHeif) -> Result<Self, Unreadable> {
        let mut plane = Self { coded: 0, canvas: 0, samples: 2, named: None };
        for image in parsed.images.iter().chain(&parsed.reference_image) {
            check_pieces(image)?;
            let sps = settings(image).map_err(describe)?;
            plane.coded += u64::from(sps.pic_width_in_luma_samples) * u64::from(sps.pic_height_in_luma_samples);
            plane.samples = plane.samples.max([2, 3, 4, 6][sps.chroma_format_idc.min(3) as usize]);
            plane.named = plane.named.or(sps.color_info);
        }
        plane.canvas =
            parsed.grid.map_or(plane.coded, |grid| u64::from(grid.output_width) * u64::from(grid.output_height));
        Ok(plane)
    }

    /// Bytes of the picture that comes out.
    fn kept(&self) -> u64 {
        self.canvas * self.samples * SAMPLE / 2
    }

    /// Bytes at most at one time: the tiles, the picture made of them, the same turned, and a byte a pixel for notes.
    fn peak(&self) -> u64 {
        self.coded * self.samples * SAMPLE / 2 + 2 * self.kept() + self.coded.max(self.canvas)
    }
}

/// The settings of a coded picture.
fn settings(image: &ResolvedImage) -> Result<Sps, HeifError> {
    for coded in image.hevc_config.nalus_of_type(NAL_SPS) {
        let (header, body) = parse_nal_header(coded)?;
        if header.nal_unit_type == NAL_SPS && header.nuh_layer_id == 0 {
            return parse_sps(&strip_emulation_prevention(body));
        }
    }
    Err(HeifError::MalformedHevc("no settings"))
}

/// The decoder makes a list of the pieces of a picture, of which empty ones would be more than the file.
fn check_pieces(image: &ResolvedImage) -> Result<(), Unreadable> {
    let wide = usize::from(image.hevc_config.length_size_minus_one) + 1;
    let (mut rest, mut pieces) = (&image.data[..], 0);
    while let Some((length, after)) = rest.split_at_checked(wide).filter(|_| !rest.is_empty()) {
        let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        rest = after.get(length..).unwrap_or_default();
        pieces += 1;
        if pieces > MOST_PIECES {
            return Err(unreadable(Reason::Undecodable, "its picture is in too many pieces"));
        }
    }
    Ok(())
}

/// Adds what lies beside the picture in its file.
pub(super) fn blocks(bytes: &[u8], blocks: &mut Blocks<'_>) {
    let Ok(metadata) = boxes::accepted(bytes).and_then(|bytes| read_metadata(&bytes).map_err(describe)) else { return };
    metadata.exif.into_iter().for_each(|exif| blocks.add_exif(exif));
    metadata.xmp.into_iter().for_each(|xmp| blocks.add_xmp(xmp));
}

fn describe(error: HeifError) -> Unreadable {
    match error {
        HeifError::Truncated { .. } => unreadable(Reason::Undecodable, CUT),
        HeifError::Unsupported(what) => unreadable(
            Reason::Unsupported,
            format!("a HEIF picture of a kind that is not read ({what}); convert it to JPEG first"),
        ),
        HeifError::LimitExceeded(_) => unreadable(Reason::TooLarge, line(&error)),
        _ => unreadable(Reason::Undecodable, line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, decode};
    use super::*;
    use rayon::prelude::*;

    const NO_MATRIX: &[u8] = include_bytes!("../../../tests/it/golden/heic/no-matrix.heic");
    const LARGE: &[u8] = include_bytes!("../../../tests/it/golden/heic/grid-large.heic");
    const GRID: &[u8] = include_bytes!("../../../tests/it/golden/heic/grid-turned.heic");
    const ALPHA: &[u8] = include_bytes!("../../../tests/it/golden/heic/alpha.heic");

    #[test]
    fn without_a_matrix_colours_are_those_of_bt_601() {
        let budget = Budget::new(1 << 30);
        let photo = decode(NO_MATRIX, &budget).unwrap();
        for (x, y, wanted) in [(24, 16, [200, 60, 60]), (72, 16, [60, 170, 60]), (24, 48, [60, 60, 200])] {
            let there = photo.pixels.get_pixel(x, y).0;
            assert!((0..3).all(|c| there[c].abs_diff(wanted[c]) <= 2), "{there:?} for {wanted:?}");
        }
    }

    #[test]
    fn colours_by_numbers_are_wide_or_of_high_range() {
        let budget = Budget::new(1 << 30);
        let stored = decode(NO_MATRIX, &budget).unwrap().pixels;
        for (primaries, transfer) in [(9, 16), (9, 18), (1, 16), (9, 1), (12, 13)] {
            let mut bytes = NO_MATRIX.to_vec();
            let at = bytes.windows(8).position(|kind| kind == b"colrnclx").unwrap() + 8;
            bytes[at..at + 4].copy_from_slice(&[0, primaries, 0, transfer]);
            let mut wanted = stored.clone();
            Colours::Code(Code { primaries: primaries.into(), transfer: transfer.into() }).to_srgb(&mut wanted);
            assert_ne!(wanted, stored);
            assert_eq!(decode(&bytes, &budget).unwrap().pixels, wanted, "{primaries}, {transfer}");
        }
    }

    #[test]
    fn a_pixel_takes_19_bytes() {
        let of = |bytes: &[u8]| (Heic::open(bytes).unwrap().need - 5 * bytes.len() as u64) as f64;
        // Tiles of 64, without a margin.
        assert_eq!(of(GRID) / (192.0 * 128.0), 19.0);
        assert!(of(NO_MATRIX) / (96.0 * 64.0) <= 19.0);
        assert!(of(ALPHA) / (96.0 * 64.0) >= 19.0);
    }

    #[test]
    fn a_budget_for_one_is_enough_for_many_threads() {
        let need = Heic::open(LARGE).unwrap().need;
        let budget = Budget::new(need + need / 2);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        // Without threads of the decoder's own this never ends: its tiles take long enough that one of ours that waits for
        // them takes up another picture.
        pool.install(|| {
            (0..24).into_par_iter().for_each(|_| {
                assert_eq!(decode(LARGE, &budget).unwrap().pixels.dimensions(), (1536, 1024));
            });
        });
        let most = Budget::new(need - 1);
        assert_eq!(decode(LARGE, &most).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn changed_and_cut_files_are_refused_or_read() {
        let budget = Budget::new(64 << 20);
        for bytes in [NO_MATRIX, GRID, ALPHA] {
            for length in 0..bytes.len() {
                // What is said of the picture may come last, and may be missing.
                assert!(decode(&bytes[..length], &budget).is_err() || 2 * length > bytes.len());
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << (at % 8);
                let _ = decode(&changed, &budget);
            }
        }
    }
}
