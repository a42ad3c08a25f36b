//! Local search after the assignment: moves pictures among nearby cells so that neighbours on the grid are similar.
//!
//! The assignment minimises displacement in the plane. It does not see the feature vectors themselves. This step swaps
//! nearby pictures if that lowers the energy: the sum over all pairs of close cells of feature distance / grid
//! distance². Only swaps that lower the energy are accepted, so the grid never gets worse by this measure. `sort` is
//! the alternative: it lowers the energy further, but moves more pictures, and a swap pass of this module follows it.

use super::sort::sort;
use super::{Error, Grid};
use crate::linalg::SplitMix64;

/// Two cells are close if they are at most this many rows and columns apart.
const CLOSE_DISTANCE: i64 = 2;
/// The number of random pairs of pictures whose mean distance is the cost of a missing neighbour.
const SAMPLE: usize = 4096;
/// Passes over the grid; each proposes one swap per cell.
const PASSES: usize = 60;
/// Seed of the random swap partners. It is fixed, so the same features give the same grid.
const SEED: u64 = 0;

/// One feature vector per picture.
#[derive(Clone, Copy, Debug)]
pub struct FeatureVectors<'a> {
    /// All vectors, picture by picture: pictures × dimensions.
    pub values: &'a [f32],
    /// Numbers per vector. Time and memory grow with it: reduce long vectors to some tens of dimensions first, for
    /// example by PCA.
    pub dimensions: usize,
}

/// Returns the cell of each picture after refinement.
///
/// `cells` has the current cell of each picture, no cell twice. The pictures in `pinned` do not move. Swap partners are
/// at most `radius` rows and columns apart; 0 moves nothing.
///
/// # Errors
/// `BadInput` if lengths do not agree, a feature is not finite, a pinned picture does not exist, or `cells` is not an
/// assignment to this grid; `TooManyCells` if the grid is too large.
pub fn refine(
    features: FeatureVectors<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
    radius: u32,
) -> Result<Vec<u32>, Error> {
    let (mut occupants, fixed) = occupancy(features, grid, cells, pinned)?;
    swap(features, grid, &mut occupants, &fixed, cells.len(), radius);
    Ok(cells_of(&occupants, cells.len()))
}

/// Swaps the pictures of `occupants` in place, with partners up to `radius` rows and columns away. `count` is the
/// number of pictures.
fn swap(
    features: FeatureVectors<'_>,
    grid: Grid,
    occupants: &mut [Option<u32>],
    fixed: &[bool],
    count: usize,
    radius: u32,
) {
    let costs = SwapCosts::new(features, grid, count);
    let mut random = SplitMix64::new(SEED);
    let reach = i64::from(radius);
    for _ in 0..if reach > 0 && count > 1 { PASSES } else { 0 } {
        for a in 0..occupants.len() as u32 {
            let (row, column) = grid.row_column(a);
            // Propose a partner: uniform in the square of side 2·radius + 1 around the cell. Both numbers are drawn
            // before any test, so that the sequence does not depend on what is accepted.
            let mut nearby = |k: u32| i64::from(k) + below(&mut random, 2 * reach as usize + 1) as i64 - reach;
            let (row, column) = (nearby(row), nearby(column));
            if !(0..i64::from(grid.height)).contains(&row) || !(0..i64::from(grid.width)).contains(&column) {
                continue;
            }
            let b = row as u32 * grid.width + column as u32;
            if a == b
                || fixed[a as usize]
                || fixed[b as usize]
                || (occupants[a as usize].is_none() && occupants[b as usize].is_none())
            {
                continue;
            }
            // Accept only a decrease. A picture may also move to an empty cell.
            if costs.swap_delta(occupants, a, b) < 0.0 {
                occupants.swap(a as usize, b as usize);
            }
        }
    }
}

/// Like [`refine`], but by linear assignment sorting (see `sort`), starting with a blur of `radius` cells; 0 moves
/// nothing.
///
/// Swaps of adjacent pictures follow, because sorting minimises squared distances, and the energy is of plain
/// distances.
///
/// # Errors
/// The same as [`refine`].
pub fn refine_by_sorting(
    features: FeatureVectors<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
    radius: u32,
) -> Result<Vec<u32>, Error> {
    let (mut occupants, fixed) = occupancy(features, grid, cells, pinned)?;
    sort(features, grid, &mut occupants, &fixed, f64::from(radius));
    swap(features, grid, &mut occupants, &fixed, cells.len(), radius.min(1));
    Ok(cells_of(&occupants, cells.len()))
}

/// Checks the input. Returns the picture of each cell, and for each cell whether its picture is pinned.
fn occupancy(
    features: FeatureVectors<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
) -> Result<(Vec<Option<u32>>, Vec<bool>), Error> {
    let invalid = |reason| Err(Error::BadInput(reason));
    let FeatureVectors { values, dimensions } = features;
    if Some(values.len()) != cells.len().checked_mul(dimensions) {
        return invalid("there must be one feature vector per point");
    }
    if values.iter().any(|x| !x.is_finite()) {
        return invalid("a feature is not a finite number");
    }
    if grid.cells() > super::MAX_CELLS {
        return Err(Error::TooManyCells { grid, limit: super::MAX_CELLS });
    }
    let mut occupants = vec![None; grid.cells() as usize];
    for (picture, &cell) in cells.iter().enumerate() {
        match occupants.get_mut(cell as usize) {
            None => return invalid("a cell is outside the grid"),
            Some(Some(_)) => return invalid("a cell is taken twice"),
            Some(occupant) => *occupant = Some(picture as u32),
        }
    }
    let mut fixed = vec![false; occupants.len()];
    for &picture in pinned {
        match cells.get(picture) {
            None => return invalid("a pinned picture does not exist"),
            Some(&cell) => fixed[cell as usize] = true,
        }
    }
    Ok((occupants, fixed))
}

