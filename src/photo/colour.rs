//! Converts colours to sRGB, from those of an ICC profile or of code points of ITU-T H.273. All pictures are embedded
//! and drawn in sRGB.

use std::sync::{Arc, LazyLock};

use image::RgbImage;
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, RenderingIntent,
    TransferCharacteristics, Transform8BitExecutor, TransformOptions,
};

/// A profile that changes every colour by at most this many levels is sRGB with other rounding, and is not applied.
const MAX_SRGB_DIFFERENCE: u8 = 2;
/// A profile that changes black or white by more than this many levels is broken, and is not applied.
const MAX_BLACK_WHITE_DIFFERENCE: u8 = 64;

/// The colour space of a picture.
pub(super) enum Colours {
    /// An ICC profile.
    Profile(Vec<u8>),
    /// Code points of H.273.
    Cicp(Cicp),
}

/// Code points of ITU-T H.273: colour primaries and transfer characteristics.
#[derive(Clone, Copy)]
pub(super) struct Cicp {
    pub(super) primaries: u16,
    pub(super) transfer: u16,
}

impl Colours {
    /// Converts `picture` to sRGB in place. A broken profile, or one of another colour model than RGB, changes nothing.
    pub(super) fn to_srgb(&self, picture: &mut RgbImage) {
        let transform = match self {
            Self::Profile(profile) => {
                ColorProfile::new_from_slice(profile).ok().and_then(|profile| transform(&profile))
            }
            Self::Cicp(code) => match code.hdr_levels() {
                Some(light) => return code.tone_mapped(light, picture),
                None => transform(&code.profile(code.curve())),
            },
        };
        let Some(transform) = transform else { return };
        let width = picture.width() as usize;
        // Row by row, so that the second buffer is small.
        let mut row = vec![0; 3 * width];
        for pixels in picture.chunks_exact_mut(3 * width) {
            if transform.transform(pixels, &mut row).is_ok() {
                pixels.copy_from_slice(&row);
            }
        }
    }
}

impl Cicp {
    fn profile(self, transfer_characteristics: TransferCharacteristics) -> ColorProfile {
        let color_primaries = match self.primaries {
            9 => CicpColorPrimaries::Bt2020,
            11 => CicpColorPrimaries::Smpte431,
            12 => CicpColorPrimaries::Smpte432,
            // Some phones write the primaries of old television standards for sRGB. All of those are close to BT.709.
            _ => CicpColorPrimaries::Bt709,
        };
        ColorProfile::new_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })
    }

    /// The transfer curve that is applied if it is not one of high dynamic range: that of sRGB, unless the code says
    /// linear. The curves of television are meant for a darker room, but players and browsers treat them as sRGB too.
    fn curve(self) -> TransferCharacteristics {
        if self.transfer == 8 { TransferCharacteristics::Linear } else { TransferCharacteristics::Srgb }
    }

    /// The light of each level, if the transfer is one of high dynamic range (PQ or HLG).
    fn hdr_levels(self) -> Option<&'static LightLevels> {
        static PQ: LazyLock<LightLevels> = LazyLock::new(|| LightLevels::of(pq));
        static HLG: LazyLock<LightLevels> = LazyLock::new(|| LightLevels::of(hlg));
        match self.transfer {
            16 => Some(&PQ),
            18 => Some(&HLG),
            _ => None,
        }
    }

    /// Converts a picture of high dynamic range to sRGB. Where the brightest channel is too bright, all three channels
    /// are scaled by the same factor, which keeps the hue.
    fn tone_mapped(self, light: &LightLevels, picture: &mut RgbImage) {
        let linear = TransferCharacteristics::Linear;
        let srgb = ColorProfile::new_srgb();
        let matrix = self.profile(linear).transform_matrix(&srgb).v.map(|row| row.map(|number| number as f32));
        for pixel in picture.pixels_mut() {
            let [red, green, blue] = pixel.0.map(|level| light.of_level[usize::from(level)]);
            // Colours outside sRGB get negative channels, which are clipped.
            let colour = matrix.map(|[r, g, b]| (r * red + g * green + b * blue).max(0.0));
            let brightest = colour[0].max(colour[1]).max(colour[2]);
            let scale = if brightest > SHOULDER { shoulder(brightest, light.of_level[255]) / brightest } else { 1.0 };
            pixel.0 = colour.map(|channel| SRGB[(channel * scale * LIGHT_STEPS) as usize]);
        }
    }
}

