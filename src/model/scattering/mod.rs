//! The scattering model, which needs no weights, because every filter is given by a formula.
//!
//! A picture of 128×128 pixels becomes a vector of four blocks:
//!
//! | block | numbers | content | weight |
//! |---|---|---|---|
//! | layout | 68 | where the picture is light, dark and coloured: low DCT frequencies of 8×8 mean colours | 0.35 |
//! | palette | 185 | which colours, and how much of each: a soft histogram of lightness, chroma and hue | 0.35 |
//! | edges | 512 | first-order scattering: 4 octaves × 8 orientations in 4×4 windows | 0.15 |
//! | texture | 384 | second-order scattering of the whole picture: how edges vary at coarser octaves | 0.15 |
//!
//! The weight is a block's share of the mean squared Euclidean distance between two unrelated photos. This mean is 1
//! for the whole vector, so a distance of 1 means "as different as two photos usually are". The vector is designed for
//! Euclidean distance. Constants roughly centre it, so that cosine similarity is meaningful too. Colour and layout have
//! the largest weights because people notice them first. Similar vectors mean similar colour and texture, not similar
//! subjects.
//!
//! Sources: Morlet wavelets and the scattering transform: J. Bruna and S. Mallat, "Invariant Scattering Convolution
//! Networks", IEEE PAMI 35(8), 2013. Pooling edges in 4×4 windows: A. Oliva and A. Torralba, "Modeling the Shape of
//! the Scene" (GIST), IJCV 42(3), 2001. DCT of mean colours: the colour layout descriptor of MPEG-7. Colour space: B.
//! Ottosson, Oklab, 2020.
//!
//! Edges and texture are computed with candle, on the device given to [`Scattering::new`]; colour is plain arithmetic.
//! Every step processes each picture independently, so neither the batch nor the number of threads changes a byte of
//! its vector.

mod colour;
mod filters;
mod moduli;

use candle_core::{Device, Result, bail};
use rayon::prelude::*;

use filters::{OCTAVES, ORIENTATIONS, PLACES, Wavelets};

/// Increased whenever the same picture would give another vector, so that cached vectors become stale.
pub(super) const VERSION: u32 = 1;
/// Pairs of octaves (fine, coarse) with fine < coarse.
const PAIRS: usize = OCTAVES * (OCTAVES - 1) / 2;
/// Numbers in the block of first-order coefficients: octave, orientation, row, column.
const EDGES: usize = OCTAVES * ORIENTATIONS * PLACES * PLACES;
/// Numbers in the block of second-order coefficients: pair of octaves, fine orientation, coarse orientation.
const TEXTURE: usize = PAIRS * ORIENTATIONS * ORIENTATIONS;

/// Weight of a block: its share of the squared distance, and the mean squared distance between the raw values of the
/// block for two unrelated photos (measured on 300 photos of 300 ImageNet classes).
struct BlockWeight {
    weight: f32,
    spread: f32,
}

impl BlockWeight {
    /// The factor of the raw values that gives the block its share.
    fn scale(&self) -> f32 {
        (self.weight / self.spread).sqrt()
    }
}

const LAYOUT_SHARE: BlockWeight = BlockWeight { weight: 0.35, spread: 0.0589 };
const PALETTE_SHARE: BlockWeight = BlockWeight { weight: 0.35, spread: 1.073 };
const EDGES_SHARE: BlockWeight = BlockWeight { weight: 0.15, spread: 102.0 };
const TEXTURE_SHARE: BlockWeight = BlockWeight { weight: 0.15, spread: 43.9 };

/// Added to a modulus before its logarithm, in units of lightness (black 0, white 1). Contrasts below it count as flat.
const EDGES_FLOOR: f32 = 0.01;
/// Mean logarithm of edges over photos in the finest octave, and its increase per octave.
const EDGES_MEAN: (f32, f32) = (-3.827, 0.094);
/// Like [`EDGES_FLOOR`]: added to the second order, and twice to the first order that divides it.
const TEXTURE_FLOOR: f32 = 2e-4;
/// Mean logarithm of texture over photos, by pair of octaves.
const TEXTURE_MEAN: [f32; PAIRS] = [-1.77, -1.97, -2.11, -1.78, -2.00, -1.81];

/// Share of the mirrored picture's value that is mixed into each value. Differences between left and right then count
/// (1 − 2·MIRROR)² as much as other differences.
const MIRROR: f32 = 0.15;

/// Pictures per group. Each matrix product in candle 0.11 first counts the CPU cores, which takes as long as a small
/// product. Larger groups have fewer products but exceed the cache.
const GROUP: usize = 8;

/// The model: the filter bank, on its device.
#[derive(Debug)]
pub struct Scattering {
    wavelets: Wavelets,
    colour: colour::Colour,
}

impl Scattering {
    /// Width and height of the input in pixels.
    pub const SIDE: usize = 128;

    /// Length of a vector.
    pub const DIM: usize = colour::LAYOUT + colour::PALETTE + EDGES + TEXTURE;