/// The cell of each of `count` pictures.
fn cells_of(occupants: &[Option<u32>], count: usize) -> Vec<u32> {
    let mut refined = vec![0; count];
    for (cell, picture) in occupants.iter().enumerate() {
        if let Some(picture) = picture {
            refined[*picture as usize] = cell as u32;
        }
    }
    refined
}

/// A random number in 0..count, by Lemire's multiplication without its rejection step.
fn below(random: &mut SplitMix64, count: usize) -> usize {
    ((u128::from(random.next_u64()) * count as u128) >> 64) as usize
}

/// Computes how a swap changes the energy.
struct SwapCosts<'a> {
    features: FeatureVectors<'a>,
    grid: Grid,
    /// The mean feature distance of two random pictures. A missing neighbour costs this much. If it cost nothing,
    /// pictures that are unlike all others would be moved to the edges and next to empty cells.
    mean: f32,
}

impl<'a> SwapCosts<'a> {
    fn new(features: FeatureVectors<'a>, grid: Grid, count: usize) -> Self {
        let mut costs = Self { features, grid, mean: 0.0 };
        if count > 1 {
            let mut random = SplitMix64::new(!SEED);
            let mut picture = || below(&mut random, count) as u32;
            let distances = (0..SAMPLE).map(|_| f64::from(costs.distance(picture(), picture())));
            costs.mean = (distances.sum::<f64>() / SAMPLE as f64) as f32;
        }
        costs
    }

    /// The Euclidean distance of two pictures' feature vectors.
    fn distance(&self, a: u32, b: u32) -> f32 {
        let d = self.features.dimensions;
        let vector = |picture: u32| &self.features.values[picture as usize * d..][..d];
        // Eight partial sums: the order is fixed, and the compiler can vectorise it.
        let mut sums = [0.0_f32; 8];
        let (a, b) = (vector(a), vector(b));
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        sums.iter().sum::<f32>().sqrt()
    }

    /// The change in energy if the pictures of cells `a` and `b` are swapped. O(cells that are close × dimensions).
    fn swap_delta(&self, occupants: &[Option<u32>], a: u32, b: u32) -> f32 {
        self.cell_delta(occupants, a, b) + self.cell_delta(occupants, b, a)
    }

    /// The change in energy of the pairs with cell `target` if it gets the picture of cell `other` instead of its own.
    fn cell_delta(&self, occupants: &[Option<u32>], target: u32, other: u32) -> f32 {
        let (current, incoming) = (occupants[target as usize], occupants[other as usize]);
        let (row, column) = self.grid.row_column(target);
        let (row, column) = (i64::from(row), i64::from(column));
        let mut sum = 0.0;
        for r in (row - CLOSE_DISTANCE).max(0)..=(row + CLOSE_DISTANCE).min(i64::from(self.grid.height) - 1) {
            for c in (column - CLOSE_DISTANCE).max(0)..=(column + CLOSE_DISTANCE).min(i64::from(self.grid.width) - 1) {
                let cell = r as u32 * self.grid.width + c as u32;
                // A swap does not change the distance between the two pictures themselves.
                if cell == target || cell == other {
                    continue;
                }
                let Some(neighbour) = occupants[cell as usize] else { continue };
                // Relative to `mean`, an absent picture contributes 0, so empty cells need no terms of their own.
                let excess = |picture: Option<u32>| picture.map_or(0.0, |p| self.distance(p, neighbour) - self.mean);
                sum += (excess(incoming) - excess(current)) / ((r - row).pow(2) + (c - column).pow(2)) as f32;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::testing::same_on_any_threads;

    #[test]
    fn keeps_pins_and_brings_like_to_like() {
        let grid = Grid::new(12, 12);
        let mut random = SplitMix64::new(5);
        let mut values = Vec::new();
        for _ in 0..140 {
            values.extend([below(&mut random, 100) as f32, below(&mut random, 100) as f32]);
        }
        let features = FeatureVectors { values: &values, dimensions: 2 };
        let cells: Vec<u32> = (0..140).collect();
        let refined = refine(features, grid, &cells, &[7, 70], 3).unwrap();
        let mut sorted = refined.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 140);
        assert_eq!((refined[7], refined[70]), (7, 70));
        let tension = |cells: &[u32]| {
            let mut sum = 0.0;
            for (a, &cell_a) in cells.iter().enumerate() {
                for (b, &cell_b) in cells.iter().enumerate() {
                    if cell_b == cell_a + 1 || cell_b == cell_a + 12 {
                        sum +=
                            (values[2 * a] - values[2 * b]).powi(2) + (values[2 * a + 1] - values[2 * b + 1]).powi(2);
                    }
                }
            }
            sum
        };
        assert!(tension(&refined) < 0.5 * tension(&cells), "{} {}", tension(&refined), tension(&cells));
        assert!(refine(features, grid, &cells[1..], &[], 2).is_err());
        let by_sorting = same_on_any_threads(|| super::refine_by_sorting(features, grid, &cells, &[7, 70], 4).unwrap());
        assert_eq!((by_sorting[7], by_sorting[70]), (7, 70));
        assert!(tension(&by_sorting) < 0.5 * tension(&cells), "{} {}", tension(&by_sorting), tension(&cells));
        let mut all = by_sorting.clone();
        all.sort_unstable();
        assert_eq!(all, (0..140).collect::<Vec<u32>>());
    }
}
