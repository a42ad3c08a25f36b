//! Numbers on a grid, and the path through them that a seam takes.

/// Numbers, row by row; a seam crosses every row once.
#[derive(Clone, Debug)]
pub(super) struct Field {
    rows: usize,
    columns: usize,
    pub(super) values: Vec<f64>,
}

impl Field {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// The number at a place; the nearest one of those outside.
    pub(super) fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        let (row, column) = (row.min(self.rows - 1), column.min(self.columns - 1));
        &mut self.values[row * self.columns + column]
    }

    pub(super) fn combined(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| with(a, b)).collect();
        Self { values, ..*self }
    }

    /// Smoothed by a bell curve of this standard deviation; beyond the edge it goes on as at the edge.
    pub(super) fn blurred(&self, deviation: f64) -> Self {
        let reach = (4.0 * deviation).ceil() as i64;
        let weights: Vec<f64> = (-reach..=reach).map(|k| (-0.5 * (k as f64 / deviation).powi(2)).exp()).collect();
        let total: f64 = weights.iter().sum();
        let blur = |field: &Self, [down, right]: [i64; 2]| {
            let inside = |at: usize, by: i64, count: usize| (at as i64 + by).clamp(0, count as i64 - 1) as usize;
            let mut blurred = Self::new(field.rows, field.columns);
            for row in 0..field.rows {
                for column in 0..field.columns {
                    let near = (-reach..=reach).zip(&weights).map(|(k, weight)| {
                        let (row, column) =
                            (inside(row, k * down, field.rows), inside(column, k * right, field.columns));
                        weight * field.values[row * field.columns + column]
                    });
                    blurred.values[row * field.columns + column] = near.sum::<f64>() / total;
                }
            }
            blurred
        };
        blur(&blur(self, [1, 0]), [0, 1])
    }

    /// The gaps before, between and behind the columns; each is worth the mean of its sides.
    pub(super) fn gaps(&self) -> Self {
        let mut gaps = Self::new(self.rows, self.columns + 1);
        for row in 0..self.rows {
            let values = &self.values[row * self.columns..][..self.columns];
            for gap in 0..=self.columns {
                let sides = [gap.saturating_sub(1), gap.min(self.columns - 1)];
                *gaps.at(row, gap) = f64::midpoint(values[sides[0]], values[sides[1]]);
            }
        }
        gaps
    }

    /// The column of each row on the path from top to bottom with the greatest sum, which moves by at most one column a
    /// row; of equals the one farthest to the left.
    pub(super) fn best_path(&self) -> Vec<usize> {
        let mut sums = self.values[..self.columns].to_vec();
        let mut from: Vec<Vec<usize>> = Vec::with_capacity(self.rows);
        for row in self.values.chunks_exact(self.columns).skip(1) {
            let best = |column: usize| {
                let near = column.saturating_sub(1)..=(column + 1).min(self.columns - 1);
                near.rev().max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(column)
            };
            let came: Vec<usize> = (0..self.columns).map(best).collect();
            sums = row.iter().zip(&came).map(|(value, &came)| value + sums[came]).collect();
            from.push(came);
        }
        let last = (0..self.columns).rev().max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0);
        let back = from.iter().rev().scan(last, |at, came| {
            *at = came[*at];
            Some(*at)
        });
        let mut path: Vec<usize> = std::iter::once(last).chain(back).collect();
        path.reverse();
        path
    }
}
