//! JPEG, PNG and WebP files, written band by band, so that memory does not grow with the height of the canvas. Only
//! lossless WebP has to be in memory as a whole; its limit of 16,383 pixels a side bounds that at 805 MB.

use std::cell::RefCell;
use std::io::{self, Write};

use anyhow::{Result, anyhow, bail};
use image::codecs::jpeg::JpegEncoder;
use image::{GenericImageView, Rgb, RgbImage};
use image_webp::{ColorType, WebPEncoder};

use super::remark::{self, CommentWriter};
use super::{Canvas, each_band};

/// The file format of a drawn grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lossy, up to 65,535 pixels a side.
    Jpeg,
    /// Lossless, of any practical size.
    Png,
    /// Written losslessly, up to 16,383 pixels a side.
    Webp,
    /// A folder of JPEG tiles at every scale (see [`super::dzi`]), of any practical size.
    Dzi,
}

impl Format {
    /// The format that a file name's suffix stands for, in any case of letters; `None` if it is unknown.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::Webp),
            "dzi" => Some(Self::Dzi),
            _ => None,
        }
    }

    /// Its name in messages and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Dzi => "dzi",
        }
    }

    /// The suffix of its file names, without a dot.
    pub fn suffix(self) -> &'static str {
        if self == Self::Jpeg { "jpg" } else { self.name() }
    }

    /// The longest side that the format allows, in pixels.
    pub fn largest_side(self) -> u64 {
        match self {
            Self::Jpeg => 65_535,
            Self::Png | Self::Dzi => i32::MAX as u64,
            Self::Webp => 16_383,
        }
    }

    /// Checks a size before any work is done for it.
    ///
    /// # Errors
    /// When a side is longer than the format allows. The message names formats that allow it.
    pub fn check(self, width: u64, height: u64) -> Result<()> {
        let max_side = self.largest_side();
        if width.max(height) > max_side {
            bail!(
                "a drawn grid of {width}x{height} pixels does not fit into a {}, which allows at most {max_side} per side; \
                 make the cells smaller (--cell){}",
                self.name(),
                if self.largest_side() == i32::MAX as u64 { "" } else { " or write a .png or a .dzi" },
            );
        }
        Ok(())
    }
}

/// Draws `canvas` and encodes it in this format. `quality` (1 to 100) only matters for JPEG. `remark` is written into
/// the file's metadata unless it is empty.
///
/// # Errors
/// When drawing or writing fails, or the format is [`Format::Dzi`], which is not a single file.
pub fn encode(canvas: &mut dyn Canvas, format: Format, quality: u8, remark: &str, out: &mut dyn Write) -> Result<()> {
    match format {
        Format::Jpeg => jpeg(canvas, quality, remark, out),
        Format::Png => png(canvas, remark, out),
        Format::Webp => webp(canvas, remark, out),
        Format::Dzi => bail!("deep zoom is a folder of tiles, not a single file"),
    }
}

fn png(canvas: &mut dyn Canvas, remark: &str, out: &mut dyn Write) -> Result<()> {
    let mut encoder = png::Encoder::new(out, canvas.width(), canvas.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    if !remark.is_empty() {
        encoder.add_itxt_chunk(remark::KEYWORD.to_owned(), remark.to_owned())?;
    }
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer()?;
    each_band(canvas, |band, _| Ok(stream.write_all(band.as_raw())?))?;
    stream.finish()?;
    Ok(writer.finish()?)
}

fn webp(canvas: &mut dyn Canvas, remark: &str, out: &mut dyn Write) -> Result<()> {
    let mut whole = RgbImage::new(canvas.width(), canvas.height());
    canvas.draw(0, &mut whole)?;
    let (width, height) = whole.dimensions();
    let mut encoder = WebPEncoder::new(out);
    if !remark.is_empty() {
        encoder.set_xmp_metadata(remark::xmp(remark).into_bytes());
    }
    Ok(encoder.encode(whole.as_raw(), width, height, ColorType::Rgb8)?)
}

fn jpeg(canvas: &mut dyn Canvas, quality: u8, remark: &str, out: &mut dyn Write) -> Result<()> {
    let bands = BandedImage {
        size: (canvas.width(), canvas.height()),
        state: RefCell::new(BandState { canvas, rows: RgbImage::new(0, 0), top: 0, failure: None }),
    };
    let mut out = CommentWriter::new(io::BufWriter::new(out), remark);
    JpegEncoder::new_with_quality(&mut out, quality).encode_image(&bands)?;
    out.flush()?;
    bands.state.into_inner().failure.map_or(Ok(()), Err)
}

/// Presents a canvas as the image whose pixels the JPEG encoder requests. The encoder goes from top to bottom by rows
/// of blocks, so only the bands that contain the current row of blocks have to be in memory.
struct BandedImage<'a> {
    size: (u32, u32),
    state: RefCell<BandState<'a>>,
}

