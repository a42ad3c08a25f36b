//! Colours that a picture's profile (ICC) means become those of sRGB, which all that is drawn and embedded has.

use std::sync::Arc;

use image::RgbImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, RenderingIntent, Transform8BitExecutor, TransformOptions};

/// A profile that changes no colour by more levels is sRGB, as somebody else rounds it.
const SAME: u8 = 2;
/// A profile of which black and white become something else, by more levels, is broken.
const FAR: u8 = 64;

/// Puts the colours of `picture` into sRGB, if they are others by its profile. A profile that is broken, or of other
/// colours than RGB, changes nothing.
pub(super) fn to_srgb(picture: &mut RgbImage, profile: &[u8]) {
    let Some(transform) = transform(profile) else { return };
    let width = picture.width() as usize;
    let mut row = vec![0; 3 * width];
    for pixels in picture.chunks_exact_mut(3 * width) {
        if transform.transform(pixels, &mut row).is_ok() {
            pixels.copy_from_slice(&row);
        }
    }
}

fn transform(profile: &[u8]) -> Option<Arc<Transform8BitExecutor>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    (profile.color_space == DataColorSpace::Rgb).then_some(())?;
    let options = TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..Default::default() };
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options).ok()?;
    // All colours of six levels a channel, black first, white last.
    let samples: Vec<u8> = (0..216_u8).flat_map(|i| [i / 36, i / 6 % 6, i % 6].map(|level| 51 * level)).collect();
    let mut changed = vec![0; samples.len()];
    transform.transform(&samples, &mut changed).ok()?;
    let far = |from: usize| (from..from + 3).any(|i| samples[i].abs_diff(changed[i]) > FAR);
    let is_broken = far(0) || far(samples.len() - 3);
    let is_other = samples.iter().zip(&changed).any(|(a, b)| a.abs_diff(*b) > SAME);
    (is_other && !is_broken).then_some(transform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn changed(profile: &[u8], colour: [u8; 3]) -> [u8; 3] {
        let mut picture = RgbImage::from_pixel(3, 2, Rgb(colour));
        to_srgb(&mut picture, profile);
        assert!(picture.pixels().all(|pixel| pixel == picture.get_pixel(0, 0)));
        picture.get_pixel(0, 0).0
    }

    /// A colour of sRGB in the terms of a profile.
    fn written(profile: &[u8], colour: [u8; 3]) -> [u8; 3] {
        let (profile, mut there) = (ColorProfile::new_from_slice(profile).unwrap(), [0; 3]);
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        let transform = srgb.create_transform_8bit(Layout::Rgb, &profile, Layout::Rgb, options).unwrap();
        transform.transform(&colour, &mut there).unwrap();
        there
    }

    #[test]
    fn one_colour_of_several_profiles_is_one_colour() {
        let wide = [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb()];
        for profile in wide.map(|profile| profile.encode().unwrap()) {
            let colour = [200, 90, 60];
            let stored = written(&profile, colour);
            assert!(stored[0].abs_diff(colour[0]) > 10, "{stored:?}");
            let there = changed(&profile, stored);
            assert!((0..3).all(|c| there[c].abs_diff(colour[c]) <= 1), "{stored:?}: {there:?}");
        }
    }

    #[test]
    fn srgb_and_what_is_broken_change_nothing() {
        let colour = [201, 90, 61];
        assert_eq!(changed(&ColorProfile::new_srgb().encode().unwrap(), colour), colour);
        assert_eq!(changed(b"", colour), colour);
        assert_eq!(changed(&[7; 4000], colour), colour);
        let mut profile = ColorProfile::new_display_p3();
        profile.red_colorant = profile.green_colorant;
        profile.blue_colorant = profile.green_colorant;
        assert_eq!(changed(&profile.encode().unwrap(), colour), colour, "white is not white");
        let whole = ColorProfile::new_display_p3().encode().unwrap();
        for length in 0..whole.len() {
            changed(&whole[..length], colour);
        }
    }
}
