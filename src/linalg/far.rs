//! Rows that lie far out, drawn in, so that the others keep the digits in which they differ.
//!
//! Components and distances are made of f32. One row at 10⁷ among others at 10 (a broken file, another unit) moves the
//! mean away from all of them, and what is left of their differences is rounding. How far such a row lies says
//! nothing to a layout: t-SNE scales the distances of each row to have as many neighbours as any other's.

use rayon::prelude::*;

use super::error::{Error, ReadError};
use super::matrix::{Matrix, Rows, for_each_block, rows_in};

/// A row is far out when it lies more than this many times as far from the middle as the median row.
const FAR: f64 = 1000.0;
/// Where more than one in so many rows are far out they are a part of the picture, and all stay where they are.
const ONE_IN: usize = 20;
/// The middle is the median of so many rows, column by column.
const SAMPLE: usize = 255;
/// Bytes of rows in memory at a time (twice: one block is read while the other is used).
const BLOCK_BYTES: usize = 32 << 20;

/// Rows of which those that are far out are drawn in. Without such rows these are the rows as they are, to the bit.
///
/// With the median distance from the middle as the unit, distances from 1000 to the largest are brought
/// between 1000 and 2000 along a straight line. Directions stay, and so does the order.
pub struct DrawnIn<'a> {
    rows: &'a dyn Rows,
    middle: Vec<f32>,
    /// Rows that are far out, by ascending number.
    far: Vec<Far>,
}

/// A row that is far out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Far {
    /// Its number.
    pub row: usize,
    /// How many times as far from the middle as the median row it lies; above 1000.
    pub ratio: f64,
    /// What its distance is multiplied by, in 0..1.
    factor: f64,
}

impl<'a> DrawnIn<'a> {
    /// Looks for rows that are far out: one pass over all rows.
    ///
    /// # Errors
    /// [`Error::NotFinite`] and [`Error::Read`].
    pub fn new(rows: &'a dyn Rows) -> Result<Self, Error> {
        let middle = middle(rows)?;
        let distances = distances(rows, &middle)?;
        Ok(Self { rows, middle, far: far(&distances) })
    }

    /// The rows that are far out, by ascending number.
    pub fn far(&self) -> &[Far] {
        &self.far
    }

    /// All rows, in memory.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn to_matrix(&self) -> Result<Matrix, Error> {
        let mut values = vec![0.0; self.len() * self.dim()];
        self.read(0, &mut values).map_err(|source| Error::Read { first: 0, source })?;
        Matrix::new(self.len(), self.dim(), values)
    }
}

impl Rows for DrawnIn<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ReadError> {
        self.rows.read(first, out)?;
        let from = self.far.partition_point(|far| far.row < first);
        for far in &self.far[from..] {
            let Some(row) = out.chunks_exact_mut(self.dim()).nth(far.row - first) else { break };
            for (x, &middle) in row.iter_mut().zip(&self.middle) {
                let middle = f64::from(middle);
                *x = (middle + (f64::from(*x) - middle) * far.factor) as f32;
            }
        }
        Ok(())
    }
}

/// The median of each column, over rows that are evenly spread among all.
fn middle(rows: &dyn Rows) -> Result<Vec<f32>, Error> {
    let (n, d) = (rows.len(), rows.dim());
    let count = n.min(SAMPLE);
    let mut sample = vec![0.0; count * d];
    for (i, row) in sample.chunks_exact_mut(d.max(1)).enumerate() {
        let first = i * n / count;
        rows.read(first, row).map_err(|source| Error::Read { first, source })?;
    }
    let median = |column: usize| {
        let mut values: Vec<f32> = sample.iter().skip(column).step_by(d).copied().collect();
        *values.select_nth_unstable_by((count - 1) / 2, f32::total_cmp).1
    };
    Ok(if count == 0 { vec![0.0; d] } else { (0..d).into_par_iter().map(median).collect() })
}

