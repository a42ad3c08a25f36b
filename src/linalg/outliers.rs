//! Moves rows that are very far from all others closer, so that the others keep their precision.
//!
//! Components and distances are computed in f32. One row at 10⁷ among others at 10 (a broken file, another unit) moves
//! the mean away from all others, and their differences are lost in rounding. The exact distance of such a row does not
//! matter for a layout, because t-SNE scales the distances of each row to the same effective number of neighbours.

use rayon::prelude::*;

use super::error::{Error, ReadError};
use super::matrix::{Matrix, Rows, for_each_block, rows_per_block};

/// A row is an outlier if its distance from the centre is more than this many times the median distance.
const OUTLIER_RATIO: f64 = 1000.0;
/// If more than one in this many rows is an outlier, they count as a part of the data, and no row is moved.
const MIN_ROWS_PER_OUTLIER: usize = 20;
/// The centre is the column-wise median of at most this many rows.
const SAMPLE: usize = 255;
/// Bytes per block of rows. Two blocks are in memory: one is read while the other is used.
const BLOCK_BYTES: usize = 32 << 20;

/// Rows with outliers moved towards the centre. If there are no outliers, the rows are unchanged, bit by bit.
///
/// In units of the median distance from the centre, distances from 1000 to the largest are mapped linearly to the range
/// 1000 to 2000. Directions and the order of distances stay the same.
pub struct ShrunkOutliers<'a> {
    rows: &'a dyn Rows,
    centre: Vec<f32>,
    /// The outliers, by ascending row number.
    outliers: Vec<Outlier>,
}

/// A row that is an outlier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// The number of the row.
    pub row: usize,
    /// The distance from the centre in units of the median distance; above 1000.
    pub ratio: f64,
    /// The factor by which the distance is multiplied, in 0..1.
    factor: f64,
}

impl<'a> ShrunkOutliers<'a> {
    /// Finds the outliers in one pass over all rows.
    ///
    /// # Errors
    /// [`Error::NotFinite`] and [`Error::Read`].
    pub fn new(rows: &'a dyn Rows) -> Result<Self, Error> {
        let centre = centre(rows)?;
        let distances = distances(rows, &centre)?;
        Ok(Self { rows, centre, outliers: outliers(&distances) })
    }

    /// The outliers, by ascending row number.
    pub fn outliers(&self) -> &[Outlier] {
        &self.outliers
    }

    /// Reads all rows into memory, outliers moved.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn to_matrix(&self) -> Result<Matrix, Error> {
        let mut values = vec![0.0; self.len() * self.dim()];
        self.read(0, &mut values).map_err(|source| Error::Read { first: 0, source })?;
        Matrix::new(self.len(), self.dim(), values)
    }
}

impl Rows for ShrunkOutliers<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ReadError> {
        self.rows.read(first, out)?;
        let from = self.outliers.partition_point(|outlier| outlier.row < first);
        for outlier in &self.outliers[from..] {
            let Some(row) = out.chunks_exact_mut(self.dim()).nth(outlier.row - first) else { break };
            for (x, &centre) in row.iter_mut().zip(&self.centre) {
                let centre = f64::from(centre);
                *x = (centre + (f64::from(*x) - centre) * outlier.factor) as f32;
            }
        }
        Ok(())
    }
}