struct BandState<'a> {
    canvas: &'a mut dyn Canvas,
    /// The rows in memory, of which the first is row `top` of the canvas.
    rows: RgbImage,
    top: u32,
    /// The first failure. `get_pixel` cannot return an error, so the rest is encoded as black, and discarded.
    failure: Option<anyhow::Error>,
}

/// Rows of pixels that a row of JPEG blocks spans at most: 16 if the encoder subsamples colours, otherwise 8.
const BLOCK_ROWS: u32 = 16;

impl BandState<'_> {
    /// Draws bands until row `y` is in memory, and drops the rows above its row of blocks.
    fn ensure_row(&mut self, y: u32, width: u32, height: u32) {
        while self.failure.is_none() && !(self.top..self.top + self.rows.height()).contains(&y) {
            if y < self.top {
                self.failure = Some(anyhow!("the JPEG encoder went back to row {y}"));
                return;
            }
            // Keep the rows that the row of blocks of `y` still needs, and draw the next band under them.
            let drawn = self.top + self.rows.height();
            let first_kept = (y / BLOCK_ROWS * BLOCK_ROWS).clamp(self.top, drawn);
            let kept_rows = drawn - first_kept;
            let mut band = RgbImage::new(width, self.canvas.band().max(1).min(height - drawn));
            if let Err(error) = self.canvas.draw(drawn, &mut band) {
                self.failure = Some(error);
                return;
            }
            let row_bytes = 3 * width as usize;
            let mut rows = self.rows.as_raw()[(first_kept - self.top) as usize * row_bytes..].to_vec();
            rows.extend_from_slice(band.as_raw());
            self.rows = RgbImage::from_raw(width, kept_rows + band.height(), rows).expect("whole rows");
            self.top = first_kept;
        }
    }
}

impl GenericImageView for BandedImage<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let mut state = self.state.borrow_mut();
        state.ensure_row(y, self.size.0, self.size.1);
        if state.failure.is_some() { Rgb([0; 3]) } else { *state.rows.get_pixel(x, y - state.top) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gradient that checks that its rows are drawn once and in order.
    struct Gradient {
        width: u32,
        height: u32,
        band: u32,
        drawn: u32,
        fail_at: Option<u32>,
    }

    impl Gradient {
        fn colour(x: u32, y: u32) -> Rgb<u8> {
            Rgb([(x * 3) as u8, (y * 2) as u8, ((x + y) / 2) as u8])
        }

        fn new(width: u32, height: u32, band: u32) -> Self {
            Self { width, height, band, drawn: 0, fail_at: None }
        }
    }

    impl Canvas for Gradient {
        fn width(&self) -> u32 {
            self.width
        }
        fn height(&self) -> u32 {
            self.height
        }
        fn band(&self) -> u32 {
            self.band
        }
        fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
            assert_eq!(top, self.drawn, "every row is drawn once, in order");
            if self.fail_at.is_some_and(|row| top >= row) {
                bail!("no more");
            }
            self.drawn += band.height();
            for (x, y, pixel) in band.enumerate_pixels_mut() {
                *pixel = Self::colour(x, top + y);
            }
            Ok(())
        }
    }

    fn encoded(gradient: &mut Gradient, format: Format) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        encode(gradient, format, 90, "", &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn bands_make_the_same_file_as_a_whole_picture() {
        for (width, height) in [(1, 1), (37, 50), (64, 48), (17, 33)] {
            let whole = RgbImage::from_fn(width, height, Gradient::colour);
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&whole).unwrap();
            for band in [1, 5, 7, 16, 24, 100] {
                let lossless = encoded(&mut Gradient::new(width, height, band), Format::Png).unwrap();
                assert_eq!(image::load_from_memory(&lossless).unwrap().into_rgb8(), whole);
                assert_eq!(
                    encoded(&mut Gradient::new(width, height, band), Format::Jpeg).unwrap(),
                    jpeg,
                    "{width}x{height}/{band}"
                );
            }
            let webp = encoded(&mut Gradient::new(width, height, height), Format::Webp).unwrap();
            assert_eq!(image::load_from_memory(&webp).unwrap().into_rgb8(), whole);
        }
    }

    #[test]
    fn a_failure_while_drawing_is_the_callers_error() {
        for format in [Format::Jpeg, Format::Png] {
            let mut gradient = Gradient { fail_at: Some(8), ..Gradient::new(20, 40, 8) };
            assert_eq!(encoded(&mut gradient, format).unwrap_err().to_string(), "no more");
        }
    }

    #[test]
    fn limits_are_known_beforehand() {
        assert!(Format::Jpeg.check(65_535, 1).is_ok());
        let error = Format::Jpeg.check(65_536, 1).unwrap_err().to_string();
        assert!(error.contains("65536x1") && error.contains("65535") && error.contains(".png"), "{error}");
        assert!(Format::Webp.check(16_384, 1).is_err());
        assert!(Format::Png.check(1 << 20, 1 << 20).is_ok());
        assert_eq!(Format::of("a/b.JPeG".as_ref()), Some(Format::Jpeg));
        assert_eq!(Format::of("a/b.tiff".as_ref()), None);
    }
}
