//! A wall that grows and shrinks from within, as pictures do in seam carving (Avidan & Shamir 2007): to gain cells, a seam
//! is opened where new pictures want to be, so that what was side by side stays within a cell or two of it; to lose cells,
//! a seam is closed where cells are empty.
//!
//! Places are in cells: (column, row) of a cell, and anything between them. What a picture wants is to be in the middle of
//! those that are like it ([`Board::wanted`]). Who goes where in the end settles the assignment, from these targets.
//!
//! ```
//! use tsne_grid::carve::Board;
//! use tsne_grid::lap::Grid;
//!
//! // Four pictures on two by two cells; the fifth is like the first two.
//! let old = [Some([0, 0]), Some([1, 0]), Some([0, 1]), Some([1, 1]), None];
//! let likes: Vec<u32> = vec![1, 4, 0, 4, 3, 0, 2, 1, 0, 1];
//! let mut board = Board::new(Grid::new(2, 2), &old, &likes, 2);
//! board.fit(5, 1.0);
//! assert_eq!(board.grid(), Grid::new(3, 2));
//! assert_eq!(board.wanted(4), Some([0.5, 0.0]), "between the two");
//! ```

mod seam;
#[cfg(test)]
mod tests;

use crate::lap::Grid;
use seam::Field;

/// How far the wish of one picture for a cell is felt, in cells: the standard deviation of a bell curve.
const REACH: f64 = 1.2;
/// Pictures that seams have moved by as many cells follow their likes only if that leads back.
const FAR: f64 = 2.0;
/// A shape that is farther from the one that is asked for is avoided, if it can be.
const ODD: f64 = 1.1;
/// At most this share of a seam may be left free when one is closed: the next pictures find room without another seam.
const RESERVE: f64 = 0.5;

/// Pictures on a grid, some of which have no cell yet.
#[derive(Clone, Debug)]
pub struct Board<'a> {
    grid: Grid,
    /// Where each picture is; none if it has no place yet.
    places: Vec<Option<[f64; 2]>>,
    /// How far seams have moved each picture.
    shifted: Vec<[f64; 2]>,
    /// Whether a picture has its cell for itself: it had one, and no seam took it.
    holds: Vec<bool>,
    /// `k` pictures that are like each, the nearest first.
    likes: &'a [u32],
    k: usize,
}

