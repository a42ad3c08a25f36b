//! Resizes a grid from within, as seam carving does with an image (Avidan & Shamir 2007).
//!
//! To gain cells, a seam is opened where there is demand from new pictures. Pictures that were adjacent stay within a
//! cell or two of each other. To lose cells, a seam is closed where cells are empty.
//!
//! Places are (column, row) in units of cells, and may be fractional. The best place of a picture is the median place
//! of its nearest neighbours ([`Arrangement::neighbour_median`]). This module only computes targets; the assignment
//! then gives each picture a cell.
//!
//! ```
//! use tsne_grid::carve::Arrangement;
//! use tsne_grid::lap::Grid;
//!
//! // Four pictures on two by two cells; the fifth is similar to the first two.
//! let old = [Some([0, 0]), Some([1, 0]), Some([0, 1]), Some([1, 1]), None];
//! let neighbours: Vec<u32> = vec![1, 4, 0, 4, 3, 0, 2, 1, 0, 1];
//! let mut arrangement = Arrangement::new(Grid::new(2, 2), &old, &neighbours, 2);
//! arrangement.fit(5, 1.0);
//! assert_eq!(arrangement.grid(), Grid::new(3, 2));
//! assert_eq!(arrangement.neighbour_median(4), Some([0.5, 0.0]), "between the two");
//! ```

mod seam;
#[cfg(test)]
mod tests;

use crate::lap::Grid;
use seam::Field;

/// Standard deviation of the Gaussian that smooths the demand for cells, in cells.
const DEMAND_DEVIATION: f64 = 1.2;
/// A picture that seams have moved by this many cells along an axis does not follow its neighbours further in that
/// direction.
const MAX_SHIFT: f64 = 2.0;
/// A seam is not closed if the aspect would then be off by more than this factor, unless the other direction is no
/// better.
const MAX_ASPECT_RATIO: f64 = 1.1;
/// Closing a seam must leave at least this share of a seam empty, so that the next pictures need no new seam.
const RESERVE: f64 = 0.5;

/// Pictures on a grid, some of which have no cell yet.
#[derive(Clone, Debug)]
pub struct Arrangement<'a> {
    grid: Grid,
    /// The place of each picture; `None` for a picture without a place.
    places: Vec<Option<[f64; 2]>>,
    /// The displacement of each picture by seams, in cells.
    shifted: Vec<[f64; 2]>,
    /// Whether a picture has a cell of its own: it had one at the start, and no seam was closed there.
    owns_cell: Vec<bool>,
    /// The `k` nearest neighbours of each picture, nearest first.
    neighbours: &'a [u32],
    k: usize,
}

impl<'a> Arrangement<'a> {
    /// An arrangement of pictures with their cells (column, row) on `grid`; `None` for a new picture. No cell may occur
    /// twice. `neighbours` has the numbers of the `k` nearest neighbours of each picture, picture by picture.
    ///
    /// # Panics
    /// If a picture does not have `k` neighbours, a neighbour is not the number of a picture, or a cell is outside the
    /// grid.
    pub fn new(grid: Grid, cells: &[Option<[u32; 2]>], neighbours: &'a [u32], k: usize) -> Self {
        assert_eq!(neighbours.len(), cells.len() * k, "every picture has `k` neighbours");
        assert!(neighbours.iter().all(|&other| (other as usize) < cells.len()), "neighbours are numbers of pictures");
        let inside = |cell: &[u32; 2]| cell[0] < grid.width && cell[1] < grid.height;
        assert!(cells.iter().flatten().all(inside), "every cell is on the grid");
        let places: Vec<_> = cells.iter().map(|cell| cell.map(|cell| cell.map(f64::from))).collect();
        Self {
            grid,
            shifted: vec![[0.0; 2]; places.len()],
            places,
            owns_cell: cells.iter().map(Option::is_some).collect(),
            neighbours,
            k,
        }
    }

    /// The current grid, after all seams.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Opens seams until there are at least `count` cells, and closes seams while there are far more. Seams are opened
    /// in the direction that brings columns : rows nearest to `aspect`.
    pub fn fit(&mut self, count: usize, aspect: f64) {
        while self.grid.cells() < count as u64 {
            let vertical = self.aspect_error(aspect, true, 1) <= self.aspect_error(aspect, false, 1);
            self.open(vertical);
        }
        while let Some(vertical) = self.closing_direction(count, aspect) {
            self.close(vertical);
        }
    }

