//! HEIC: decodes the primary picture of a HEIF file that is coded with HEVC. The decoder applies the orientation of the
//! file's properties (`irot`, `imir`); that of EXIF is ignored.

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

use super::colour::{Cicp, Colours};
use super::decoder::{TRUNCATED, blend, one_line};
use super::exif_xmp::ExifXmp;
use super::{DecodeError, IN_DECODER, Reason, decode_error};

/// Bytes per sample in the decoder.
const BYTES_PER_SAMPLE: u64 = 4;
/// Limit on the NAL units of a coded picture. Encoders write one, or one per row of blocks.
const MAX_NAL_UNITS: usize = 4096;
// Matrix coefficients of ITU-T H.273.
const UNSPECIFIED: u16 = 2;
const BT_601: u16 = 6;

/// A picture whose header has been read.
pub(super) struct Heic {
    /// Width and height in pixels, after the orientation is applied.
    pub(super) size: (u32, u32),
    /// Peak memory of decoding in bytes.
    peak_bytes: u64,
    /// The colour space, if the file specifies one.
    pub(super) colours: Option<Colours>,
}

impl Heic {
    pub(super) fn open(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The sanitised file, and the copies of its parts that the decoder makes: items and tiles take at most twice
        // the size of the file each (`boxes`).
        let copied = 5 * bytes.len() as u64;
        let bytes = boxes::sanitised(bytes)?;
        let info = probe(&bytes).map_err(to_decode_error)?;
        let parsed = parse(&bytes).map_err(to_decode_error)?;
        let colour = Plane::of(&parsed)?;
        let peak_bytes = match &parsed.alpha {
            Some(alpha) => colour.peak_bytes().max(colour.picture_bytes() + Plane::of(&alpha.image)?.peak_bytes()),
            None => colour.peak_bytes(),
        };
        let colour_info = parsed.metadata.color_info.or(colour.colour_info);
        let code = colour_info.map(|colour_info| {
            Colours::Cicp(Cicp {
                primaries: colour_info.color_primaries,
                transfer: colour_info.transfer_characteristics,
            })
        });
        let side =
            |length: usize| u32::try_from(length).map_err(|_| to_decode_error(HeifError::LimitExceeded("a side")));
        let size = (side(info.width)?, side(info.height)?);
        Ok(Self {
            size,
            peak_bytes: peak_bytes + copied,
            colours: parsed.metadata.icc_profile.map(Colours::Profile).or(code),
        })
    }

    /// Bytes that decoding takes in addition to the two RGB pictures. When those are allocated, the decoder has freed
    /// more than they take, so they are subtracted from the peak.
    pub(super) fn buffer_bytes(&self) -> u64 {
        self.peak_bytes.saturating_sub(6 * u64::from(self.size.0) * u64::from(self.size.1))
    }

    /// Decodes the pixels, upright, with transparency blended over white.
    pub(super) fn read(self, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
        let bytes = boxes::sanitised(bytes)?;
        let pool = POOL.as_ref().map_err(|error| decode_error(Reason::Undecodable, one_line(error)))?;
        // The decoder decodes tiles with a parallel iterator. If a thread of the program's own pool waited for it,
        // rayon would let that thread start on another picture meanwhile, and it would wait there for memory that it
        // holds itself. A plain thread outside any pool only waits.
        let pixels = thread::scope(|scope| {
            let worker = thread::Builder::new().spawn_scoped(scope, || {
                IN_DECODER.set(true);
                pool.install(|| pixels(&bytes))
            });
            let worker = worker.map_err(|error: io::Error| decode_error(Reason::Undecodable, one_line(&error)))?;
            worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })?;
        match pixels.dimensions() == self.size {
            true => Ok(pixels),
            false => Err(decode_error(Reason::Undecodable, "its picture has another size than its header says")),
        }
    }
}

/// The threads that decode tiles, shared by all pictures and as many as the program's own pool has.
static POOL: LazyLock<Result<ThreadPool, rayon::ThreadPoolBuildError>> = LazyLock::new(|| {
    let threads = rayon::current_num_threads();
    rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| IN_DECODER.set(true)).build()
});

