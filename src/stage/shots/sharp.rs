//! How sharp a picture is: which of two of the same size, one of them encoded once more or out of focus, has more detail.

use image::RgbImage;
use rayon::prelude::*;

use crate::artifact::rows::ImageRow;
use crate::render::tiles::Tiles;

/// How sharp each of these is; none of a picture that cannot be had any more.
pub(super) fn of_each(tiles: &Tiles<'_>, rows: &[&ImageRow]) -> Vec<Option<f64>> {
    rows.par_iter().map(|row| tiles.small(&row.image).ok().map(|pixels| of(&pixels))).collect()
}

/// Mean square of the Laplacian for the variance, of luminance: contrast and brightness alone change nothing.
fn of(picture: &RgbImage) -> f64 {
    let (width, height) = picture.dimensions();
    if width < 3 || height < 3 {
        return 0.0;
    }
    let shade = |x: u32, y: u32| {
        let [red, green, blue] = picture.get_pixel(x, y).0.map(f64::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    };
    let (mut sum, mut squares, mut detail) = (0.0, 0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = shade(x, y);
            let laplacian = shade(x - 1, y) + shade(x + 1, y) + shade(x, y - 1) + shade(x, y + 1) - 4.0 * at;
            (sum, squares, detail) = (sum + at, squares + at * at, detail + laplacian * laplacian);
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
        assert!(of(&blurred) < 0.5 * of(&picture));
        assert!((of(&brighter) / of(&picture) - 1.0).abs() < 0.1);
        assert_eq!(of(&RgbImage::new(2, 2)), 0.0);
    }
}
