//! Rearranges pictures so that each is similar to its surroundings: linear assignment sorting (Barthel et al. 2022).
//!
//! The grid of feature vectors is blurred, and the pictures are assigned again to the cells of the blurred grid, with
//! the least sum of squared distances in feature space. This is repeated with a smaller and smaller blur. The published
//! method assigns all pictures at once. Here, those of square windows at random offsets are assigned, so that time is
//! linear in the number of cells. docs/assignment.md has measurements.

use rayon::prelude::*;

use super::Grid;
use super::refine::FeatureVectors;
use crate::linalg::SplitMix64;

/// Side of a window in cells.
const WINDOW: u32 = 16;
/// Factor of the blur from round to round.
const SHRINK: f64 = 0.97;
/// Passes over all windows per round.
const PASSES: usize = 3;
/// Seed of the window offsets. It is fixed, so the same features give the same grid.
const SEED: u64 = 0;

/// Rearranges `occupants`, the picture of each cell, in place. The pictures of `fixed` cells stay, and empty cells stay
/// empty. The blur starts at `radius` cells.
pub(super) fn sort(
    features: FeatureVectors<'_>,
    grid: Grid,
    occupants: &mut [Option<u32>],
    fixed: &[bool],
    radius: f64,
) {
    let mut random = SplitMix64::new(SEED);
    let mut blur = radius;
    while blur > 0.5 {
        for _ in 0..PASSES {
            let means = blurred(features, grid, occupants, blur.round() as usize);
            // New offsets in each pass let pictures cross the borders of earlier windows.
            let [column_offset, row_offset] = [0, 1].map(|_| random.below(u64::from(WINDOW)) as u32);
            let windows: Vec<Vec<u32>> = windows(grid, column_offset, row_offset)
                .map(|window| {
                    window.filter(|&cell| occupants[cell as usize].is_some() && !fixed[cell as usize]).collect()
                })
                .collect();
            // The windows are disjoint, so the threads do not affect each other.
            let moved: Vec<Vec<u32>> = windows
                .par_iter()
                .map(|cells| {
                    let pictures: Vec<u32> = cells.iter().filter_map(|&cell| occupants[cell as usize]).collect();
                    let d = features.dimensions;
                    let vector = |i: usize| &features.values[pictures[i] as usize * d..][..d];
                    let target = |j: usize| &means[cells[j] as usize * d..][..d];
                    let order = jonker_volgenant(cells.len(), |i, j| squared(vector(i), target(j)));
                    order.into_iter().map(|i| pictures[i]).collect()
                })
                .collect();
            for (cells, pictures) in windows.iter().zip(moved) {
                cells.iter().zip(pictures).for_each(|(&cell, picture)| occupants[cell as usize] = Some(picture));
            }
        }
        blur *= SHRINK;
    }
}

/// The cells of each window, row by row. The first window starts `column_offset` columns left of the grid and
/// `row_offset` rows above it.
fn windows(grid: Grid, column_offset: u32, row_offset: u32) -> impl Iterator<Item = impl Iterator<Item = u32>> {
    let starts = |offset: u32, side: u32| {
        (0..side + offset)
            .step_by(WINDOW as usize)
            .map(move |start| (start.saturating_sub(offset), (start + WINDOW).saturating_sub(offset).min(side)))
    };
    starts(row_offset, grid.height).flat_map(move |(top, bottom)| {
        starts(column_offset, grid.width).map(move |(left, right)| {
            (top..bottom).flat_map(move |row| (left..right).map(move |column| row * grid.width + column))
        })
    })
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// A box blur: per cell, the mean of the vectors at most `radius` rows and columns away. The grid is mirrored at its
/// edges, and empty cells do not count.
fn blurred(features: FeatureVectors<'_>, grid: Grid, occupants: &[Option<u32>], radius: usize) -> Vec<f32> {
    let (d, width, height) = (features.dimensions, grid.width as usize, grid.height as usize);
    // Each cell has one more number, the count of pictures in the sum.
    let stride = d + 1;
    let mut map = vec![0.0f32; occupants.len() * stride];
    map.par_chunks_mut(stride).zip(occupants).for_each(|(cell, picture)| {
        if let Some(picture) = picture {
            cell[..d].copy_from_slice(&features.values[*picture as usize * d..][..d]);
            cell[d] = 1.0;
        }
    });
    let add_line = |map: &[f32], step: usize, length: usize, index: usize, out: &mut [f32]| {
        // `index` is the index of the cell in its line. The line starts at `map[0]` and has `length` cells, `step`
        // numbers apart.
        for offset in 0..=2 * radius {
            let neighbour = mirrored(index as i64 + offset as i64 - radius as i64, length);
            out.iter_mut().zip(&map[neighbour * step..][..stride]).for_each(|(sum, x)| *sum += x);
        }
    };
    // The box blur is separable: first along the rows, then along the columns.
    let mut rows = vec![0.0f32; map.len()];
    rows.par_chunks_mut(stride).enumerate().for_each(|(cell, out)| {
        add_line(&map[cell / width * width * stride..], stride, width, cell % width, out);
    });
    map.fill(0.0);
    map.par_chunks_mut(stride).enumerate().for_each(|(cell, out)| {
        add_line(&rows[cell % width * stride..], stride * width, height, cell / width, out);
    });
    let mut means = vec![0.0f32; occupants.len() * d];
    means.par_chunks_mut(d.max(1)).zip(map.par_chunks(stride)).for_each(|(mean, sum)| {
        let count = sum[d].max(1.0);
        mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = sum / count);
    });
    means
}

