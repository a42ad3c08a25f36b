//! How a grid continues from the last one: cells are inserted or removed along seams (`carve`), and each picture gets a
//! target cell for the assignment.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};

use super::Session;
use super::components::Features;
use crate::artifact::findings::AssignFindings;
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, FoldedShots, ImageId};
use crate::carve::Arrangement;
use crate::config::{AssignSettings, GridShape};
use crate::lap::Grid;
use crate::linalg;
use crate::store::Digest;

/// The number of most similar pictures that decide where a new picture goes.
const NEAREST: usize = 5;
/// Principal components by which similarity is measured.
const DIMENSIONS: usize = 50;
/// The factor by which the shape of a grown grid (width over height) may differ from `assign.aspect`.
const MAX_ASPECT_CHANGE: f64 = 1.5;
/// A picture that moves by more than this many columns or rows has moved far: users no longer find it at a glance.
const FAR_CELLS: f64 = 3.0;
/// The share of the old pictures that may move far. Moves that the seams alone cause are not limited.
const MAX_FAR_SHARE: f64 = 0.02;

/// The last grid.
pub(crate) struct PreviousGrid {
    pub(crate) grid: Grid,
    /// Column and row of each picture.
    pub(crate) cells: HashMap<ImageId, [u32; 2]>,
}

/// The grid that grows from the last one, with targets for the pictures, before the assignment.
pub(super) struct GrownGrid {
    pub(super) grid: Grid,
    /// The target of each picture as column and row.
    pub(super) targets: Vec<[f64; 2]>,
    /// The cell (column, row) in the last grid of each picture that was in it.
    previous_cells: Vec<Option<[u32; 2]>>,
    /// The position that each of these pictures has if the seams alone move it.
    seam_positions: Vec<Option<[f64; 2]>>,
    /// The most similar pictures of each, by their vectors, as row numbers.
    nearest: linalg::Neighbours,
}

/// The grid of the assignment with this content, if it is still in the cache.
pub(super) fn previous_grid(session: &Session, content: Digest) -> Option<PreviousGrid> {
    let mut grids = session.earlier_artifacts(AssignRow::STAGE).map(|cached| cached.artifact);
    PreviousGrid::of(&grids.find(|grid| grid.header.content == content)?).ok()
}

impl PreviousGrid {
    pub(crate) fn of(parent: &Artifact) -> Result<Self> {
        let grid = AssignFindings::of(&parent.header).context("the last assignment")?.grid;
        let rows = AssignRow::from_batch(&parent.batch)?;
        let cells = rows.into_iter().map(|row| (row.image, [row.col, row.row])).collect();
        Ok(Self { grid, cells })
    }

    /// Whether a grid for these settings can grow from this one: `assign.grid` is its size, or is `auto` and
    /// `assign.aspect` is close to its shape.
    pub(crate) fn is_compatible_with(&self, settings: &AssignSettings) -> bool {
        match settings.grid {
            GridShape::Cells(grid) => grid == self.grid,
            GridShape::Auto => {
                let shape = f64::from(self.grid.width) / f64::from(self.grid.height);
                // With few cells the possible shapes are too coarse to compare, so any shape will do.
                self.grid.cells() < 64 || (shape / aspect(settings)).ln().abs() <= MAX_ASPECT_CHANGE.ln()
            }
        }
    }

    /// The size of the grid that grows from this one, for `count` pictures of which those in the set are known. The
    /// real grid may differ by a column or a row, if seams are removed.
    pub(crate) fn grown_grid(&self, settings: &AssignSettings, pictures: &BTreeSet<ImageId>, count: usize) -> Grid {
        if settings.grid != GridShape::Auto {
            return self.grid;
        }
        let mut remaining: Vec<_> = self.cells.iter().filter(|(image, _)| pictures.contains(*image)).collect();
        // Sorted, because the order in a hash map is random and the result has to be the same each time.
        remaining.sort();
        let mut cells: Vec<_> = remaining.into_iter().map(|(_, cell)| Some(*cell)).collect();
        cells.resize(count.max(cells.len()), None);
        let mut arrangement = Arrangement::new(self.grid, &cells, &[], 0);
        arrangement.fit(cells.len(), aspect(settings));
        arrangement.grid()
    }