    /// Computes the filters from their formulas and puts them on `device`.
    ///
    /// # Errors
    /// When candle cannot place a tensor on `device`.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self { wavelets: Wavelets::new(device)?, colour: colour::Colour::new() })
    }

    /// One vector of [`Self::DIM`] finite numbers per picture, in the same order.
    ///
    /// A picture is [`Self::SIDE`]² upright RGB pixels (sRGB, 0–255), interleaved, row by row from the top left: 49,152
    /// bytes. Pictures that are not square are stretched by the caller. The pictures of a batch are processed in
    /// parallel on rayon's current pool.
    ///
    /// # Errors
    /// When a picture has another length, or candle fails.
    pub fn embed(&self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let bytes = Self::SIDE * Self::SIDE * 3;
        if let Some(wrong) = pictures.iter().find(|rgb| rgb.len() != bytes) {
            bail!(
                "scattering takes pictures of {0}×{0} RGB pixels, {bytes} bytes, not {1} bytes",
                Self::SIDE,
                wrong.len()
            );
        }
        let groups: Vec<Vec<Vec<f32>>> =
            pictures.par_chunks(GROUP).map(|group| self.embed_group(group)).collect::<Result<_>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    fn embed_group(&self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let features: Vec<colour::ColourFeatures> = pictures.iter().map(|rgb| self.colour.features(rgb)).collect();
        let lightness: Vec<&[f32]> = features.iter().map(|features| &features.lightness[..]).collect();
        let scattered = self.wavelets.scatter(&lightness)?;
        Ok(features.iter().zip(&scattered).map(|(features, scattered)| vector(features, scattered)).collect())
    }
}

/// The four blocks side by side, each at its scale.
fn vector(features: &colour::ColourFeatures, scattered: &filters::Scattered) -> Vec<f32> {
    let mut vector = Vec::with_capacity(Scattering::DIM);
    let mut push = |block: &[f32], share: &BlockWeight| {
        let scale = share.scale();
        vector.extend(block.iter().map(|v| v * scale));
    };
    push(&features.layout, &LAYOUT_SHARE);
    push(&features.palette, &PALETTE_SHARE);
    push(&edges(&scattered.first), &EDGES_SHARE);
    push(&texture(scattered), &TEXTURE_SHARE);
    vector
}

/// The orientation into which a mirror turns `orientation`.
fn mirrored(orientation: usize) -> usize {
    (ORIENTATIONS - orientation) % ORIENTATIONS
}

fn with_mirror(value: f32, mirrored: f32) -> f32 {
    (1.0 - MIRROR) * value + MIRROR * mirrored
}

/// The block of edges: logarithms of the first-order moduli, mixed with those of the mirrored picture, minus their
/// mean. Input and output are laid out as octave, orientation, row, column.
fn edges(first: &[f32]) -> Vec<f32> {
    let logs: Vec<f32> = first.iter().map(|v| (v + EDGES_FLOOR).ln()).collect();
    let index =
        |octave, orientation, row, column| ((octave * ORIENTATIONS + orientation) * PLACES + row) * PLACES + column;
    let mut block = Vec::with_capacity(EDGES);
    for octave in 0..OCTAVES {
        let mean = EDGES_MEAN.0 + EDGES_MEAN.1 * octave as f32;
        for orientation in 0..ORIENTATIONS {
            for row in 0..PLACES {
                for column in 0..PLACES {
                    let value = logs[index(octave, orientation, row, column)];
                    let mirrored_value = logs[index(octave, mirrored(orientation), row, PLACES - 1 - column)];
                    block.push(with_mirror(value, mirrored_value) - mean);
                }
            }
        }
    }
    block
}

/// The block of texture: logarithms of the second-order moduli, mixed with those of the mirrored picture, minus their
/// mean. Each modulus is divided by the first order it was computed from, so that contrast does not count twice.
fn texture(scattered: &filters::Scattered) -> Vec<f32> {
    let strength: Vec<f32> = scattered
        .first
        .chunks_exact(PLACES * PLACES)
        .map(|places| places.iter().sum::<f32>() / (PLACES * PLACES) as f32)
        .collect();
    let mut block = Vec::with_capacity(TEXTURE);
    let pairs = (0..OCTAVES).flat_map(|fine| (fine + 1..OCTAVES).map(move |_| fine));
    for ((fine, mean), moduli) in
        pairs.zip(TEXTURE_MEAN).zip(scattered.second.chunks_exact(ORIENTATIONS * ORIENTATIONS))
    {
        let log = |fine_orientation: usize, coarse_orientation: usize| {
            let first_order = strength[fine * ORIENTATIONS + fine_orientation];
            ((moduli[fine_orientation * ORIENTATIONS + coarse_orientation] + TEXTURE_FLOOR)
                / (first_order + 2.0 * TEXTURE_FLOOR))
                .ln()
        };
        for fine_orientation in 0..ORIENTATIONS {
            for coarse_orientation in 0..ORIENTATIONS {
                block.push(
                    with_mirror(
                        log(fine_orientation, coarse_orientation),
                        log(mirrored(fine_orientation), mirrored(coarse_orientation)),
                    ) - mean,
                );
            }
        }
    }
    block
}

#[cfg(test)]
mod tests;