    /// The direction in which a seam can be closed, with room for `count` pictures and the reserve; `None` if no seam
    /// can be closed. `Some(true)` is vertical. A good shape comes first, then the direction in which fewer pictures
    /// lose their cell.
    fn closing_direction(&self, count: usize, aspect: f64) -> Option<bool> {
        let Grid { width, height } = self.grid;
        let spare = self.grid.cells() as f64 - count as f64;
        let can_close = |&vertical: &bool| {
            let (side, across) = if vertical { (height, width) } else { (width, height) };
            across > 1 && spare >= f64::from(side) * (1.0 + RESERVE)
        };
        let error_after = |vertical: bool| self.aspect_error(aspect, vertical, -1);
        let is_distorted = |vertical: bool| {
            error_after(vertical) > MAX_ASPECT_RATIO.ln() && error_after(vertical) > error_after(!vertical)
        };
        let loss = |vertical: bool| self.seam_to_close(vertical).1;
        let directions = [true, false].into_iter().filter(can_close);
        directions.min_by_key(|&vertical| {
            (is_distorted(vertical), loss(vertical), error_after(vertical) > error_after(!vertical))
        })
    }

    /// The distance |ln(columns / rows / aspect)| from the requested aspect, with `change` more columns (`vertical`) or
    /// rows.
    fn aspect_error(&self, aspect: f64, vertical: bool, change: i64) -> f64 {
        let [columns, rows] = [(self.grid.width, vertical), (self.grid.height, !vertical)]
            .map(|(count, changes)| (i64::from(count) + if changes { change } else { 0 }).max(1) as f64);
        // Rounded, so that the distances of a shape and its transpose are exactly equal.
        ((columns / rows / aspect).ln().abs() * 1e9).round() / 1e9
    }

    /// The place of picture `i` after all seams; `None` if it has no place.
    pub fn place(&self, i: usize) -> Option<[f64; 2]> {
        self.places[i]
    }

    /// The median place, per axis, of the neighbours of picture `i` that have a place; `None` if none of them has.
    pub fn neighbour_median(&self, i: usize) -> Option<[f64; 2]> {
        let neighbours = &self.neighbours[i * self.k..][..self.k];
        let places: Vec<[f64; 2]> = neighbours.iter().filter_map(|&other| self.places[other as usize]).collect();
        (!places.is_empty()).then(|| [0, 1].map(|axis| median(places.iter().map(|place| place[axis]).collect())))
    }

    /// Gives a place to each new picture without a neighbour that has one.
    pub fn place_isolated(&mut self, place: impl Fn(usize) -> [f64; 2]) {
        let is_isolated = |i: &usize| self.places[*i].is_none() && self.neighbour_median(*i).is_none();
        let isolated: Vec<usize> = (0..self.places.len()).filter(is_isolated).collect();
        isolated.into_iter().for_each(|i| self.places[i] = Some(place(i)));
    }

    /// The target of each picture for the assignment. For a new picture it is the median of its neighbours. For an old
    /// one it is `pull` (0 to 1) of the way from its place to that median, at most one cell away.
    pub fn targets(&self, pull: f64) -> Vec<[f64; 2]> {
        let target = |i: usize| {
            let neighbour_median = self.neighbour_median(i);
            let Some(place) = self.places[i] else { return neighbour_median.unwrap_or_default() };
            if !self.owns_cell[i] {
                return place;
            }
            let neighbour_median = neighbour_median.unwrap_or(place);
            let step = [0, 1].map(|axis| pull * (neighbour_median[axis] - place[axis]));
            // A picture that seams have already moved far does not move further in the same direction.
            let is_far =
                |axis: usize| self.shifted[i][axis].abs() >= MAX_SHIFT && step[axis] * self.shifted[i][axis] > 0.0;
            let step = [0, 1].map(|axis| if is_far(axis) { 0.0 } else { step[axis] });
            let length = step[0].hypot(step[1]).max(1.0);
            [0, 1].map(|axis| place[axis] + step[axis] / length)
        };
        (0..self.places.len()).map(target).collect()
    }

