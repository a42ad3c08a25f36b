//! The image model that needs no download: every filter is given by a formula.
//!
//! A picture of 128×128 pixels becomes a vector of four blocks:
//!
//! | block | numbers | what it sees | weight |
//! |---|---|---|---|
//! | layout | 68 | where it is light, dark and coloured: low DCT frequencies of 8×8 mean colours | 0.35 |
//! | palette | 185 | which colours, and how much: a soft histogram of lightness, chroma and hue | 0.35 |
//! | edges | 512 | first-order scattering: 4 octaves × 8 orientations in 4×4 places | 0.15 |
//! | texture | 384 | second-order scattering: how the edges of one octave are arranged in a coarser one, over the whole picture | 0.15 |
//!
//! The weight is a block's share of the mean squared Euclidean distance between two unrelated photos, which is 1 for
//! the whole vector: distances are in units of "as different as two photos usually are". The vector is roughly
//! centred by constants, so that cosine similarity means something too, but Euclidean distance is what it is made
//! for. Colour and layout come first because people see them first; expect coherent colour and texture, not meaning.
//!
//! Sources: Morlet wavelets and the scattering transform: J. Bruna and S. Mallat, "Invariant Scattering Convolution
//! Networks", IEEE PAMI 35(8), 2013. Pooling edges in 4×4 places: A. Oliva and A. Torralba, "Modeling the Shape of
//! the Scene" (GIST), IJCV 42(3), 2001. DCT of mean colours: the colour layout descriptor of MPEG-7. Colour space: B.
//! Ottosson, Oklab, 2020.
//!
//! Edges and texture run through candle, on the device given to [`Scattering::new`]; colour is plain arithmetic.
//! Every step treats each picture by itself, so that neither the batch nor the number of threads changes a byte of
//! its vector.

mod colour;
mod filters;
mod moduli;

use candle_core::{Device, Result, bail};
use rayon::prelude::*;

use filters::{OCTAVES, ORIENTATIONS, PLACES, Wavelets};

/// Raised when the same picture gives another vector.
pub(super) const VERSION: u32 = 1;
/// Pairs of octaves (fine, coarse) with fine < coarse.
const PAIRS: usize = OCTAVES * (OCTAVES - 1) / 2;
/// Numbers in the block of first-order coefficients: octave, orientation, row, column.
const EDGES: usize = OCTAVES * ORIENTATIONS * PLACES * PLACES;
/// Numbers in the block of second-order coefficients: pair of octaves, fine orientation, coarse orientation.
const TEXTURE: usize = PAIRS * ORIENTATIONS * ORIENTATIONS;

/// A block's share of the squared distance, and the mean squared distance between the block's raw values in two
/// unrelated photos (300 photos of 300 ImageNet classes).
struct Share {
    weight: f32,
    spread: f32,
}

impl Share {
    fn scale(&self) -> f32 {
        (self.weight / self.spread).sqrt()
    }
}

const LAYOUT_SHARE: Share = Share { weight: 0.35, spread: 0.0589 };
const PALETTE_SHARE: Share = Share { weight: 0.35, spread: 1.073 };
const EDGES_SHARE: Share = Share { weight: 0.15, spread: 102.0 };
const TEXTURE_SHARE: Share = Share { weight: 0.15, spread: 43.9 };

/// Added to a modulus before its logarithm, in units of lightness (black 0, white 1): contrasts below it count as flat.
const EDGES_FLOOR: f32 = 0.01;
/// Mean of the logarithm of edges over photos, in the finest octave; and its step from octave to octave.
const EDGES_MEAN: (f32, f32) = (-3.827, 0.094);
/// As [`EDGES_FLOOR`], for the second order and, doubled, for the first order that divides it.
const TEXTURE_FLOOR: f32 = 2e-4;
/// Mean of the logarithm of texture over photos, by pair of octaves.
const TEXTURE_MEAN: [f32; PAIRS] = [-1.77, -1.97, -2.11, -1.78, -2.00, -1.81];

