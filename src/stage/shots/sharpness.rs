//! How sharp a picture is. Between two pictures of the same size, the sharper one has more detail: the other may have
//! been encoded again, or be out of focus.

use image::RgbImage;
use rayon::prelude::*;

use crate::artifact::rows::ImageRow;
use crate::render::thumbnails::ThumbnailSource;

/// The sharpness of each picture, `None` for pictures that can no longer be read.
pub(super) fn of_each(tiles: &ThumbnailSource<'_>, rows: &[&ImageRow]) -> Vec<Option<f64>> {
    rows.par_iter().map(|row| tiles.small(&row.image).ok().map(|pixels| sharpness(&pixels))).collect()
}

/// The mean square of the Laplacian of the luminance, divided by the variance of the luminance. Dividing by the
/// variance makes the value independent of brightness and contrast; adding 1 avoids a division by zero for flat
/// pictures.
fn sharpness(picture: &RgbImage) -> f64 {
    let (width, height) = picture.dimensions();
    if width < 3 || height < 3 {
        return 0.0;
    }
    let luminance = |x: u32, y: u32| {
        let [red, green, blue] = picture.get_pixel(x, y).0.map(f64::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    };
    let (mut sum, mut squares, mut detail) = (0.0, 0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let value = luminance(x, y);
            let laplacian =
                luminance(x - 1, y) + luminance(x + 1, y) + luminance(x, y - 1) + luminance(x, y + 1) - 4.0 * value;
            (sum, squares, detail) = (sum + value, squares + value * value, detail + laplacian * laplacian);
        }
    }
    let count = f64::from(width - 2) * f64::from(height - 2);
    let variance = squares / count - (sum / count).powi(2);
    detail / count / (variance + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_blurred_picture_is_less_sharp_and_a_brighter_one_is_not() {
        let picture = RgbImage::from_fn(64, 48, |x, y| Rgb([((x * 37 + y * 59) % 101) as u8; 3]));
        let brighter = RgbImage::from_fn(64, 48, |x, y| Rgb(picture.get_pixel(x, y).0.map(|shade| shade + shade / 2)));
        let blurred = image::imageops::blur(&picture, 1.0);
        assert!(sharpness(&blurred) < 0.5 * sharpness(&picture));
        assert!((sharpness(&brighter) / sharpness(&picture) - 1.0).abs() < 0.1);
        assert_eq!(sharpness(&RgbImage::new(2, 2)), 0.0);
    }
}
