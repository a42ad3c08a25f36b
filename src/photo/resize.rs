//! Antialiased resizing: the filter is widened by the scale, as Pillow does it.

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
    /// Fill the tile, cut what sticks out
    Cover,
    /// Show all of it
    Contain,
    /// Distort it
    Stretch,
}

/// The whole picture in `side` x `side`, as Pillow makes it.
pub fn square(picture: &RgbImage, side: u32, filter: Filter) -> RgbImage {
    pillow::resize(picture, side, side, filter)
}

/// The whole picture in `width` x `height`, bilinear, fast.
pub fn stretch(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    resize(picture, width, height, &ResizeOptions::new(), FilterType::Bilinear)
}

/// Sides further apart than this are brought nearer before scaling.
const LONGEST: u32 = 8;

/// The picture with its short side scaled to `short` with Pillow's arithmetic, and of that the middle
/// `side` x `side`: torchvision's `Resize` and `CenterCrop`.
pub fn crop_middle(picture: &RgbImage, short: u32, side: u32, filter: Filter) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.min(height).saturating_mul(LONGEST);
    if width.max(height) > longest {
        // Of a very long picture only the middle is scaled: the rest would be cut off anyway, and
        // a strip of 1 x 60,000 would become 256 x 15,360,000 first.
        let (w, h) = (width.min(longest), height.min(longest));
        let middle = crop_imm(picture, (width - w) / 2, (height - h) / 2, w, h).to_image();
        return crop_middle(&middle, short, side, filter);
    }
    let scaled = |long: u32, other: u32| (u64::from(short) * u64::from(long) / u64::from(other)).max(1) as u32;
    let (width, height) = if width <= height { (short, scaled(height, width)) } else { (scaled(width, height), short) };
    let scaled = pillow::resize(picture, width, height, filter);
    let middle = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
    crop_imm(&scaled, middle(width), middle(height), side, side).to_image()
}

/// The shorter side of a picture that was shrunk has at least so many pixels.
pub const SHRUNK: u32 = 720;

/// The picture shrunk by a whole factor, each pixel the mean of a square, so that its shorter side has 720 pixels
/// or somewhat more; none where that is no smaller. Thumbnails of half that size made of it look the same as those
/// made of the picture, and cost a fraction.
pub fn shrunk(picture: &RgbImage) -> Option<RgbImage> {
    let (width, height) = picture.dimensions();
    let factor = width.min(height) / SHRUNK;
    (factor > 1).then(|| resize(picture, width / factor, height / factor, &ResizeOptions::new(), FilterType::Box))
}

/// A thumbnail for a square of `cell` pixels. With `Contain` one side is shorter than `cell`;
/// the caller lays it on its background.
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
    // Typed, since the untyped call compiles the resizer for all fourteen kinds of pixel.
    let from = TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
        .expect("an RgbImage's buffer has its size");
    let mut resized = RgbImage::new(width, height);
    let mut to = TypedImage::<U8x3>::from_buffer(width, height, &mut resized).expect("the size it was made with");
    let options = options.resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize_typed(&from, &mut to, &options).expect("neither is empty");
    resized
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Left half black, right half white.
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
            let (one, two) = (tile(&picture, cell, fit), tile(&small, cell, fit));
            assert_eq!(one.dimensions(), two.dimensions());
            let off = one.as_raw().iter().zip(two.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(off <= Some(6), "{cell}: {off:?}");
        }
        assert!(shrunk(&RgbImage::new(4000, 1439)).is_none());
    }
}
