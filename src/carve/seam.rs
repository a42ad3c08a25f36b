//! A field of numbers on the grid, and the best path of a seam through it.

/// Numbers in row-major order. A seam crosses every row once, from top to bottom.
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

    /// The number at a position. Positions outside are clamped to the edge.
    pub(super) fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        let (row, column) = (row.min(self.rows - 1), column.min(self.columns - 1));
        &mut self.values[row * self.columns + column]
    }

    /// Combines two fields of the same size, value by value.
    pub(super) fn combined(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| combine(a, b)).collect();
        Self { values, ..*self }
    }

    /// The field smoothed by a Gaussian with this standard deviation. Values beyond an edge are those at the edge.
    pub(super) fn blurred(&self, deviation: f64) -> Self {
        let radius = (4.0 * deviation).ceil() as i64;
        let weights: Vec<f64> = (-radius..=radius).map(|k| (-0.5 * (k as f64 / deviation).powi(2)).exp()).collect();
        let total: f64 = weights.iter().sum();
        let blur = |field: &Self, [down, right]: [i64; 2]| {
            let clamped =
                |index: usize, offset: i64, count: usize| (index as i64 + offset).clamp(0, count as i64 - 1) as usize;
            let mut blurred = Self::new(field.rows, field.columns);
            for row in 0..field.rows {
                for column in 0..field.columns {
                    let terms = (-radius..=radius).zip(&weights).map(|(k, weight)| {
                        let (row, column) =
                            (clamped(row, k * down, field.rows), clamped(column, k * right, field.columns));
                        weight * field.values[row * field.columns + column]
                    });
                    blurred.values[row * field.columns + column] = terms.sum::<f64>() / total;
                }
            }
            blurred
        };
        blur(&blur(self, [1, 0]), [0, 1])
    }

    /// The field of the gaps before, between and after the columns. Each is the mean of the values on its two sides.
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

    /// The path from top to bottom with the largest sum, as a column per row, by dynamic programming. It moves by at
    /// most one column per row. On ties it takes the leftmost column.
    pub(super) fn best_path(&self) -> Vec<usize> {
        // `sums[c]` is the largest sum of a path that ends at column c of the current row; `predecessors` has, for each
        // later row and each column, the column of the row above on that path.
        let mut sums = self.values[..self.columns].to_vec();
        let mut predecessors: Vec<Vec<usize>> = Vec::with_capacity(self.rows);
        for row in self.values.chunks_exact(self.columns).skip(1) {
            let best = |column: usize| {
                let near = column.saturating_sub(1)..=(column + 1).min(self.columns - 1);
                // `max_by` returns the last maximum, and the range is reversed, so the leftmost column wins ties.
                near.rev().max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(column)
            };
            let previous: Vec<usize> = (0..self.columns).map(best).collect();
            sums = row.iter().zip(&previous).map(|(value, &previous)| value + sums[previous]).collect();
            predecessors.push(previous);
        }
        let last = (0..self.columns).rev().max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0);
        let earlier = predecessors.iter().rev().scan(last, |column, previous| {
            *column = previous[*column];
            Some(*column)
        });
        let mut path: Vec<usize> = std::iter::once(last).chain(earlier).collect();
        path.reverse();
        path
    }
}