    /// Grows this grid for the pictures of `rows`.
    pub(super) fn grow(
        &self,
        session: &Session,
        settings: &AssignSettings,
        (rows, folds): (&[ProjectRow], Option<&FoldedShots>),
        features: Features<'_>,
    ) -> Result<GrownGrid> {
        let nearest = linalg::neighbours(&features.components_of(session, rows, DIMENSIONS)?, NEAREST)?;
        // If a better shot represents a set, it takes the cell of the picture that represented the set before.
        let previous_cell = |image: &ImageId| {
            let behind = folds.map(|folds| folds.behind(image)).unwrap_or_default();
            std::iter::once(image).chain(behind).find_map(|image| self.cells.get(image).copied())
        };
        let previous_cells: Vec<_> = rows.iter().map(|row| previous_cell(&row.image)).collect();
        let mut arrangement = Arrangement::new(self.grid, &previous_cells, &nearest.index, nearest.k);
        // A new picture with no similar picture on the grid goes near its neighbours in the projection.
        arrangement.place_isolated(|i| nearest_in_the_plane(rows, &previous_cells, i));
        if settings.grid == GridShape::Auto {
            arrangement.fit(rows.len(), aspect(settings));
        }
        let seam_positions =
            (0..rows.len()).map(|i| arrangement.place(i).filter(|_| previous_cells[i].is_some())).collect();
        Ok(GrownGrid {
            grid: arrangement.grid(),
            targets: arrangement.targets(1.0 - settings.stay),
            previous_cells,
            seam_positions,
            nearest,
        })
    }
}

impl GrownGrid {
    /// Moves the targets of pictures that were assigned too far from their old cells back by one cell, on each axis
    /// along which the picture moved far. Does so only if more than [`MAX_FAR_SHARE`] of the old pictures moved far and
    /// the seams alone are not the cause. Returns whether targets were moved.
    pub(super) fn hold_back(&mut self, cells: &[u32]) -> bool {
        let old = self.previous_cells.iter().flatten().count() as f64;
        // For each axis the direction of a far move, 0 if the move is not far.
        let far = |from: [u32; 2], to: [f64; 2]| {
            [0, 1]
                .map(|axis| to[axis] - f64::from(from[axis]))
                .map(|moved| if moved.abs() > FAR_CELLS { moved.signum() } else { 0.0 })
        };
        let cell = |i: usize| [cells[i] % self.grid.width, cells[i] / self.grid.width].map(f64::from);
        let (mut by_seams, mut back) = (0.0, Vec::new());
        for (i, from) in self.previous_cells.iter().enumerate() {
            let Some((from, seam_position)) = from.zip(self.seam_positions[i]) else { continue };
            let direction = far(from, cell(i));
            // A picture that the seams move far cannot be held back.
            if far(from, seam_position) != [0.0; 2] {
                by_seams += f64::from(u8::from(direction != [0.0; 2]));
            } else if direction != [0.0; 2] {
                back.push((i, direction));
            }
        }
        if by_seams > MAX_FAR_SHARE * old || by_seams + back.len() as f64 <= MAX_FAR_SHARE * old {
            return false;
        }
        for (i, direction) in back {
            (0..2).for_each(|axis| self.targets[i][axis] -= direction[axis]);
        }
        true
    }

    /// The old pictures that are at most one cell away from their targets.
    pub(super) fn unmoved(&self, cells: &[u32]) -> Vec<usize> {
        let position = |cell: u32| [cell % self.grid.width, cell / self.grid.width].map(f64::from);
        let near = |a: [f64; 2], b: [f64; 2]| (0..2).all(|axis| (a[axis] - b[axis]).abs() <= 1.0);
        (0..cells.len())
            .filter(|&i| self.previous_cells[i].is_some() && near(position(cells[i]), self.targets[i]))
            .collect()
    }