impl<'a> Board<'a> {
    /// Pictures with the cells (column, row) that they had on `grid`; of each picture the `k` that are most like it, end to
    /// end, by their numbers. Cells are taken once.
    ///
    /// # Panics
    /// When there are not `k` likes of every picture, a number is none of a picture's, or a cell is outside the grid.
    pub fn new(grid: Grid, cells: &[Option<[u32; 2]>], likes: &'a [u32], k: usize) -> Self {
        assert_eq!(likes.len(), cells.len() * k, "every picture has its likes");
        assert!(likes.iter().all(|&other| (other as usize) < cells.len()), "likes are pictures");
        let inside = |cell: &[u32; 2]| cell[0] < grid.width && cell[1] < grid.height;
        assert!(cells.iter().flatten().all(inside), "cells are on the grid");
        let places: Vec<_> = cells.iter().map(|cell| cell.map(|cell| cell.map(f64::from))).collect();
        Self {
            grid,
            shifted: vec![[0.0; 2]; places.len()],
            places,
            holds: cells.iter().map(Option::is_some).collect(),
            likes,
            k,
        }
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Opens seams until `count` pictures fit, and closes some where far fewer are left, in the directions that bring
    /// columns : rows nearest to `aspect`.
    pub fn fit(&mut self, count: usize, aspect: f64) {
        while self.grid.cells() < count as u64 {
            let upright = self.off(aspect, true, 1) <= self.off(aspect, false, 1);
            self.open(upright);
        }
        while let Some(upright) = self.closable(count, aspect) {
            self.close(upright);
        }
    }

    /// The direction in which a seam may be closed while `count` pictures fit: the one in which fewer lose their cells,
    /// unless the shape suffers.
    fn closable(&self, count: usize, aspect: f64) -> Option<bool> {
        let Grid { width, height } = self.grid;
        let spare = self.grid.cells() as f64 - count as f64;
        let may = |&upright: &bool| {
            let (side, across) = if upright { (height, width) } else { (width, height) };
            across > 1 && spare >= f64::from(side) * (1.0 + RESERVE)
        };
        let shape = |upright: bool| self.off(aspect, upright, -1);
        let is_odd = |upright: bool| shape(upright) > ODD.ln() && shape(upright) > shape(!upright);
        let loss = |upright: bool| self.closing(upright).1;
        let directions = [true, false].into_iter().filter(may);
        directions.min_by_key(|&upright| (is_odd(upright), loss(upright), shape(upright) > shape(!upright)))
    }

    /// How far the shape would be from the one that is asked for, with so many columns (`upright`) or rows more.
    fn off(&self, aspect: f64, upright: bool, by: i64) -> f64 {
        let [columns, rows] = [(self.grid.width, upright), (self.grid.height, !upright)]
            .map(|(count, is_it)| (i64::from(count) + if is_it { by } else { 0 }).max(1) as f64);
        // Rounded, so that a shape and its mirror image are equally far.
        ((columns / rows / aspect).ln().abs() * 1e9).round() / 1e9
    }

    /// Where seams have put picture `i`; none if it has no place yet.
    pub fn place(&self, i: usize) -> Option<[f64; 2]> {
        self.places[i]
    }

    /// The middle of the pictures that are most like picture `i` and have a place; none where none of them has.
    pub fn wanted(&self, i: usize) -> Option<[f64; 2]> {
        let likes = &self.likes[i * self.k..][..self.k];
        let places: Vec<[f64; 2]> = likes.iter().filter_map(|&other| self.places[other as usize]).collect();
        (!places.is_empty()).then(|| [0, 1].map(|axis| median(places.iter().map(|place| place[axis]).collect())))
    }

    /// Gives places to new pictures of which nothing that is like them has one.
    pub fn place_strangers(&mut self, place: impl Fn(usize) -> [f64; 2]) {
        let strange = |i: &usize| self.places[*i].is_none() && self.wanted(*i).is_none();
        let strangers: Vec<usize> = (0..self.places.len()).filter(strange).collect();
        strangers.into_iter().for_each(|i| self.places[i] = Some(place(i)));
    }

    /// Where each picture should go, for the assignment: a new one where it wants to be, an old one by `pull` of the way
    /// (0 to 1) from where it is, and by at most one cell.
    pub fn targets(&self, pull: f64) -> Vec<[f64; 2]> {
        let target = |i: usize| {
            let wanted = self.wanted(i);
            let Some(place) = self.places[i] else { return wanted.unwrap_or_default() };
            if !self.holds[i] {
                return place;
            }
            let wanted = wanted.unwrap_or(place);
            let step = [0, 1].map(|axis| pull * (wanted[axis] - place[axis]));
            // Who has come so far goes no farther that way.
            let is_far = |axis: usize| self.shifted[i][axis].abs() >= FAR && step[axis] * self.shifted[i][axis] > 0.0;
            let step = [0, 1].map(|axis| if is_far(axis) { 0.0 } else { step[axis] });
            let length = step[0].hypot(step[1]).max(1.0);
            [0, 1].map(|axis| place[axis] + step[axis] / length)
        };
        (0..self.places.len()).map(target).collect()
    }

    /// Opens a seam, upright (a cell more in every row) or level, through where cells are wanted most.
    fn open(&mut self, upright: bool) {
        let gaps = self.demand(upright).gaps();
        let path = gaps.best_path();
        self.shift(upright, |along, across| f64::from(u8::from(across >= path[along] as f64 - 0.5)));
        *self.side(upright) += 1;
    }

    /// Closes a seam through cells that are empty or wanted least. Who had one of these keeps its place, but not for
    /// itself.
    fn close(&mut self, upright: bool) {
        let (path, _) = self.closing(upright);
        for i in 0..self.places.len() {
            if let Some(place) = self.places[i] {
                let (along, across) = turned(upright, place);
                self.holds[i] &= across != path[along.round() as usize] as f64;
            }
        }
        self.shift(upright, |along, across| -f64::from(u8::from(across > path[along] as f64)));
        *self.side(upright) -= 1;
        let last = f64::from(*self.side(upright)) - 1.0;
        let axis = usize::from(!upright);
        self.places.iter_mut().flatten().for_each(|place| place[axis] = place[axis].min(last));
    }

    /// The seam to close, and how many pictures have a cell on it.
    fn closing(&self, upright: bool) -> (Vec<usize>, usize) {
        let (mut full, demand) = (self.occupied(upright), self.demand(upright));
        // An empty cell is worth any number of wishes.
        let path = full.combined(&demand, |full, demand| -1e6 * full - demand).best_path();
        let lost = path.iter().enumerate().filter(|&(along, &across)| *full.at(along, across) > 0.0).count();
        (path, lost)
    }

    fn side(&mut self, upright: bool) -> &mut u32 {
        if upright { &mut self.grid.width } else { &mut self.grid.height }
    }

    /// Moves every place across the seam by what `by` says of (its row along the seam, its place across).
    fn shift(&mut self, upright: bool, by: impl Fn(usize, f64) -> f64) {
        let axis = usize::from(!upright);
        for (place, shifted) in self.places.iter_mut().zip(&mut self.shifted) {
            let Some(place) = place else { continue };
            let (along, across) = turned(upright, *place);
            let by = by(along.round() as usize, across);
            place[axis] += by;
            shifted[axis] += by;
        }
    }

    /// How much cells are wanted: by pictures without one, less those that are empty, each felt around its place.
    fn demand(&self, upright: bool) -> Field {
        let mut demand = self.occupied(upright);
        demand.values.iter_mut().for_each(|full| *full -= 1.0);
        for i in (0..self.places.len()).filter(|&i| !self.holds[i]) {
            if let Some(place) = self.places[i].or_else(|| self.wanted(i)) {
                let (along, across) = turned(upright, place);
                *demand.at(along.round() as usize, across.round() as usize) += 1.0;
            }
        }
        demand.blurred(REACH)
    }

    /// 1 where a picture has its cell, 0 where a cell is empty.
    fn occupied(&self, upright: bool) -> Field {
        let Grid { width, height } = self.grid;
        let (length, across) = if upright { (height, width) } else { (width, height) };
        let mut occupied = Field::new(length as usize, across as usize);
        for (place, _) in self.places.iter().zip(&self.holds).filter(|(_, holds)| **holds) {
            let (along, across) = turned(upright, place.expect("who has a cell has a place"));
            *occupied.at(along as usize, across as usize) = 1.0;
        }
        occupied
    }
}

/// A place as (along the seam, across it).
fn turned(upright: bool, [column, row]: [f64; 2]) -> (f64, f64) {
    if upright { (row, column) } else { (column, row) }
}

/// The middle one, or the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