/// Decodes the picture and blends it over white. Runs in [`POOL`].
fn pixels(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let mut picture = heic_decoder::decode(bytes).map_err(to_decode_error)?;
    let mut colour_info = picture.color_info.unwrap_or_default();
    if picture.color_info.is_none_or(|colour_info| colour_info.matrix_coefficients == UNSPECIFIED) {
        // The decoder's default is BT.709. Writers that name no matrix mean BT.601, and other readers assume it too.
        colour_info.matrix_coefficients = BT_601;
    }
    picture.color_info = Some(colour_info);
    let (width, height) = (picture.width as u32, picture.height as u32);
    let levels = if picture.alpha.is_some() {
        let rgba = picture.to_rgba8().map_err(to_decode_error)?;
        drop(picture);
        let is_premultiplied = rgba.premultiplied;
        let over_white = |&[red, green, blue, alpha]: &[u8; 4]| {
            [red, green, blue]
                .map(|level| if is_premultiplied { level.saturating_add(255 - alpha) } else { blend(level, alpha) })
        };
        rgba.data.as_chunks::<4>().0.iter().flat_map(over_white).collect()
    } else {
        picture.to_rgb8().map_err(to_decode_error)?.data
    };
    RgbImage::from_raw(width, height, levels)
        .ok_or_else(|| decode_error(Reason::Undecodable, "it has fewer pixels than its header says"))
}

/// The size of one coded picture: that of the colours, or that of the transparency.
struct Plane {
    /// Coded pixels of all tiles, including the padding to whole blocks.
    coded: u64,
    /// Pixels of the picture that is assembled from the tiles.
    canvas: u64,
    /// Samples per two pixels: 2 for grey, 3 for 4:2:0, 4 for 4:2:2, 6 for 4:4:4. (Two, because 4:2:0 has one and a
    /// half per pixel.)
    samples: u64,
    /// The colour space in the coded data, used if the file specifies none.
    colour_info: Option<ColorInfo>,
}

impl Plane {
    fn of(parsed: &ParsedHeif) -> Result<Self, DecodeError> {
        let mut plane = Self { coded: 0, canvas: 0, samples: 2, colour_info: None };
        for image in parsed.images.iter().chain(&parsed.reference_image) {
            check_nal_count(image)?;
            let sps = sequence_parameters(image).map_err(to_decode_error)?;
            plane.coded += u64::from(sps.pic_width_in_luma_samples) * u64::from(sps.pic_height_in_luma_samples);
            plane.samples = plane.samples.max([2, 3, 4, 6][sps.chroma_format_idc.min(3) as usize]);
            plane.colour_info = plane.colour_info.or(sps.color_info);
        }
        plane.canvas =
            parsed.grid.map_or(plane.coded, |grid| u64::from(grid.output_width) * u64::from(grid.output_height));
        Ok(plane)
    }

    /// Bytes of the decoded picture.
    fn picture_bytes(&self) -> u64 {
        self.canvas * self.samples * BYTES_PER_SAMPLE / 2
    }

    /// Peak memory in bytes: the tiles, the picture assembled from them, a copy of it that is turned upright, and one
    /// byte per pixel for the decoder's own state.
    fn peak_bytes(&self) -> u64 {
        self.coded * self.samples * BYTES_PER_SAMPLE / 2 + 2 * self.picture_bytes() + self.coded.max(self.canvas)
    }
}

/// Parses the sequence parameter set (SPS) of a coded picture.
fn sequence_parameters(image: &ResolvedImage) -> Result<Sps, HeifError> {
    for coded in image.hevc_config.nalus_of_type(NAL_SPS) {
        let (header, body) = parse_nal_header(coded)?;
        if header.nal_unit_type == NAL_SPS && header.nuh_layer_id == 0 {
            return parse_sps(&strip_emulation_prevention(body));
        }
    }
    Err(HeifError::MalformedHevc("no sequence parameter set"))
}

/// Checks the number of NAL units. The decoder lists them, and with many empty ones the list would take more memory
/// than the file.
fn check_nal_count(image: &ResolvedImage) -> Result<(), DecodeError> {
    let length_bytes = usize::from(image.hevc_config.length_size_minus_one) + 1;
    let (mut rest, mut count) = (&image.data[..], 0);
    while let Some((length, after)) = rest.split_at_checked(length_bytes).filter(|_| !rest.is_empty()) {
        let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        rest = after.get(length..).unwrap_or_default();
        count += 1;
        if count > MAX_NAL_UNITS {
            return Err(decode_error(Reason::Undecodable, "its picture has too many parts (NAL units)"));
        }
    }
    Ok(())
}