    /// Records in `found` how far the pictures of the last grid have moved, and how close similar pictures are.
    pub(super) fn record_moves(&self, cells: &[u32], found: &mut AssignFindings) {
        let cell = |i: usize| [cells[i] % self.grid.width, cells[i] / self.grid.width];
        let old: Vec<usize> = (0..cells.len()).filter(|&i| self.previous_cells[i].is_some()).collect();
        let moved = |i: usize| {
            let (from, to) = (self.previous_cells[i].unwrap_or_default(), cell(i));
            from[0].abs_diff(to[0]).max(from[1].abs_diff(to[1]))
        };
        let share = |predicate: fn(u32) -> bool| {
            let count = old.iter().filter(|&&i| predicate(moved(i))).count();
            (!old.is_empty()).then(|| count as f64 / old.len() as f64)
        };
        // The finding counts moves of more than 2 cells, a lower limit than `FAR_CELLS`.
        (found.kept, found.moved_far) = (share(|cells| cells == 0), share(|cells| cells > 2));
        let distance_to_nearest = |i: usize| {
            let nearest = &self.nearest.index[i * self.nearest.k..][..self.nearest.k];
            let distance = |&other: &u32| {
                let (a, b) = (cell(i), cell(other as usize));
                f64::from(a[0].abs_diff(b[0])).hypot(f64::from(a[1].abs_diff(b[1])))
            };
            nearest.iter().map(distance).sum::<f64>() / self.nearest.k.max(1) as f64
        };
        let mean = |rows: &[usize]| {
            (!rows.is_empty()).then(|| rows.iter().map(|&i| distance_to_nearest(i)).sum::<f64>() / rows.len() as f64)
        };
        let new: Vec<usize> = (0..cells.len()).filter(|&i| self.previous_cells[i].is_none()).collect();
        (found.old_to_alike, found.new_to_alike) = (mean(&old), mean(&new));
    }
}

fn aspect(settings: &AssignSettings) -> f64 {
    settings.aspect.width / settings.aspect.height
}

/// The mean cell (column, row) of the pictures of the last grid that are nearest to picture `i` in the projection.
fn nearest_in_the_plane(rows: &[ProjectRow], previous_cells: &[Option<[u32; 2]>], i: usize) -> [f64; 2] {
    let distance = |j: usize| (rows[j].x - rows[i].x).hypot(rows[j].y - rows[i].y);
    let old = (0..rows.len()).filter(|&j| previous_cells[j].is_some());
    let mut old: Vec<(f64, usize)> = old.map(|j| (distance(j), j)).collect();
    if old.len() > NEAREST {
        // When most of the grid is new, this runs for many pictures. A selection is faster than sorting them all.
        old.select_nth_unstable_by(NEAREST, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        old.truncate(NEAREST);
    }
    let mean =
        |axis: usize| old.iter().map(|&(_, j)| f64::from(previous_cells[j].unwrap_or_default()[axis])).sum::<f64>();
    [0, 1].map(|axis| mean(axis) / old.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid of one row. `seam_positions` are the columns where the seams put the pictures.
    fn grown(seam_positions: &[f64]) -> GrownGrid {
        let places = || seam_positions.iter().map(|&column| [column, 0.0]);
        GrownGrid {
            grid: Grid::new(40, 1),
            targets: places().collect(),
            previous_cells: (0..seam_positions.len()).map(|i| Some([i as u32, 0])).collect(),
            seam_positions: places().map(Some).collect(),
            nearest: linalg::Neighbours { len: seam_positions.len(), k: 0, index: Vec::new(), distance: Vec::new() },
        }
    }

    #[test]
    fn who_would_move_too_far_is_held_back_unless_seams_leave_no_choice() {
        // Every picture stays except the last, which would move four columns.
        let cells: Vec<u32> = (0..9).chain([13]).collect();
        let mut grid = grown(&(0..10).map(f64::from).collect::<Vec<_>>());
        assert!(grid.hold_back(&cells));
        assert_eq!((grid.targets[9], grid.targets[8]), ([8.0, 0.0], [8.0, 0.0]));
        let near: Vec<u32> = (0..9).chain([12]).collect();
        assert!(!grid.hold_back(&near), "three columns are not too far");
        // Here the seams alone move it that far.
        let mut seam_positions: Vec<f64> = (0..10).map(f64::from).collect();
        seam_positions[9] = 13.0;
        let mut grid = grown(&seam_positions);
        assert!(!grid.hold_back(&cells));
        assert_eq!(grid.targets[9], [13.0, 0.0]);
    }
}
