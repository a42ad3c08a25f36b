//! Moves pictures among nearby cells so that neighbours on the grid are alike in feature space.
//!
//! The optimal assignment is optimal for displacement in the plane, not for the look of the grid. From there, pictures swap
//! places with pictures nearby wherever that lowers the sum, over all pairs of close cells, of feature distance / grid
//! distance². That is a descent, so the grid never gets worse by that measure. (`sort` is the other
//! way: it comes farther, and moves more pictures; a last descent ends it.)

use super::sort::sort;
use super::{Error, Grid};
use crate::linalg::SplitMix64;

/// Pairs of cells up to this many rows and columns apart count as close.
const CLOSE: i64 = 2;
/// Pairs of pictures whose mean distance stands for "no neighbour there".
const SAMPLE: usize = 4096;
/// Swaps tried per cell.
const PASSES: usize = 60;
/// Chooses the partners: the same features give the same grid.
const SEED: u64 = 0;

/// One feature vector per picture, end to end.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// All vectors, picture by picture.
    pub values: &'a [f32],
    /// Numbers per vector. Time and memory grow with it: project long vectors to some tens of dimensions first.
    pub dimensions: usize,
}

/// Returns the cell of each picture after refinement.
///
/// `cells` are the cells so far, one per picture, each taken once; pictures in `pinned` stay where they are. Swap partners
/// are at most `radius` rows and columns apart; 0 moves nothing.
///
/// # Errors
/// `BadInput` when lengths do not agree, a feature is not finite, or `cells` is not an assignment to this grid.
pub fn refine(
    features: Features<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
    radius: u32,
) -> Result<Vec<u32>, Error> {
    let (mut holder, fixed) = holders(features, grid, cells, pinned)?;
    swap(features, grid, &mut holder, &fixed, cells.len(), radius);
    Ok(cells_of(&holder, cells.len()))
}

/// Swaps, in place, the pictures of `holder`, `count` in all, with such up to `radius` rows and columns away.
fn swap(features: Features<'_>, grid: Grid, holder: &mut [Option<u32>], fixed: &[bool], count: usize, radius: u32) {
    let board = Board::new(features, grid, count);
    let mut chance = SplitMix64::new(SEED);
    let reach = i64::from(radius);
    for _ in 0..if reach > 0 && count > 1 { PASSES } else { 0 } {
        for a in 0..holder.len() as u32 {
            let (row, column) = grid.row_column(a);
            let mut near = |k: u32| i64::from(k) + below(&mut chance, 2 * reach as usize + 1) as i64 - reach;
            let (row, column) = (near(row), near(column));
            if !(0..i64::from(grid.height)).contains(&row) || !(0..i64::from(grid.width)).contains(&column) {
                continue;
            }
            let b = row as u32 * grid.width + column as u32;
            if a == b
                || fixed[a as usize]
                || fixed[b as usize]
                || (holder[a as usize].is_none() && holder[b as usize].is_none())
            {
                continue;
            }
            if board.tension_if_swapped(holder, a, b) < 0.0 {
                holder.swap(a as usize, b as usize);
            }
        }
    }
}

/// The same by sorting (see `sort`), from a blur of `radius` cells on, and then by swaps with what is next to it, which sees
/// distances where sorting sees their squares; 0 moves nothing.
///
/// # Errors
/// As [`refine`].
pub fn sorted(
    features: Features<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
    radius: u32,
) -> Result<Vec<u32>, Error> {
    let (mut holder, fixed) = holders(features, grid, cells, pinned)?;
    sort(features, grid, &mut holder, &fixed, f64::from(radius));
    swap(features, grid, &mut holder, &fixed, cells.len(), radius.min(1));
    Ok(cells_of(&holder, cells.len()))
}

/// The picture of each cell, and which cells keep theirs.
fn holders(
    features: Features<'_>,
    grid: Grid,
    cells: &[u32],
    pinned: &[usize],
) -> Result<(Vec<Option<u32>>, Vec<bool>), Error> {
    let bad = |reason| Err(Error::BadInput(reason));
    let Features { values, dimensions } = features;
    if Some(values.len()) != cells.len().checked_mul(dimensions) {
        return bad("there must be one feature vector per point");
    }
    if values.iter().any(|x| !x.is_finite()) {
        return bad("a feature is not a finite number");
    }
    if grid.cells() > super::MAX_CELLS {
        return Err(Error::TooManyCells { grid, limit: super::MAX_CELLS });
    }
    let mut holder = vec![None; grid.cells() as usize];
    for (picture, &cell) in cells.iter().enumerate() {
        match holder.get_mut(cell as usize) {
            None => return bad("a cell is outside the grid"),
            Some(Some(_)) => return bad("a cell is taken twice"),
            Some(place) => *place = Some(picture as u32),
        }
    }
    let mut fixed = vec![false; holder.len()];
    for &picture in pinned {
        match cells.get(picture) {
            None => return bad("a pinned picture does not exist"),
            Some(&cell) => fixed[cell as usize] = true,
        }
    }
    Ok((holder, fixed))
}