/// Luminance of diffuse white in cd/m² (ITU-R BT.2408). It is 1 in linear light here.
const REFERENCE_WHITE: f64 = 203.0;
/// Nominal peak luminance of an HLG display in cd/m².
const HLG_PEAK: f64 = 1000.0;
/// Linear light above this is compressed.
const SHOULDER: f32 = 0.5;
/// Steps of linear light between black and white in [`SRGB`], fine enough for the darkest levels.
const LIGHT_STEPS: f32 = 65_535.0;

/// Linear light of the 256 levels of a channel, relative to diffuse white.
struct LightLevels {
    of_level: [f32; 256],
}

impl LightLevels {
    fn of(curve: impl Fn(f64) -> f64) -> Self {
        Self { of_level: std::array::from_fn(|level| (curve(level as f64 / 255.0) / REFERENCE_WHITE) as f32) }
    }
}

/// The PQ curve (SMPTE ST 2084, EOTF) from a level of 0 to 1 to cd/m².
fn pq(level: f64) -> f64 {
    let power = level.powf(32.0 / 2523.0);
    let (numerator, denominator) = (power - 0.8359375, 18.8515625 - 18.6875 * power);
    10_000.0 * (numerator.max(0.0) / denominator).powf(8192.0 / 1305.0)
}

/// The HLG curve (ITU-R BT.2100: inverse OETF, then OOTF) from a level of 0 to 1 to cd/m². The OOTF's gamma of 1.2 is
/// applied to each channel by itself, which is exact only for greys.
fn hlg(level: f64) -> f64 {
    let scene = match level <= 0.5 {
        true => level * level / 3.0,
        false => (((level - 0.559_910_73) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
    };
    HLG_PEAK * scene.powf(1.2)
}

/// Compresses light above [`SHOULDER`] so that `peak` becomes 1: Reinhard's extended operator, L·(1 + L/Lmax²)/(1 + L),
/// on the part above the shoulder.
fn shoulder(light: f32, peak: f32) -> f32 {
    let above_shoulder = |light: f32| (light - SHOULDER) / (1.0 - SHOULDER);
    let (light, peak) = (above_shoulder(light.min(peak)), above_shoulder(peak));
    SHOULDER + (1.0 - SHOULDER) * light * (1.0 + light / (peak * peak)) / (1.0 + light)
}

/// The sRGB level of each step of linear light (IEC 61966-2-1).
static SRGB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let level = |step: u32| match f64::from(step) / f64::from(LIGHT_STEPS) {
        dark if dark <= 0.003_130_8 => 12.92 * dark,
        light => 1.055 * light.powf(1.0 / 2.4) - 0.055,
    };
    (0..=LIGHT_STEPS as u32).map(|step| (255.0 * level(step)).round() as u8).collect()
});

/// The transform from an RGB profile to sRGB. `None` if it would change (nearly) nothing, or if the profile is broken.
fn transform(profile: &ColorProfile) -> Option<Arc<Transform8BitExecutor>> {
    (profile.color_space == DataColorSpace::Rgb).then_some(())?;
    let options = TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..Default::default() };
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options).ok()?;
    // A lattice of six levels per channel, with black first and white last.
    let samples: Vec<u8> = (0..216_u8).flat_map(|i| [i / 36, i / 6 % 6, i % 6].map(|level| 51 * level)).collect();
    let mut changed = vec![0; samples.len()];
    transform.transform(&samples, &mut changed).ok()?;
    let is_far_off =
        |from: usize| (from..from + 3).any(|i| samples[i].abs_diff(changed[i]) > MAX_BLACK_WHITE_DIFFERENCE);
    let is_broken = is_far_off(0) || is_far_off(samples.len() - 3);
    let is_not_srgb = samples.iter().zip(&changed).any(|(a, b)| a.abs_diff(*b) > MAX_SRGB_DIFFERENCE);
    (is_not_srgb && !is_broken).then_some(transform)
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

    /// The levels that a colour of sRGB has in a profile.
    fn levels_in_profile(profile: &[u8], colour: [u8; 3]) -> [u8; 3] {
        let (profile, mut levels) = (ColorProfile::new_from_slice(profile).unwrap(), [0; 3]);
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        let transform = srgb.create_transform_8bit(Layout::Rgb, &profile, Layout::Rgb, options).unwrap();
        transform.transform(&colour, &mut levels).unwrap();
        levels
    }

    #[test]
    fn one_colour_of_several_profiles_is_one_colour() {
        let wide = [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb()];
        for profile in wide.map(|profile| profile.encode().unwrap()) {
            let colour = [200, 90, 60];
            let stored = levels_in_profile(&profile, colour);
            assert!(stored[0].abs_diff(colour[0]) > 10, "{stored:?}");
            let converted = changed(&profile, stored);
            assert!((0..3).all(|c| converted[c].abs_diff(colour[c]) <= 1), "{stored:?}: {converted:?}");
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
