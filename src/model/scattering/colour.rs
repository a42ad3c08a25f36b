//! The layout and palette blocks: which colours a picture has and where they are. The colour space is Oklab, in which
//! equal distances look about equal.

use std::f64::consts::PI;

use super::{MIRROR, Scattering};

const SIDE: usize = Scattering::SIDE;
/// Side in pixels of the tiles whose mean colours form the palette. It is small enough for detail and large enough to
/// suppress noise.
const TILE: usize = 4;
/// Tiles per row.
const TILES: usize = SIDE / TILE;
/// Mean colours per row in the layout.
const CELLS: usize = 8;

/// DCT frequencies per spatial axis: for lightness, and for each of the two colour axes.
const FREQUENCIES: [usize; 3] = [6, 4, 4];
/// Weights of the three colour axes.
const AXES: [f32; 3] = [1.0, 2.5, 2.5];
/// A frequency f has the weight (1 + f)^−DECAY.
const DECAY: f64 = 0.4;
/// Mean lightness of photos, which is subtracted.
const MEAN_LIGHTNESS: f32 = 0.553;
/// Numbers in the layout block: by axis, vertical frequency, horizontal frequency.
pub(super) const LAYOUT: usize = 6 * 6 + 4 * 4 + 4 * 4;

/// Number of lightness levels from black to white.
const SHADES: usize = 5;
/// Number of hues around the colour circle.
const HUES: usize = 12;
/// Chroma of grey, pale, coloured and vivid. The last also stands for all higher chromas.
const CHROMAS: [f32; 4] = [0.0, 0.03, 0.08, 0.16];
/// A vivid tile counts 1 + CHROMA_WEIGHT times as much as a grey one, because subjects are more often colourful than
/// backgrounds.
const CHROMA_WEIGHT: f32 = 2.0;
/// Colours per lightness level: grey, and each hue at each further chroma.
const TINTS: usize = 1 + (CHROMAS.len() - 1) * HUES;
/// Numbers in the palette block: by lightness level; within it grey first, then by chroma and hue.
pub(super) const PALETTE: usize = SHADES * TINTS;
/// Mean values of the palette over photos, by lightness level and chroma.
const MEAN_PALETTE: [[f32; CHROMAS.len()]; SHADES] = [
    [0.074, 0.010, 0.002, 0.000],
    [0.199, 0.052, 0.024, 0.005],
    [0.241, 0.076, 0.049, 0.017],
    [0.223, 0.061, 0.037, 0.015],
    [0.129, 0.022, 0.009, 0.003],
];

/// Tables for converting sRGB bytes to the colour blocks.
#[derive(Debug)]
pub(super) struct Colour {
    /// Linear light of each sRGB byte, 0 to 1.
    light: [f32; 256],
    /// DCT-II basis, by frequency and cell. The norm is chosen so that frequency (0, 0) of a map is its mean.
    cosines: [[f32; CELLS]; CELLS],
}

/// Colour features of a picture.
pub(super) struct ColourFeatures {
    /// Oklab lightness by row and column; black is 0, white is 1.
    pub(super) lightness: Vec<f32>,
    /// [`LAYOUT`] numbers.
    pub(super) layout: Vec<f32>,
    /// [`PALETTE`] numbers.
    pub(super) palette: Vec<f32>,
}

