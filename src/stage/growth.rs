//! How a wall goes on from the last one: the grid gains or loses cells from within, and each picture has a place where
//! the assignment should put it.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};

use super::Context;
use super::components::Features;
use crate::artifact::findings::AssignFindings;
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, Folds, ImageId};
use crate::carve::Board;
use crate::config::{AssignSettings, GridShape};
use crate::lap::Grid;
use crate::linalg;
use crate::store::Digest;

/// How many pictures that are like one say where it should be.
const LIKES: usize = 5;
/// Principal components by which likeness is judged.
const DIMENSIONS: usize = 50;
/// How many times wider for its height, or higher for its width, a grown grid may be than was asked for.
const TOO_ODD: f64 = 1.5;
/// A picture that moves by more columns or rows has to be looked for.
const FAR: f64 = 3.0;
/// More than this share of the old pictures are not to move so far, where seams do not move them so far themselves.
const MOST_FAR: f64 = 0.02;

/// The last wall.
pub(crate) struct Before {
    pub(crate) grid: Grid,
    /// Column and row of each picture.
    pub(crate) cells: HashMap<ImageId, [u32; 2]>,
}

/// The wall that grows from it, before who goes where is settled.
pub(super) struct Grown {
    pub(super) grid: Grid,
    /// Where each picture should go, in columns and rows.
    pub(super) targets: Vec<[f64; 2]>,
    /// The cell on the last wall of each picture that was there.
    before: Vec<Option<[u32; 2]>>,
    /// Where seams alone put each of them.
    carried: Vec<Option<[f64; 2]>>,
    /// The pictures that are most like each, by their vectors, as numbers of rows.
    likes: linalg::Neighbours,
}

/// The wall with this content, if it is still in the cache.
pub(super) fn before(ctx: &Context, content: Digest) -> Option<Before> {
    let mut walls = ctx.earlier(AssignRow::STAGE).map(|made| made.artifact);
    Before::of(&walls.find(|wall| wall.header.content == content)?).ok()
}

impl Before {
    pub(crate) fn of(parent: &Artifact) -> Result<Self> {
        let grid = AssignFindings::of(&parent.header).context("the last assignment")?.grid;
        let rows = AssignRow::from_batch(&parent.batch)?;
        let cells = rows.into_iter().map(|row| (row.image, [row.col, row.row])).collect();
        Ok(Self { grid, cells })
    }

    /// Whether a wall can grow from it: the grid that is asked for is this one, or is not said and has about its shape.
    pub(crate) fn suits(&self, settings: &AssignSettings) -> bool {
        match settings.grid {
            GridShape::Cells(grid) => grid == self.grid,
            GridShape::Auto => {
                let shape = f64::from(self.grid.width) / f64::from(self.grid.height);
                // Of a few cells no shape is near to every other.
                self.grid.cells() < 64 || (shape / aspect(settings)).ln().abs() <= TOO_ODD.ln()
            }
        }
    }

    /// The grid of the wall that grows from this one, with these of its pictures and others, `count` in all. Where seams are
    /// closed it may come out a column or a row apart.
    pub(crate) fn grid_of(&self, settings: &AssignSettings, pictures: &BTreeSet<ImageId>, count: usize) -> Grid {
        if settings.grid != GridShape::Auto {
            return self.grid;
        }
        let mut stay: Vec<_> = self.cells.iter().filter(|(image, _)| pictures.contains(*image)).collect();
        stay.sort();
        let mut cells: Vec<_> = stay.into_iter().map(|(_, cell)| Some(*cell)).collect();
        cells.resize(count.max(cells.len()), None);
        let mut board = Board::new(self.grid, &cells, &[], 0);
        board.fit(cells.len(), aspect(settings));
        board.grid()
    }

    /// The wall of these pictures that grows from this one.
    pub(super) fn grow(
        &self,
        ctx: &Context,
        settings: &AssignSettings,
        (rows, folds): (&[ProjectRow], Option<&Folds>),
        features: Features<'_>,
    ) -> Result<Grown> {
        let likes = linalg::neighbours(&features.components_of(ctx, rows, DIMENSIONS)?, LIKES)?;
        // A better copy takes the cell of the one that it puts behind itself.
        let of_set = |image: &ImageId| {
            let behind = folds.map(|folds| folds.behind(image)).unwrap_or_default();
            std::iter::once(image).chain(behind).find_map(|image| self.cells.get(image).copied())
        };
        let before: Vec<_> = rows.iter().map(|row| of_set(&row.image)).collect();
        let mut board = Board::new(self.grid, &before, &likes.index, likes.k);
        // Where nothing like it is on the wall, the projection knows what is least unlike.
        board.place_strangers(|i| nearest_in_the_plane(rows, &before, i));
        if settings.grid == GridShape::Auto {
            board.fit(rows.len(), aspect(settings));
        }
        let carried = (0..rows.len()).map(|i| board.place(i).filter(|_| before[i].is_some())).collect();
        Ok(Grown { grid: board.grid(), targets: board.targets(1.0 - settings.stay), before, carried, likes })
    }
}

