//! Colours that a picture's profile (ICC) or the numbers of its colours (H.273) mean become those of sRGB, which all that
//! is drawn and embedded has.

use std::sync::{Arc, LazyLock};

use image::RgbImage;
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, RenderingIntent,
    TransferCharacteristics, Transform8BitExecutor, TransformOptions,
};

/// A profile that changes no colour by more levels is sRGB, as somebody else rounds it.
const SAME: u8 = 2;
/// A profile of which black and white become something else, by more levels, is broken.
const FAR: u8 = 64;

/// What the colours of a picture are.
pub(super) enum Colours {
    /// By a profile (ICC).
    Profile(Vec<u8>),
    /// By numbers.
    Code(Code),
}

/// H.273's numbers of primaries and of what levels mean.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) primaries: u16,
    pub(super) transfer: u16,
}

impl Colours {
    /// Puts the colours of `picture` into sRGB, if they are others. What is broken, or of other colours than RGB, changes
    /// nothing.
    pub(super) fn to_srgb(&self, picture: &mut RgbImage) {
        let transform = match self {
            Self::Profile(profile) => {
                ColorProfile::new_from_slice(profile).ok().and_then(|profile| transform(&profile))
            }
            Self::Code(code) => match code.light() {
                Some(light) => return code.tone_mapped(light, picture),
                None => transform(&code.profile(code.curve())),
            },
        };
        let Some(transform) = transform else { return };
        let width = picture.width() as usize;
        let mut row = vec![0; 3 * width];
        for pixels in picture.chunks_exact_mut(3 * width) {
            if transform.transform(pixels, &mut row).is_ok() {
                pixels.copy_from_slice(&row);
            }
        }
    }
}

impl Code {
    fn profile(self, transfer_characteristics: TransferCharacteristics) -> ColorProfile {
        let color_primaries = match self.primaries {
            9 => CicpColorPrimaries::Bt2020,
            11 => CicpColorPrimaries::Smpte431,
            12 => CicpColorPrimaries::Smpte432,
            // Phones write those of old television beside colours of sRGB; all of them are near.
            _ => CicpColorPrimaries::Bt709,
        };
        ColorProfile::new_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })
    }

    /// Television's curves are for a darker room than sRGB's, and shown as if they were the same.
    fn curve(self) -> TransferCharacteristics {
        if self.transfer == 8 { TransferCharacteristics::Linear } else { TransferCharacteristics::Srgb }
    }

    /// What the levels of a picture of high range mean.
    fn light(self) -> Option<&'static Light> {
        static PQ: LazyLock<Light> = LazyLock::new(|| Light::of(pq));
        static HLG: LazyLock<Light> = LazyLock::new(|| Light::of(hlg));
        match self.transfer {
            16 => Some(&PQ),
            18 => Some(&HLG),
            _ => None,
        }
    }

    /// Of colours brighter than paper, and of those that sRGB has not, the brightest channel is brought into range, the
    /// others with it: that keeps the hue.
    fn tone_mapped(self, light: &Light, picture: &mut RgbImage) {
        let linear = TransferCharacteristics::Linear;
        let srgb = ColorProfile::new_srgb();
        let matrix = self.profile(linear).transform_matrix(&srgb).v.map(|row| row.map(|number| number as f32));
        for pixel in picture.pixels_mut() {
            let [red, green, blue] = pixel.0.map(|level| light.of_level[usize::from(level)]);
            let colour = matrix.map(|[r, g, b]| (r * red + g * green + b * blue).max(0.0));
            let most = colour[0].max(colour[1]).max(colour[2]);
            let scale = if most > SHOULDER { shoulder(most, light.of_level[255]) / most } else { 1.0 };
            pixel.0 = colour.map(|channel| SRGB[(channel * scale * FINEST) as usize]);
        }
    }
}

/// The light of paper, in candelas a square metre (BT.2408); it is 1 here.
const PAPER: f64 = 203.0;
/// As bright as a screen of HLG is.
const HLG_PEAK: f64 = 1000.0;
/// Light above this is compressed.
const SHOULDER: f32 = 0.5;
/// Steps of light between black and white, fine enough for the darkest levels of sRGB.
const FINEST: f32 = 65_535.0;

/// The light of each of the levels of one channel.
struct Light {
    of_level: [f32; 256],
}

impl Light {
    fn of(curve: impl Fn(f64) -> f64) -> Self {
        Self { of_level: std::array::from_fn(|level| (curve(level as f64 / 255.0) / PAPER) as f32) }
    }
}

/// SMPTE ST 2084, in candelas.
fn pq(level: f64) -> f64 {
    let power = level.powf(32.0 / 2523.0);
    let (above, below) = (power - 0.8359375, 18.8515625 - 18.6875 * power);
    10_000.0 * (above.max(0.0) / below).powf(8192.0 / 1305.0)
}

/// BT.2100's HLG, in candelas; the light of the scene is raised as for a grey.
fn hlg(level: f64) -> f64 {
    let scene = match level <= 0.5 {
        true => level * level / 3.0,
        false => (((level - 0.559_910_73) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
    };
    HLG_PEAK * scene.powf(1.2)
}

/// Light above [`SHOULDER`], compressed so that `peak` is 1 (as Reinhard does it for all light).
fn shoulder(light: f32, peak: f32) -> f32 {
    let above = |light: f32| (light - SHOULDER) / (1.0 - SHOULDER);
    let (light, peak) = (above(light.min(peak)), above(peak));
    SHOULDER + (1.0 - SHOULDER) * light * (1.0 + light / (peak * peak)) / (1.0 + light)
}

/// Levels of sRGB, of light in steps.
static SRGB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let level = |step: u32| match f64::from(step) / f64::from(FINEST) {
        dark if dark <= 0.003_130_8 => 12.92 * dark,
        light => 1.055 * light.powf(1.0 / 2.4) - 0.055,
    };
    (0..=FINEST as u32).map(|step| (255.0 * level(step)).round() as u8).collect()
});

fn transform(profile: &ColorProfile) -> Option<Arc<Transform8BitExecutor>> {
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
        Colours::Profile(profile.to_vec()).to_srgb(&mut picture);
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