impl Colour {
    pub(super) fn new() -> Self {
        let light = std::array::from_fn(|byte| {
            let v = byte as f64 / 255.0;
            (if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }) as f32
        });
        let cosines = std::array::from_fn(|frequency| {
            let norm = if frequency == 0 { 1.0 } else { 2.0_f64.sqrt() } / CELLS as f64;
            std::array::from_fn(|cell| {
                let phase = PI * (2 * cell + 1) as f64 * frequency as f64 / (2 * CELLS) as f64;
                (norm * phase.cos()) as f32
            })
        });
        Self { light, cosines }
    }

    /// `rgb` is SIDE² sRGB pixels.
    pub(super) fn features(&self, rgb: &[u8]) -> ColourFeatures {
        let mut lightness = Vec::with_capacity(SIDE * SIDE);
        // Mean Oklab of each tile, by axis.
        let mut tiles = [[0.0_f32; TILES * TILES]; 3];
        for (row, pixels) in rgb.chunks_exact(3 * SIDE).enumerate() {
            let axes = self.oklab(pixels);
            lightness.extend_from_slice(&axes[0]);
            for (tiles, values) in tiles.iter_mut().zip(&axes) {
                let tiles = &mut tiles[row / TILE * TILES..][..TILES];
                for (tile, values) in tiles.iter_mut().zip(values.chunks_exact(TILE)) {
                    *tile += values.iter().sum::<f32>() / (TILE * TILE) as f32;
                }
            }
        }
        ColourFeatures { lightness, layout: self.layout(&tiles), palette: palette(&tiles) }
    }

    /// Oklab of one row of pixels, by axis: lightness (0 to 1), green–red, blue–yellow (about ±0.3).
    fn oklab(&self, pixels: &[u8]) -> [[f32; SIDE]; 3] {
        let mut axes = [[0.0; SIDE]; 3];
        for (index, pixel) in pixels.chunks_exact(3).enumerate() {
            for (axis, &byte) in axes.iter_mut().zip(pixel) {
                axis[index] = self.light[usize::from(byte)];
            }
        }
        let [first, second, third] = &mut axes;
        for ((x, y), z) in first.iter_mut().zip(second).zip(third) {
            let (r, g, b) = (*x, *y, *z);
            let l = cube_root(0.412_221_47 * r + 0.536_332_55 * g + 0.051_445_995 * b);
            let m = cube_root(0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b);
            let s = cube_root(0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b);
            *x = 0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s;
            *y = 1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s;
            *z = 0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s;
        }
        axes
    }

    /// The layout block: low DCT frequencies of CELLS × CELLS mean colours, by axis, vertical frequency, horizontal
    /// frequency.
    fn layout(&self, tiles: &[[f32; TILES * TILES]; 3]) -> Vec<f32> {
        const PER_CELL: usize = TILES / CELLS;
        let mut block = Vec::with_capacity(LAYOUT);
        for ((tiles, frequencies), weight) in tiles.iter().zip(FREQUENCIES).zip(AXES) {
            let mut cells = [[0.0_f32; CELLS]; CELLS];
            for (index, tile) in tiles.iter().enumerate() {
                cells[index / TILES / PER_CELL][index % TILES / PER_CELL] += tile / (PER_CELL * PER_CELL) as f32;
            }
            for vertical in 0..frequencies {
                for horizontal in 0..frequencies {
                    let mut sum = 0.0;
                    for (cells, c) in cells.iter().zip(&self.cosines[vertical]) {
                        let row: f32 = cells.iter().zip(&self.cosines[horizontal]).map(|(v, c)| v * c).sum();
                        sum += c * row;
                    }
                    let frequency = (vertical as f64).hypot(horizontal as f64);
                    let mut weight = weight * (1.0 + frequency).powf(-DECAY) as f32;
                    if horizontal % 2 == 1 {
                        // A mirror changes the sign of odd horizontal frequencies, so mixing in the mirrored value
                        // scales them by 1 - 2 MIRROR.
                        weight *= 1.0 - 2.0 * MIRROR;
                    }
                    block.push(sum * weight);
                }
            }
        }
        block[0] -= MEAN_LIGHTNESS;
        block
    }
}