/// The cell of each of `count` pictures.
fn cells_of(holder: &[Option<u32>], count: usize) -> Vec<u32> {
    let mut refined = vec![0; count];
    for (cell, picture) in holder.iter().enumerate() {
        if let Some(picture) = picture {
            refined[*picture as usize] = cell as u32;
        }
    }
    refined
}

/// A number in 0..count.
fn below(chance: &mut SplitMix64, count: usize) -> usize {
    ((u128::from(chance.next_u64()) * count as u128) >> 64) as usize
}

/// Distances on the grid and in feature space.
struct Board<'a> {
    features: Features<'a>,
    grid: Grid,
    /// The mean distance of two pictures: a missing neighbour counts as much as that, or edges would draw odd pictures.
    mean: f32,
}

impl<'a> Board<'a> {
    fn new(features: Features<'a>, grid: Grid, count: usize) -> Self {
        let mut board = Self { features, grid, mean: 0.0 };
        if count > 1 {
            let mut chance = SplitMix64::new(!SEED);
            let mut picture = || below(&mut chance, count) as u32;
            let distances = (0..SAMPLE).map(|_| f64::from(board.distance(picture(), picture())));
            board.mean = (distances.sum::<f64>() / SAMPLE as f64) as f32;
        }
        board
    }

    fn distance(&self, a: u32, b: u32) -> f32 {
        let d = self.features.dimensions;
        let vector = |picture: u32| &self.features.values[picture as usize * d..][..d];
        // Eight sums side by side: a fixed order that the compiler can vectorise.
        let mut sums = [0.0_f32; 8];
        let (a, b) = (vector(a), vector(b));
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        sums.iter().sum::<f32>().sqrt()
    }

    /// What swapping the pictures of cells `a` and `b` adds to the tension of the grid.
    fn tension_if_swapped(&self, holder: &[Option<u32>], a: u32, b: u32) -> f32 {
        self.added(holder, a, b) + self.added(holder, b, a)
    }

    /// What changes around cell `at` when its picture goes and that of cell `other` comes.
    fn added(&self, holder: &[Option<u32>], at: u32, other: u32) -> f32 {
        let (goes, comes) = (holder[at as usize], holder[other as usize]);
        let (row, column) = self.grid.row_column(at);
        let (row, column) = (i64::from(row), i64::from(column));
        let mut sum = 0.0;
        for r in (row - CLOSE).max(0)..=(row + CLOSE).min(i64::from(self.grid.height) - 1) {
            for c in (column - CLOSE).max(0)..=(column + CLOSE).min(i64::from(self.grid.width) - 1) {
                let cell = r as u32 * self.grid.width + c as u32;
                // The two themselves stay as far apart as they were.
                if cell == at || cell == other {
                    continue;
                }
                let Some(neighbour) = holder[cell as usize] else { continue };
                let pull = |picture: Option<u32>| picture.map_or(0.0, |p| self.distance(p, neighbour) - self.mean);
                sum += (pull(comes) - pull(goes)) / ((r - row).pow(2) + (c - column).pow(2)) as f32;
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
        let mut chance = SplitMix64::new(5);
        let mut values = Vec::new();
        for _ in 0..140 {
            values.extend([below(&mut chance, 100) as f32, below(&mut chance, 100) as f32]);
        }
        let features = Features { values: &values, dimensions: 2 };
        let cells: Vec<u32> = (0..140).collect();
        let refined = refine(features, grid, &cells, &[7, 70], 3).unwrap();
        let mut sorted = refined.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 140);
        assert_eq!((refined[7], refined[70]), (7, 70));
        let tension = |cells: &[u32]| {
            let mut sum = 0.0;
            for (a, &ca) in cells.iter().enumerate() {
                for (b, &cb) in cells.iter().enumerate() {
                    if cb == ca + 1 || cb == ca + 12 {
                        sum +=
                            (values[2 * a] - values[2 * b]).powi(2) + (values[2 * a + 1] - values[2 * b + 1]).powi(2);
                    }
                }
            }
            sum
        };
        assert!(tension(&refined) < 0.5 * tension(&cells), "{} {}", tension(&refined), tension(&cells));
        assert!(refine(features, grid, &cells[1..], &[], 2).is_err());
        let by_map = same_on_any_threads(|| super::sorted(features, grid, &cells, &[7, 70], 4).unwrap());
        assert_eq!((by_map[7], by_map[70]), (7, 70));
        assert!(tension(&by_map) < 0.5 * tension(&cells), "{} {}", tension(&by_map), tension(&cells));
        let mut all = by_map.clone();
        all.sort_unstable();
        assert_eq!(all, (0..140).collect::<Vec<u32>>());
    }
}