impl Grown {
    /// Draws the targets of those that would move too far back by a cell, where they are more than [`MOST_FAR`] and the
    /// seams leave a choice; whether it did.
    pub(super) fn hold_back(&mut self, cells: &[u32]) -> bool {
        let old = self.before.iter().flatten().count() as f64;
        // The direction in which each axis leads too far, 0 where it does not.
        let far = |from: [u32; 2], to: [f64; 2]| {
            [0, 1].map(|axis| to[axis] - f64::from(from[axis])).map(|by| if by.abs() > FAR { by.signum() } else { 0.0 })
        };
        let cell = |i: usize| [cells[i] % self.grid.width, cells[i] / self.grid.width].map(f64::from);
        let (mut by_seams, mut back) = (0.0, Vec::new());
        for (i, from) in self.before.iter().enumerate() {
            let Some((from, carried)) = from.zip(self.carried[i]) else { continue };
            let by = far(from, cell(i));
            if far(from, carried) != [0.0; 2] {
                by_seams += f64::from(u8::from(by != [0.0; 2]));
            } else if by != [0.0; 2] {
                back.push((i, by));
            }
        }
        if by_seams > MOST_FAR * old || by_seams + back.len() as f64 <= MOST_FAR * old {
            return false;
        }
        for (i, by) in back {
            (0..2).for_each(|axis| self.targets[i][axis] -= by[axis]);
        }
        true
    }

    /// The pictures that are just where the seams put them.
    pub(super) fn kept(&self, cells: &[u32]) -> Vec<usize> {
        let place = |cell: u32| [cell % self.grid.width, cell / self.grid.width].map(f64::from);
        let near = |a: [f64; 2], b: [f64; 2]| (0..2).all(|axis| (a[axis] - b[axis]).abs() <= 1.0);
        (0..cells.len()).filter(|&i| self.before[i].is_some() && near(place(cells[i]), self.targets[i])).collect()
    }

    /// What became of the last wall, for the findings.
    pub(super) fn tell(&self, cells: &[u32], found: &mut AssignFindings) {
        let cell = |i: usize| [cells[i] % self.grid.width, cells[i] / self.grid.width];
        let old: Vec<usize> = (0..cells.len()).filter(|&i| self.before[i].is_some()).collect();
        let moved = |i: usize| {
            let (from, to) = (self.before[i].unwrap_or_default(), cell(i));
            from[0].abs_diff(to[0]).max(from[1].abs_diff(to[1]))
        };
        let share = |is: fn(u32) -> bool| {
            let count = old.iter().filter(|&&i| is(moved(i))).count();
            (!old.is_empty()).then(|| count as f64 / old.len() as f64)
        };
        (found.kept, found.moved_far) = (share(|cells| cells == 0), share(|cells| cells > 2));
        let from_likes = |i: usize| {
            let likes = &self.likes.index[i * self.likes.k..][..self.likes.k];
            let distance = |&other: &u32| {
                let (a, b) = (cell(i), cell(other as usize));
                f64::from(a[0].abs_diff(b[0])).hypot(f64::from(a[1].abs_diff(b[1])))
            };
            likes.iter().map(distance).sum::<f64>() / self.likes.k.max(1) as f64
        };
        let mean =
            |of: &[usize]| (!of.is_empty()).then(|| of.iter().map(|&i| from_likes(i)).sum::<f64>() / of.len() as f64);
        let new: Vec<usize> = (0..cells.len()).filter(|&i| self.before[i].is_none()).collect();
        (found.old_to_alike, found.new_to_alike) = (mean(&old), mean(&new));
    }
}

fn aspect(settings: &AssignSettings) -> f64 {
    settings.aspect.width / settings.aspect.height
}

/// The middle of the pictures with a cell that are nearest to picture `i` in the projection.
fn nearest_in_the_plane(rows: &[ProjectRow], before: &[Option<[u32; 2]>], i: usize) -> [f64; 2] {
    let distance = |j: usize| (rows[j].x - rows[i].x).hypot(rows[j].y - rows[i].y);
    let old = (0..rows.len()).filter(|&j| before[j].is_some());
    let mut old: Vec<(f64, usize)> = old.map(|j| (distance(j), j)).collect();
    if old.len() > LIKES {
        // Where most of a wall is new there are many of these: only the nearest are put in order.
        old.select_nth_unstable_by(LIKES, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        old.truncate(LIKES);
    }
    let mean = |axis: usize| old.iter().map(|&(_, j)| f64::from(before[j].unwrap_or_default()[axis])).sum::<f64>();
    [0, 1].map(|axis| mean(axis) / old.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of pictures of which `carried` says where seams put each.
    fn grown(carried: &[f64]) -> Grown {
        let places = || carried.iter().map(|&column| [column, 0.0]);
        Grown {
            grid: Grid::new(40, 1),
            targets: places().collect(),
            before: (0..carried.len()).map(|i| Some([i as u32, 0])).collect(),
            carried: places().map(Some).collect(),
            likes: linalg::Neighbours { len: carried.len(), k: 0, index: Vec::new(), distance: Vec::new() },
        }
    }

    #[test]
    fn who_would_move_too_far_is_held_back_unless_seams_leave_no_choice() {
        // Each stays but the last, which would move four columns.
        let cells: Vec<u32> = (0..9).chain([13]).collect();
        let mut wall = grown(&(0..10).map(f64::from).collect::<Vec<_>>());
        assert!(wall.hold_back(&cells));
        assert_eq!((wall.targets[9], wall.targets[8]), ([8.0, 0.0], [8.0, 0.0]));
        let near: Vec<u32> = (0..9).chain([12]).collect();
        assert!(!wall.hold_back(&near), "three columns are not too far");
        // A seam had already moved it that far.
        let mut carried: Vec<f64> = (0..10).map(f64::from).collect();
        carried[9] = 13.0;
        let mut wall = grown(&carried);
        assert!(!wall.hold_back(&cells));
        assert_eq!(wall.targets[9], [13.0, 0.0]);
    }
}
