//! Arranges pictures among cells so that every one is like its surroundings: linear assignment sorting (Barthel et al. 2022).
//!
//! The grid of vectors is blurred, and pictures are assigned anew to the cells of the blurred map, by the sum of squared
//! distances in feature space; then with a smaller blur, down to none. There all pictures are assigned at once, here those of
//! square windows that lie anew each time, so that time grows with the cells. docs/assignment.md has what it gains.

use rayon::prelude::*;

use super::Grid;
use super::refine::Features;
use crate::linalg::SplitMix64;

/// Side of a window in cells.
const WINDOW: u32 = 16;
/// The blur shrinks to this share after each round…
const SHRINK: f64 = 0.97;
/// …which has so many passes over all windows.
const PASSES: usize = 3;
/// Places the windows: the same features give the same grid.
const SEED: u64 = 0;

/// Rearranges `holder`, the picture of each cell, in place; `fixed` cells keep theirs, and empty cells stay empty. The blur
/// begins at `radius` cells.
pub(super) fn sort(features: Features<'_>, grid: Grid, holder: &mut [Option<u32>], fixed: &[bool], radius: f64) {
    let mut chance = SplitMix64::new(SEED);
    let mut blur = radius;
    while blur > 0.5 {
        for _ in 0..PASSES {
            let map = blurred(features, grid, holder, blur.round() as usize);
            let [right, down] = [0, 1].map(|_| chance.below(u64::from(WINDOW)) as u32);
            let windows: Vec<Vec<u32>> = windows(grid, right, down)
                .map(|window| window.filter(|&cell| holder[cell as usize].is_some() && !fixed[cell as usize]).collect())
                .collect();
            let moved: Vec<Vec<u32>> = windows
                .par_iter()
                .map(|cells| {
                    let pictures: Vec<u32> = cells.iter().filter_map(|&cell| holder[cell as usize]).collect();
                    let d = features.dimensions;
                    let vector = |i: usize| &features.values[pictures[i] as usize * d..][..d];
                    let goal = |j: usize| &map[cells[j] as usize * d..][..d];
                    let order = assigned(cells.len(), |i, j| squared(vector(i), goal(j)));
                    order.into_iter().map(|i| pictures[i]).collect()
                })
                .collect();
            for (cells, pictures) in windows.iter().zip(moved) {
                cells.iter().zip(pictures).for_each(|(&cell, picture)| holder[cell as usize] = Some(picture));
            }
        }
        blur *= SHRINK;
    }
}

/// The cells of each window, row by row; the first ones begin left of and above the grid by so much.
fn windows(grid: Grid, right: u32, down: u32) -> impl Iterator<Item = impl Iterator<Item = u32>> {
    let starts = |offset: u32, side: u32| {
        (0..side + offset)
            .step_by(WINDOW as usize)
            .map(move |at| (at.saturating_sub(offset), (at + WINDOW).saturating_sub(offset).min(side)))
    };
    starts(down, grid.height).flat_map(move |(top, bottom)| {
        starts(right, grid.width).map(move |(left, end)| {
            (top..bottom).flat_map(move |row| (left..end).map(move |column| row * grid.width + column))
        })
    })
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The mean of the vectors at most `reach` cells away in row and column, mirrored at the edges; empty cells do not count.
fn blurred(features: Features<'_>, grid: Grid, holder: &[Option<u32>], reach: usize) -> Vec<f32> {
    let (d, width, height) = (features.dimensions, grid.width as usize, grid.height as usize);
    // One number more for each: how much of it is there.
    let wide = d + 1;
    let mut map = vec![0.0f32; holder.len() * wide];
    map.par_chunks_mut(wide).zip(holder).for_each(|(cell, picture)| {
        if let Some(picture) = picture {
            cell[..d].copy_from_slice(&features.values[*picture as usize * d..][..d]);
            cell[d] = 1.0;
        }
    });
    let across = |map: &[f32], step: usize, length: usize, at: usize, out: &mut [f32]| {
        // `at` is the place of the cell along its line, whose first number is at `map[0]`.
        for offset in 0..=2 * reach {
            let place = mirrored(at as i64 + offset as i64 - reach as i64, length);
            out.iter_mut().zip(&map[place * step..][..wide]).for_each(|(sum, x)| *sum += x);
        }
    };
    let mut rows = vec![0.0f32; map.len()];
    rows.par_chunks_mut(wide).enumerate().for_each(|(cell, out)| {
        across(&map[cell / width * width * wide..], wide, width, cell % width, out);
    });
    map.fill(0.0);
    map.par_chunks_mut(wide).enumerate().for_each(|(cell, out)| {
        across(&rows[cell % width * wide..], wide * width, height, cell / width, out);
    });
    let mut means = vec![0.0f32; holder.len() * d];
    means.par_chunks_mut(d.max(1)).zip(map.par_chunks(wide)).for_each(|(mean, sum)| {
        let count = sum[d].max(1.0);
        mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = sum / count);
    });
    means
}