/// Reflects an index into 0..length; the cells at the ends are repeated, as in 1 0 0 1 2 2 1.
fn mirrored(index: i64, length: usize) -> usize {
    let length = length as i64;
    let index = index.rem_euclid(2 * length);
    index.min(2 * length - 1 - index) as usize
}

/// The dense linear assignment of `n` rows to `n` columns with the least sum of costs, by shortest augmenting paths
/// (Jonker & Volgenant 1987). Returns the row of each column. O(n³), a few milliseconds for 256.
fn jonker_volgenant(n: usize, cost: impl Fn(usize, usize) -> f32) -> Vec<usize> {
    let matrix: Vec<f32> = (0..n * n).map(|k| cost(k / n.max(1), k % n.max(1))).collect();
    const UNASSIGNED: usize = usize::MAX;
    let (mut u, mut v) = (vec![0.0f64; n], vec![0.0f64; n]);
    let mut owner = vec![UNASSIGNED; n];
    let mut free = Vec::new();
    // Column reduction: the dual of each column is its least cost.
    for j in 0..n {
        v[j] = (0..n).map(|i| f64::from(matrix[i * n + j])).fold(f64::INFINITY, f64::min);
    }
    // Each row takes the column with the least reduced cost if it is free. On ties, free columns win.
    for i in 0..n {
        let row = &matrix[i * n..(i + 1) * n];
        let (mut least, mut best) = (f64::INFINITY, UNASSIGNED);
        for j in 0..n {
            let reduced = f64::from(row[j]) - v[j];
            if reduced < least
                || (reduced == least && best != UNASSIGNED && owner[best] != UNASSIGNED && owner[j] == UNASSIGNED)
            {
                (least, best) = (reduced, j);
            }
        }
        u[i] = least;
        if owner[best] == UNASSIGNED { owner[best] = i } else { free.push(i) }
    }
    let (mut distance, mut predecessor, mut settled) = (vec![0.0f64; n], vec![UNASSIGNED; n], vec![false; n]);
    // Dijkstra's algorithm on reduced costs from each row that is still free, until it settles a free column.
    for source in free {
        distance.fill(f64::INFINITY);
        settled.fill(false);
        let (mut row, mut path_length, mut column) = (source, 0.0, UNASSIGNED);
        let end = loop {
            let costs = &matrix[row * n..(row + 1) * n];
            let (mut least, mut next) = (f64::INFINITY, UNASSIGNED);
            for j in 0..n {
                if settled[j] {
                    continue;
                }
                let candidate = path_length + f64::from(costs[j]) - u[row] - v[j];
                if candidate < distance[j] {
                    (distance[j], predecessor[j]) = (candidate, column);
                }
                if distance[j] < least {
                    (least, next) = (distance[j], j);
                }
            }
            (path_length, column) = (least, next);
            settled[column] = true;
            if owner[column] == UNASSIGNED {
                break column;
            }
            row = owner[column];
        };
        // The dual update keeps all reduced costs at 0 or more, and those of assigned pairs at 0.
        for j in (0..n).filter(|&j| settled[j] && j != end) {
            v[j] -= path_length - distance[j];
            u[owner[j]] += path_length - distance[j];
        }
        u[source] += path_length;
        // Augment: shift the rows along the path by one column.
        let mut column = end;
        while predecessor[column] != UNASSIGNED {
            owner[column] = owner[predecessor[column]];
            column = predecessor[column];
        }
        owner[column] = source;
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assignment_of_a_window_is_the_least() {
        let mut random = SplitMix64::new(3);
        for n in 0..7 {
            let costs: Vec<f32> = (0..n * n).map(|_| random.below(9) as f32).collect();
            let order = jonker_volgenant(n, |i, j| costs[i * n + j]);
            let sum = |rows: &[usize]| rows.iter().enumerate().map(|(j, &i)| costs[i * n + j]).sum::<f32>();
            let mut least = f32::INFINITY;
            let mut rows: Vec<usize> = (0..n).collect();
            permutations(&mut rows, 0, &mut |rows| least = least.min(sum(rows)));
            assert_eq!(sum(&order), least, "{n}");
        }
    }

    fn permutations(rows: &mut [usize], from: usize, each: &mut impl FnMut(&[usize])) {
        if from >= rows.len() {
            return each(rows);
        }
        for other in from..rows.len() {
            rows.swap(from, other);
            permutations(rows, from + 1, each);
            rows.swap(from, other);
        }
    }

    #[test]
    fn lines_go_back_and_forth() {
        assert_eq!([-2, -1, 0, 2, 3, 4, 7].map(|index| mirrored(index, 3)), [1, 0, 0, 2, 2, 1, 1]);
    }
}
