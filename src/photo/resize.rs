//! Antialiased resizing: as in Pillow, the filter is widened by the scale when a picture becomes smaller.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use image::imageops::crop_imm;

use super::pillow::{self, Filter};

/// How a picture fills a square tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TileFit {
    /// Fill the cell and crop what does not fit
    Cover,
    /// Show the whole picture, with margins
    Contain,
    /// Fill the cell with the whole picture, distorted
    Stretch,
}

/// Resizes the whole picture to `side` x `side`, bit-exact with Pillow.
pub fn square(picture: &RgbImage, side: u32, filter: Filter) -> RgbImage {
    pillow::resize(picture, side, side, filter)
}

/// Resizes the whole picture to `width` x `height` with a fast bilinear filter, which is not bit-exact with Pillow.
pub fn stretch(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    resize(picture, width, height, &ResizeOptions::new(), FilterType::Bilinear)
}

/// A picture whose sides have a larger ratio is cropped before it is scaled.
const MAX_ASPECT_RATIO: u32 = 8;

/// Scales the shorter side to `short`, bit-exact with Pillow, and crops the middle `side` x `side`: torchvision's
/// `Resize` and `CenterCrop`. `side` must be at most `short`.
pub fn crop_middle(picture: &RgbImage, short: u32, side: u32, filter: Filter) -> RgbImage {
    let (width, height) = picture.dimensions();
    let max_length = width.min(height).saturating_mul(MAX_ASPECT_RATIO);
    if width.max(height) > max_length {
        // Only the middle of a very long picture is scaled. The rest would be cropped anyway, and a strip of 1 x 60,000
        // would first become 256 x 15,360,000.
        let (w, h) = (width.min(max_length), height.min(max_length));
        let middle = crop_imm(picture, (width - w) / 2, (height - h) / 2, w, h).to_image();
        return crop_middle(&middle, short, side, filter);
    }
    // torchvision truncates the longer side, and rounds the crop's offset half to even as Python does.
    let scaled = |long: u32, other: u32| (u64::from(short) * u64::from(long) / u64::from(other)).max(1) as u32;
    let (width, height) = if width <= height { (short, scaled(height, width)) } else { (scaled(width, height), short) };
    let scaled = pillow::resize(picture, width, height, filter);
    let middle = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
    crop_imm(&scaled, middle(width), middle(height), side, side).to_image()
}

/// A shrunk picture keeps at least this many pixels on its shorter side.
pub const MIN_SHRUNK_SIDE: u32 = 720;

/// Shrinks the picture by the largest whole factor that leaves its shorter side [`MIN_SHRUNK_SIDE`] pixels or more.
/// Each pixel is the mean of a square. `None` if that factor is 1. Thumbnails of up to about half that size look the
/// same whether they are made of the shrunk or of the full picture, and cost a fraction of the time.
pub fn shrunk(picture: &RgbImage) -> Option<RgbImage> {
    let (width, height) = picture.dimensions();
    let factor = width.min(height) / MIN_SHRUNK_SIDE;
    (factor > 1).then(|| resize(picture, width / factor, height / factor, &ResizeOptions::new(), FilterType::Box))
}

/// A thumbnail for a square of `cell` pixels. With [`TileFit::Contain`], the shorter side of the result is shorter than
/// `cell`, and the caller draws it on a background.
pub fn tile(picture: &RgbImage, cell: u32, fit: TileFit) -> RgbImage {
    let filter = FilterType::CatmullRom;
    match fit {
        TileFit::Stretch => resize(picture, cell, cell, &ResizeOptions::new(), filter),
        TileFit::Cover => {
            let middle = ResizeOptions::new().fit_into_destination(None);
            resize(picture, cell, cell, &middle, filter)
        }
        TileFit::Contain => {
            let (width, height) = picture.dimensions();
            let long = width.max(height);
            let side = |length: u32| (f64::from(length) * f64::from(cell) / f64::from(long)).round().max(1.0) as u32;
            resize(picture, side(width), side(height), &ResizeOptions::new(), filter)
        }
    }
}

fn resize(picture: &RgbImage, width: u32, height: u32, options: &ResizeOptions, filter: FilterType) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    // The untyped call would compile the resizer for all fourteen pixel types.
    let from = TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
        .expect("an RgbImage's buffer has its size");
    let mut resized = RgbImage::new(width, height);
    let mut to = TypedImage::<U8x3>::from_buffer(width, height, &mut resized).expect("the buffer has its size");
    let options = options.resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize_typed(&from, &mut to, &options).expect("source and destination have at least one pixel");
    resized
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A picture with a black left half and a white right half.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| Rgb([if x < width / 2 { 0 } else { 255 }; 3]))
    }

    #[test]
    fn stretching_averages_over_the_area() {
        let stripes = RgbImage::from_fn(64, 64, |x, _| Rgb([if x % 2 == 0 { 0 } else { 200 }; 3]));
        let small = stretch(&stripes, 4, 4);
        assert!(small.pixels().all(|p| (95..=105).contains(&p.0[0])), "no aliasing: {small:?}");
    }

    #[test]
    fn tiles_cover_contain_or_stretch() {
        let wide = halves(100, 50);
        assert_eq!(tile(&wide, 20, TileFit::Cover).dimensions(), (20, 20));
        assert_eq!(tile(&wide, 20, TileFit::Contain).dimensions(), (20, 10));
        assert_eq!(tile(&wide, 20, TileFit::Stretch).dimensions(), (20, 20));
        assert_eq!(tile(&halves(1000, 1), 20, TileFit::Contain).dimensions(), (20, 1));
    }

    #[test]
    fn the_middle_is_kept() {
        let crop = |picture: &RgbImage| crop_middle(picture, 256, 224, Filter::Bilinear);
        let picture = crop(&halves(300, 100));
        assert_eq!(picture.dimensions(), (224, 224));
        assert_eq!(picture.get_pixel(10, 100).0, [0; 3]);
        assert_eq!(picture.get_pixel(214, 100).0, [255; 3]);
        assert_eq!(crop(&halves(1, 1)).dimensions(), (224, 224));
        assert_eq!(crop(&halves(1, 60_000)).dimensions(), (224, 224));
    }

    #[test]
    fn a_shrunk_picture_gives_the_same_thumbnails_but_for_a_shade() {
        let wave = |x: u32, period: f64| (127.0 + 120.0 * (f64::from(x) / period).sin()) as u8;
        let picture = RgbImage::from_fn(3001, 2203, |x, y| Rgb([wave(x, 90.0), wave(y, 40.0), wave(x + y, 300.0)]));
        let small = shrunk(&picture).unwrap();
        assert_eq!(small.dimensions(), (1000, 734));
        for (cell, fit) in [(64, TileFit::Cover), (128, TileFit::Stretch), (512, TileFit::Contain)] {
            let (from_full, from_small) = (tile(&picture, cell, fit), tile(&small, cell, fit));
            assert_eq!(from_full.dimensions(), from_small.dimensions());
            let difference = from_full.as_raw().iter().zip(from_small.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(difference <= Some(6), "{cell}: {difference:?}");
        }
        assert!(shrunk(&RgbImage::new(4000, 1439)).is_none());
    }
}