/// The palette block: the square root of the share of the picture that each colour has, minus the mean over photos.
/// With the square root, Euclidean distance is the Hellinger distance of the histograms. Every tile is divided among
/// the neighbouring colours by linear interpolation in lightness, chroma and hue.
fn palette(tiles: &[[f32; TILES * TILES]; 3]) -> Vec<f32> {
    let mut shares = [0.0_f32; PALETTE];
    let mut total = 0.0;
    let [lightness, green_red, blue_yellow] = tiles;
    for ((l, a), b) in lightness.iter().zip(green_red).zip(blue_yellow) {
        let chroma = a.hypot(*b).min(CHROMAS[CHROMAS.len() - 1]);
        let count = 1.0 + CHROMA_WEIGHT * chroma / CHROMAS[CHROMAS.len() - 1];
        total += count;

        // The neighbouring steps on each axis (lightness, hue, chroma), and the share of the upper one.
        let (shade, next_shade) = split(l.clamp(0.0, 1.0) * (SHADES - 1) as f32, SHADES - 1);
        let turn = (b.atan2(*a) / (2.0 * std::f32::consts::PI)).rem_euclid(1.0);
        let (hue, next_hue) = split(turn * HUES as f32, HUES);
        let ring = (1..CHROMAS.len() - 1).filter(|&i| CHROMAS[i] <= chroma).count();
        let next_ring = (chroma - CHROMAS[ring]) / (CHROMAS[ring + 1] - CHROMAS[ring]);

        for (shade, share) in [(shade, 1.0 - next_shade), (shade + 1, next_shade)] {
            let tints = &mut shares[shade.min(SHADES - 1) * TINTS..][..TINTS];
            for (ring, share) in [(ring, share * (1.0 - next_ring)), (ring + 1, share * next_ring)] {
                if ring == 0 {
                    tints[0] += count * share;
                    continue;
                }
                let hues = &mut tints[1 + (ring - 1) * HUES..][..HUES];
                hues[hue % HUES] += count * share * (1.0 - next_hue);
                hues[(hue + 1) % HUES] += count * share * next_hue;
            }
        }
    }
    let mean = |index: usize| {
        let tint = index % TINTS;
        MEAN_PALETTE[index / TINTS][if tint == 0 { 0 } else { 1 + (tint - 1) / HUES }]
    };
    shares.iter().enumerate().map(|(index, share)| (share / total).sqrt() - mean(index)).collect()
}

/// Splits a position on a scale 0, 1, …, `last` into the step below it and the share of the step above.
fn split(position: f32, last: usize) -> (usize, f32) {
    let step = (position as usize).min(last);
    (step, position - step as f32)
}

/// The cube root of a number from 0 to 1, to about 1e-7. It uses arithmetic only, so that a loop over it is vectorised.
/// Zero gives 1e-6.
fn cube_root(x: f32) -> f32 {
    let x = x.max(1e-18);
    // Dividing the bits by three divides the exponent by three. Two steps of Halley's method refine the result.
    let mut root = f32::from_bits(x.to_bits() / 3 + 709_921_077);
    for _ in 0..2 {
        let cube = root * root * root;
        root *= (cube + 2.0 * x) / (2.0 * cube + x);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(rgb: [u8; 3]) -> ColourFeatures {
        Colour::new().features(&rgb.repeat(SIDE * SIDE))
    }

    #[test]
    fn cube_roots() {
        for i in 0..=100_000 {
            let x = i as f32 / 100_000.0;
            let exact = f64::from(x).cbrt();
            assert!((f64::from(cube_root(x)) - exact).abs() <= 3e-7 * exact + 1.1e-6, "{x}");
        }
    }

    #[test]
    fn oklab_of_known_colours() {
        // Published values (Ottosson 2020): white, red, blue.
        for (rgb, lab) in [
            ([255, 255, 255], [1.0, 0.0, 0.0]),
            ([255, 0, 0], [0.627_955, 0.224_863, 0.125_846]),
            ([0, 0, 255], [0.452_014, -0.032_457, -0.311_528]),
        ] {
            let axes = Colour::new().oklab(&rgb.repeat(SIDE));
            for (axis, expected) in axes.iter().zip(lab) {
                assert!((axis[SIDE - 1] - expected).abs() < 1e-4, "{rgb:?}: {} is not {expected}", axis[0]);
            }
        }
    }

    #[test]
    fn a_palette_shares_out_the_whole_picture() {
        for rgb in [[0, 0, 0], [255, 255, 255], [255, 0, 255], [1, 2, 250], [120, 130, 90], [140, 130, 128]] {
            let features = flat(rgb);
            let mut whole = 0.0;
            for (index, value) in features.palette.iter().enumerate() {
                let tint = index % TINTS;
                let mean = MEAN_PALETTE[index / TINTS][if tint == 0 { 0 } else { 1 + (tint - 1) / HUES }];
                whole += (value + mean).powi(2);
            }
            assert!((whole - 1.0).abs() < 1e-4, "{rgb:?}: {whole}");
        }
    }

    #[test]
    fn a_flat_picture_has_no_layout_but_its_mean() {
        let features = flat([128, 128, 128]);
        assert!((features.layout[0] + MEAN_LIGHTNESS - 0.599_87).abs() < 1e-3);
        assert!(features.layout[1..].iter().all(|v| v.abs() < 1e-4));
    }
}