/// Adds the metadata blocks of the file.
pub(super) fn add_exif_xmp(bytes: &[u8], blocks: &mut ExifXmp<'_>) {
    let Ok(metadata) = boxes::sanitised(bytes).and_then(|bytes| read_metadata(&bytes).map_err(to_decode_error)) else {
        return;
    };
    metadata.exif.into_iter().for_each(|exif| blocks.add_exif(exif));
    metadata.xmp.into_iter().for_each(|xmp| blocks.add_xmp(xmp));
}

fn to_decode_error(error: HeifError) -> DecodeError {
    match error {
        HeifError::Truncated { .. } => decode_error(Reason::Undecodable, TRUNCATED),
        HeifError::Unsupported(feature) => decode_error(
            Reason::Unsupported,
            format!("a HEIF picture of an unsupported kind ({feature}); convert it to JPEG first"),
        ),
        HeifError::LimitExceeded(_) => decode_error(Reason::TooLarge, one_line(&error)),
        _ => decode_error(Reason::Undecodable, one_line(&error)),
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
        for (x, y, expected) in [(24, 16, [200, 60, 60]), (72, 16, [60, 170, 60]), (24, 48, [60, 60, 200])] {
            let actual = photo.pixels.get_pixel(x, y).0;
            assert!((0..3).all(|c| actual[c].abs_diff(expected[c]) <= 2), "{actual:?} for {expected:?}");
        }
    }

    #[test]
    fn colours_by_numbers_are_wide_or_of_high_range() {
        let budget = Budget::new(1 << 30);
        let stored = decode(NO_MATRIX, &budget).unwrap().pixels;
        for (primaries, transfer) in [(9, 16), (9, 18), (1, 16), (9, 1), (12, 13)] {
            let mut bytes = NO_MATRIX.to_vec();
            let offset = bytes.windows(8).position(|kind| kind == b"colrnclx").unwrap() + 8;
            bytes[offset..offset + 4].copy_from_slice(&[0, primaries, 0, transfer]);
            let mut expected = stored.clone();
            Colours::Cicp(Cicp { primaries: primaries.into(), transfer: transfer.into() }).to_srgb(&mut expected);
            assert_ne!(expected, stored);
            assert_eq!(decode(&bytes, &budget).unwrap().pixels, expected, "{primaries}, {transfer}");
        }
    }

    #[test]
    fn a_pixel_takes_19_bytes() {
        let peak_bytes = |bytes: &[u8]| (Heic::open(bytes).unwrap().peak_bytes - 5 * bytes.len() as u64) as f64;
        // The tiles are 64 pixels wide and high, so there is no padding.
        assert_eq!(peak_bytes(GRID) / (192.0 * 128.0), 19.0);
        assert!(peak_bytes(NO_MATRIX) / (96.0 * 64.0) <= 19.0);
        assert!(peak_bytes(ALPHA) / (96.0 * 64.0) >= 19.0);
    }

    #[test]
    fn a_budget_for_one_is_enough_for_many_threads() {
        let peak_bytes = Heic::open(LARGE).unwrap().peak_bytes;
        let budget = Budget::new(peak_bytes + peak_bytes / 2);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        // Without a pool for the decoder, this test never ends: decoding the tiles takes so long that a waiting thread
        // of this pool starts on another picture.
        pool.install(|| {
            (0..24).into_par_iter().for_each(|_| {
                assert_eq!(decode(LARGE, &budget).unwrap().pixels.dimensions(), (1536, 1024));
            });
        });
        let too_small = Budget::new(peak_bytes - 1);
        assert_eq!(decode(LARGE, &too_small).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn changed_and_cut_files_are_refused_or_read() {
        let budget = Budget::new(64 << 20);
        for bytes in [NO_MATRIX, GRID, ALPHA] {
            for length in 0..bytes.len() {
                // The metadata may come last, and may be missing.
                assert!(decode(&bytes[..length], &budget).is_err() || 2 * length > bytes.len());
            }
            for offset in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[offset] ^= 1 << (offset % 8);
                let _ = decode(&changed, &budget);
            }
        }
    }
}