    /// Opens a seam along the path with the highest demand: vertical (one more cell in every row) or horizontal.
    fn open(&mut self, vertical: bool) {
        let gaps = self.demand(vertical).gaps();
        let path = gaps.best_path();
        self.shift(vertical, |along, across| f64::from(u8::from(across >= path[along] as f64 - 0.5)));
        *self.side(vertical) += 1;
    }

    /// Closes a seam along the path with the fewest occupied cells. A picture that had one of these cells keeps a place
    /// near it, but no longer owns a cell.
    fn close(&mut self, vertical: bool) {
        let (path, _) = self.seam_to_close(vertical);
        for i in 0..self.places.len() {
            if let Some(place) = self.places[i] {
                let (along, across) = seam_coordinates(vertical, place);
                self.owns_cell[i] &= across != path[along.round() as usize] as f64;
            }
        }
        self.shift(vertical, |along, across| -f64::from(u8::from(across > path[along] as f64)));
        *self.side(vertical) -= 1;
        let last = f64::from(*self.side(vertical)) - 1.0;
        let axis = usize::from(!vertical);
        self.places.iter_mut().flatten().for_each(|place| place[axis] = place[axis].min(last));
    }

    /// The path of the seam to close, and the number of pictures that own a cell on it.
    fn seam_to_close(&self, vertical: bool) -> (Vec<usize>, usize) {
        let (mut occupied, demand) = (self.occupied(vertical), self.demand(vertical));
        // The weight makes the number of occupied cells decide first; demand decides among equal numbers.
        let path = occupied.combined(&demand, |occupied, demand| -1e6 * occupied - demand).best_path();
        let lost = path.iter().enumerate().filter(|&(along, &across)| *occupied.at(along, across) > 0.0).count();
        (path, lost)
    }

    fn side(&mut self, vertical: bool) -> &mut u32 {
        if vertical { &mut self.grid.width } else { &mut self.grid.height }
    }

    /// Moves every place across the seam by `by(index along the seam, coordinate across it)`.
    fn shift(&mut self, vertical: bool, offset: impl Fn(usize, f64) -> f64) {
        let axis = usize::from(!vertical);
        for (place, shifted) in self.places.iter_mut().zip(&mut self.shifted) {
            let Some(place) = place else { continue };
            let (along, across) = seam_coordinates(vertical, *place);
            let offset = offset(along.round() as usize, across);
            place[axis] += offset;
            shifted[axis] += offset;
        }
    }

    /// The demand for cells: 1 for each picture without a cell, minus 1 for each empty cell, smoothed by a Gaussian.
    fn demand(&self, vertical: bool) -> Field {
        let mut demand = self.occupied(vertical);
        demand.values.iter_mut().for_each(|value| *value -= 1.0);
        for i in (0..self.places.len()).filter(|&i| !self.owns_cell[i]) {
            if let Some(place) = self.places[i].or_else(|| self.neighbour_median(i)) {
                let (along, across) = seam_coordinates(vertical, place);
                *demand.at(along.round() as usize, across.round() as usize) += 1.0;
            }
        }
        demand.blurred(DEMAND_DEVIATION)
    }

    /// The field with 1 for each cell that a picture owns, and 0 for each empty cell.
    fn occupied(&self, vertical: bool) -> Field {
        let Grid { width, height } = self.grid;
        let (length, across) = if vertical { (height, width) } else { (width, height) };
        let mut occupied = Field::new(length as usize, across as usize);
        for (place, _) in self.places.iter().zip(&self.owns_cell).filter(|(_, owns_cell)| **owns_cell) {
            let (along, across) = seam_coordinates(vertical, place.expect("a picture with a cell has a place"));
            *occupied.at(along as usize, across as usize) = 1.0;
        }
        occupied
    }
}

/// Converts a place to (along the seam, across it).
fn seam_coordinates(vertical: bool, [column, row]: [f64; 2]) -> (f64, f64) {
    if vertical { (row, column) } else { (column, row) }
}

/// The median; for an even number of values, the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