/// How far each row lies from the middle.
fn distances(rows: &dyn Rows, middle: &[f32]) -> Result<Vec<f64>, Error> {
    let d = rows.dim();
    let mut distances = vec![0.0; rows.len()];
    let distance = |row: &[f32]| {
        let squares = row.iter().zip(middle).map(|(&x, &m)| (f64::from(x) - f64::from(m)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    for_each_block(rows, rows_in(BLOCK_BYTES, d), |first, block| {
        let rows = block.par_chunks_exact(d.max(1));
        rows.zip(&mut distances[first..]).for_each(|(row, out)| *out = distance(row));
    })?;
    Ok(distances)
}

/// Which rows are far out, and where they go.
fn far(distances: &[f64]) -> Vec<Far> {
    let n = distances.len();
    if n == 0 {
        return Vec::new();
    }
    let unit = *distances.to_vec().select_nth_unstable_by((n - 1) / 2, f64::total_cmp).1;
    let edge = FAR * unit;
    let most = distances.iter().copied().fold(0.0, f64::max);
    let count = distances.iter().filter(|&&distance| distance > edge).count();
    // Half of the rows in one place give no measure for the others.
    if unit == 0.0 || count > (n / ONE_IN).max(1) {
        return Vec::new();
    }
    let drawn = |(row, &distance): (usize, &f64)| {
        let target = edge * (1.0 + (distance - edge) / (most - edge));
        (distance > edge).then(|| Far { row, ratio: distance / unit, factor: target / distance })
    };
    distances.iter().enumerate().filter_map(drawn).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{blobs, same_on_any_threads};
    use super::super::{neighbours, pca};
    use super::*;

    /// The rows with further ones behind them.
    fn with(near: &Matrix, more: &[Vec<f32>]) -> Matrix {
        let values = near.values().iter().chain(more.iter().flatten()).copied().collect();
        Matrix::new(near.len() + more.len(), near.dim(), values).unwrap()
    }

    #[test]
    fn without_far_rows_nothing_changes_to_the_bit() {
        let line = Matrix::new(50, 1, (0..50).map(|i| i as f32).collect()).unwrap();
        let same = Matrix::new(9, 2, vec![7.0; 18]).unwrap();
        // As many as one in ten belong to the picture.
        let crowd = with(&blobs(90, 3, 4, 1), &vec![vec![1e7; 3]; 10]);
        for rows in [blobs(500, 8, 5, 1), line, same, crowd, Matrix::new(0, 3, Vec::new()).unwrap()] {
            let drawn = DrawnIn::new(&rows).unwrap();
            assert_eq!((drawn.far(), drawn.to_matrix().unwrap()), (&[][..], rows.clone()));
        }
        let bad = Matrix::new(3, 1, vec![0.0, f32::NAN, f32::INFINITY]).unwrap();
        assert!(matches!(DrawnIn::new(&bad), Err(Error::NotFinite(1))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However far one row or a few are, the others have the neighbours and components that they have without them.
        #[test]
        fn the_others_keep_their_neighbours(exponent in 5.0f64..38.0, count in 1usize..4, seed in 0u64..1000) {
            let near = blobs(200, 6, 5, seed);
            let far: Vec<Vec<f32>> = (0..count)
                .map(|i| (0..6).map(|c| (10f64.powf(exponent) * (1.0 + (i * c) as f64)).min(3e38) as f32).collect())
                .collect();
            let all = with(&near, &far);
            let drawn = same_on_any_threads(|| DrawnIn::new(&all).unwrap().to_matrix().unwrap());
            prop_assert_eq!(&drawn.values()[..200 * 6], near.values());
            let (before, after) = (neighbours(&near, 10).unwrap(), neighbours(&drawn, 10).unwrap());
            for i in 0..200 {
                // Pairs whose distances agree to four digits may change places.
                let (before, after) = (&before.distance[i * 10..][..10], &after.distance[i * 10..][..10]);
                prop_assert!(before.iter().zip(after).all(|(a, b)| (a / b - 1.0).abs() < 1e-3), "{before:?} {after:?}");
            }
            let kept = pca(&drawn, 6, 1).unwrap();
            let turned = Matrix::new(all.len(), 6, kept.scores).unwrap();
            let turned = neighbours(&turned, 10).unwrap();
            let same = |i: usize| {
                let after = &after.index[i * 10..][..10];
                turned.index[i * 10..][..10].iter().filter(|j| after.contains(j)).count()
            };
            let shared: usize = (0..200).map(same).sum();
            prop_assert!(shared > 1980, "{shared} of 2000");
        }
    }

    #[test]
    fn far_rows_keep_direction_and_order() {
        let near = blobs(200, 2, 4, 3);
        let rows = with(&near, &[vec![1e6, 0.0], vec![1e9, 0.0], vec![0.0, -2e6]]);
        let drawn = DrawnIn::new(&rows).unwrap();
        let far: Vec<usize> = drawn.far().iter().map(|far| far.row).collect();
        assert_eq!(far, [200, 201, 202]);
        assert!(drawn.far()[1].ratio > 1e7 && drawn.far()[0].ratio > 1e4);
        let values = drawn.to_matrix().unwrap().values().to_vec();
        let from_middle = |i: usize| [0, 1].map(|c| f64::from(values[2 * i + c] - drawn.middle[c]));
        let [a, b, c] = [200, 201, 202].map(from_middle);
        assert!(a[0] < b[0] && b[0] < 2.1 * a[0] && a[0] > 500.0, "{a:?} {b:?}");
        assert!((c[0] / c[1]).abs() < 0.01 && c[1] < -a[0], "{a:?} {c:?}");
        // Rows may be read from anywhere.
        let mut part = vec![0.0; 4];
        drawn.read(201, &mut part).unwrap();
        assert_eq!(part, values[402..]);
    }
}