/// A place on a line that goes back and forth between its ends.
fn mirrored(at: i64, length: usize) -> usize {
    let length = length as i64;
    let at = at.rem_euclid(2 * length);
    at.min(2 * length - 1 - at) as usize
}

/// For each of `n` columns the row that it gets, with the least sum of costs: shortest augmenting paths (Jonker & Volgenant
/// 1987) on a full matrix. O(n³), a few milliseconds for 256.
fn assigned(n: usize, cost: impl Fn(usize, usize) -> f32) -> Vec<usize> {
    let matrix: Vec<f32> = (0..n * n).map(|at| cost(at / n.max(1), at % n.max(1))).collect();
    const NONE: usize = usize::MAX;
    let (mut u, mut v) = (vec![0.0f64; n], vec![0.0f64; n]);
    let mut owner = vec![NONE; n];
    let mut free = Vec::new();
    // Columns come down to their cheapest row, which takes them where it is free.
    for j in 0..n {
        v[j] = (0..n).map(|i| f64::from(matrix[i * n + j])).fold(f64::INFINITY, f64::min);
    }
    for i in 0..n {
        let row = &matrix[i * n..(i + 1) * n];
        let (mut least, mut best) = (f64::INFINITY, NONE);
        for j in 0..n {
            let reduced = f64::from(row[j]) - v[j];
            if reduced < least || (reduced == least && best != NONE && owner[best] != NONE && owner[j] == NONE) {
                (least, best) = (reduced, j);
            }
        }
        u[i] = least;
        if owner[best] == NONE { owner[best] = i } else { free.push(i) }
    }
    let (mut distance, mut from, mut done) = (vec![0.0f64; n], vec![NONE; n], vec![false; n]);
    for source in free {
        distance.fill(f64::INFINITY);
        done.fill(false);
        let (mut row, mut reach, mut column) = (source, 0.0, NONE);
        let end = loop {
            let costs = &matrix[row * n..(row + 1) * n];
            let (mut least, mut next) = (f64::INFINITY, NONE);
            for j in 0..n {
                if done[j] {
                    continue;
                }
                let through = reach + f64::from(costs[j]) - u[row] - v[j];
                if through < distance[j] {
                    (distance[j], from[j]) = (through, column);
                }
                if distance[j] < least {
                    (least, next) = (distance[j], j);
                }
            }
            (reach, column) = (least, next);
            done[column] = true;
            if owner[column] == NONE {
                break column;
            }
            row = owner[column];
        };
        for j in (0..n).filter(|&j| done[j] && j != end) {
            v[j] -= reach - distance[j];
            u[owner[j]] += reach - distance[j];
        }
        u[source] += reach;
        let mut at = end;
        while from[at] != NONE {
            owner[at] = owner[from[at]];
            at = from[at];
        }
        owner[at] = source;
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
            let order = assigned(n, |i, j| costs[i * n + j]);
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
        assert_eq!([-2, -1, 0, 2, 3, 4, 7].map(|at| mirrored(at, 3)), [1, 0, 0, 2, 2, 1, 1]);
    }
}