/// The median of each column over a sample of rows at equal intervals. The median of an even number is the lower one.
fn centre(rows: &dyn Rows) -> Result<Vec<f32>, Error> {
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

/// The distance of each row from the centre.
fn distances(rows: &dyn Rows, centre: &[f32]) -> Result<Vec<f64>, Error> {
    let d = rows.dim();
    let mut distances = vec![0.0; rows.len()];
    let distance = |row: &[f32]| {
        let squares = row.iter().zip(centre).map(|(&x, &m)| (f64::from(x) - f64::from(m)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    for_each_block(rows, rows_per_block(BLOCK_BYTES, d), |first, block| {
        let rows = block.par_chunks_exact(d.max(1));
        rows.zip(&mut distances[first..]).for_each(|(row, out)| *out = distance(row));
    })?;
    Ok(distances)
}

/// Finds the outliers among these distances, and the factor of each.
fn outliers(distances: &[f64]) -> Vec<Outlier> {
    let n = distances.len();
    if n == 0 {
        return Vec::new();
    }
    let median = *distances.to_vec().select_nth_unstable_by((n - 1) / 2, f64::total_cmp).1;
    let threshold = OUTLIER_RATIO * median;
    let largest = distances.iter().copied().fold(0.0, f64::max);
    let count = distances.iter().filter(|&&distance| distance > threshold).count();
    // If half of the rows are at the centre, the median is 0 and cannot be a unit for the others.
    if median == 0.0 || count > (n / MIN_ROWS_PER_OUTLIER).max(1) {
        return Vec::new();
    }
    let shrunk = |(row, &distance): (usize, &f64)| {
        let target = threshold * (1.0 + (distance - threshold) / (largest - threshold));
        (distance > threshold).then(|| Outlier { row, ratio: distance / median, factor: target / distance })
    };
    distances.iter().enumerate().filter_map(shrunk).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{blobs, same_on_any_threads};
    use super::super::{neighbours, pca};
    use super::*;

    /// The rows of `near`, followed by more rows.
    fn append(near: &Matrix, more: &[Vec<f32>]) -> Matrix {
        let values = near.values().iter().chain(more.iter().flatten()).copied().collect();
        Matrix::new(near.len() + more.len(), near.dim(), values).unwrap()
    }

    #[test]
    fn without_far_rows_nothing_changes_to_the_bit() {
        let line = Matrix::new(50, 1, (0..50).map(|i| i as f32).collect()).unwrap();
        let same = Matrix::new(9, 2, vec![7.0; 18]).unwrap();
        // One row in ten is too many for outliers, so these are a part of the data.
        let crowd = append(&blobs(90, 3, 4, 1), &vec![vec![1e7; 3]; 10]);
        for rows in [blobs(500, 8, 5, 1), line, same, crowd, Matrix::new(0, 3, Vec::new()).unwrap()] {
            let shrunk = ShrunkOutliers::new(&rows).unwrap();
            assert_eq!((shrunk.outliers(), shrunk.to_matrix().unwrap()), (&[][..], rows.clone()));
        }
        let bad = Matrix::new(3, 1, vec![0.0, f32::NAN, f32::INFINITY]).unwrap();
        assert!(matches!(ShrunkOutliers::new(&bad), Err(Error::NotFinite(1))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However far a few rows are, the other rows have the same neighbours and components as without them.
        #[test]
        fn the_others_keep_their_neighbours(exponent in 5.0f64..38.0, count in 1usize..4, seed in 0u64..1000) {
            let near = blobs(200, 6, 5, seed);
            let far: Vec<Vec<f32>> = (0..count)
                .map(|i| (0..6).map(|c| (10f64.powf(exponent) * (1.0 + (i * c) as f64)).min(3e38) as f32).collect())
                .collect();
            let all = append(&near, &far);
            let shrunk = same_on_any_threads(|| ShrunkOutliers::new(&all).unwrap().to_matrix().unwrap());
            prop_assert_eq!(&shrunk.values()[..200 * 6], near.values());
            let (before, after) = (neighbours(&near, 10).unwrap(), neighbours(&shrunk, 10).unwrap());
            for i in 0..200 {
                // Neighbours whose distances agree to about three digits may swap.
                let (before, after) = (&before.distance[i * 10..][..10], &after.distance[i * 10..][..10]);
                prop_assert!(before.iter().zip(after).all(|(a, b)| (a / b - 1.0).abs() < 1e-3), "{before:?} {after:?}");
            }
            let components = pca(&shrunk, 6, 1).unwrap();
            let scores = Matrix::new(all.len(), 6, components.scores).unwrap();
            let projected = neighbours(&scores, 10).unwrap();
            let same = |i: usize| {
                let after = &after.index[i * 10..][..10];
                projected.index[i * 10..][..10].iter().filter(|j| after.contains(j)).count()
            };
            let shared: usize = (0..200).map(same).sum();
            prop_assert!(shared > 1980, "{shared} of 2000");
        }
    }

    #[test]
    fn far_rows_keep_direction_and_order() {
        let near = blobs(200, 2, 4, 3);
        let rows = append(&near, &[vec![1e6, 0.0], vec![1e9, 0.0], vec![0.0, -2e6]]);
        let shrunk = ShrunkOutliers::new(&rows).unwrap();
        let far: Vec<usize> = shrunk.outliers().iter().map(|outlier| outlier.row).collect();
        assert_eq!(far, [200, 201, 202]);
        assert!(shrunk.outliers()[1].ratio > 1e7 && shrunk.outliers()[0].ratio > 1e4);
        let values = shrunk.to_matrix().unwrap().values().to_vec();
        let from_centre = |i: usize| [0, 1].map(|c| f64::from(values[2 * i + c] - shrunk.centre[c]));
        let [a, b, c] = [200, 201, 202].map(from_centre);
        assert!(a[0] < b[0] && b[0] < 2.1 * a[0] && a[0] > 500.0, "{a:?} {b:?}");
        assert!((c[0] / c[1]).abs() < 0.01 && c[1] < -a[0], "{a:?} {c:?}");
        // Reading may start at any row.
        let mut part = vec![0.0; 4];
        shrunk.read(201, &mut part).unwrap();
        assert_eq!(part, values[402..]);
    }
}