/// How much of the mirrored picture's value each value takes on: what tells left from right counts (1 − 2·MIRROR)² as
/// much as the rest.
const MIRROR: f32 = 0.15;

/// Pictures that go through candle together. Each product of matrices in candle 0.11 first counts the processor's
/// cores, which costs as much as a small product itself; larger groups share that but leave the cache.
const GROUP: usize = 8;

/// The model: the filter bank, ready on its device.
#[derive(Debug)]
pub struct Scattering {
    wavelets: Wavelets,
    colour: colour::Colour,
}

impl Scattering {
    /// Width and height of the pictures it takes, in pixels.
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

    /// One vector of [`Self::DIM`] finite numbers per picture, in the order given.
    ///
    /// A picture is [`Self::SIDE`]² upright RGB pixels (sRGB, 0–255), interleaved, row by row from the top left:
    /// 49,152 bytes. Pictures that are not square are stretched by the caller. Pictures of a batch run side by side
    /// on rayon's current pool.
    ///
    /// # Errors
    /// When a picture has another length, or candle fails.
    pub fn embed(&self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let bytes = Self::SIDE * Self::SIDE * 3;
        if let Some(odd) = pictures.iter().find(|rgb| rgb.len() != bytes) {
            bail!(
                "scattering takes pictures of {0}×{0} RGB pixels, {bytes} bytes, not {1} bytes",
                Self::SIDE,
                odd.len()
            );
        }
        let groups: Vec<Vec<Vec<f32>>> =
            pictures.par_chunks(GROUP).map(|group| self.embed_group(group)).collect::<Result<_>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    fn embed_group(&self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let seen: Vec<colour::Seen> = pictures.iter().map(|rgb| self.colour.see(rgb)).collect();
        let lightness: Vec<&[f32]> = seen.iter().map(|seen| &seen.lightness[..]).collect();
        let scattered = self.wavelets.scatter(&lightness)?;
        Ok(seen.iter().zip(&scattered).map(|(seen, scattered)| vector(seen, scattered)).collect())
    }
}

/// The four blocks side by side, each at its scale.
fn vector(seen: &colour::Seen, scattered: &filters::Scattered) -> Vec<f32> {
    let mut vector = Vec::with_capacity(Scattering::DIM);
    let mut push = |block: &[f32], share: &Share| {
        let scale = share.scale();
        vector.extend(block.iter().map(|v| v * scale));
    };
    push(&seen.layout, &LAYOUT_SHARE);
    push(&seen.palette, &PALETTE_SHARE);
    push(&edges(&scattered.first), &EDGES_SHARE);
    push(&texture(scattered), &TEXTURE_SHARE);
    vector
}

/// The orientation that `orientation` has in a mirror.
fn mirrored(orientation: usize) -> usize {
    (ORIENTATIONS - orientation) % ORIENTATIONS
}

fn with_mirror(value: f32, mirrored: f32) -> f32 {
    (1.0 - MIRROR) * value + MIRROR * mirrored
}

/// The block of first-order coefficients from their moduli, both laid out octave, orientation, row, column.
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
                    let here = logs[index(octave, orientation, row, column)];
                    let twin = logs[index(octave, mirrored(orientation), row, PLACES - 1 - column)];
                    block.push(with_mirror(here, twin) - mean);
                }
            }
        }
    }
    block
}

/// The block of second-order coefficients: each is divided by the first order it comes from, so that contrast does
/// not count twice.
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
        let log = |a: usize, b: usize| {
            let whole = strength[fine * ORIENTATIONS + a];
            ((moduli[a * ORIENTATIONS + b] + TEXTURE_FLOOR) / (whole + 2.0 * TEXTURE_FLOOR)).ln()
        };
        for a in 0..ORIENTATIONS {
            for b in 0..ORIENTATIONS {
                block.push(with_mirror(log(a, b), log(mirrored(a), mirrored(b))) - mean);
            }
        }
    }
    block
}

#[cfg(test)]
mod tests;
