//! The k nearest neighbours of very many rows, nearly all of them: inverted lists (Jégou, Douze & Schmid 2011, without the
//! codes).
//!
//! k-means cuts the rows into lists; a row looks only into the lists whose centres are nearest to it, exactly, by the same
//! matrix products as in `neighbours`. How many lists that are is not guessed: a sample of rows whose neighbours are known
//! says how many are needed, and another sample how much was found. Everything is cut into fixed pieces and merged in a
//! fixed order, so that the result does not depend on the threads.

use rayon::prelude::*;

use super::error::Error;
use super::matrix::{Matrix, Rows, read_finite};
use super::neighbours::{Block, Frame, Nearest, Neighbours, SPARE, TILE, scan, search};
use super::product::{View, multiply, squared_distance};
use super::random::Random;

/// Neighbours, and the share of the true ones that are among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Approximate {
    /// The neighbours found, each with its true distance.
    pub neighbours: Neighbours,
    /// Mean share of a row's k nearest rows that were found, 0..=1, on a sample of rows.
    pub recall: f64,
}

/// As many lists as this times the root of the number of rows: half of the work is then in finding lists, half in them.
const LISTS: f64 = 3.0;
/// Rows per list from which the centres are learnt, and in how many rounds.
const LEARN: (usize, usize) = (32, 6);
/// A list that is so many times longer than the mean is cut: rows that are all alike would otherwise see all of each other.
const LONGEST: usize = 8;
/// The share of the neighbours of the first sample that must lie in the lists looked into.
const ENOUGH: f64 = 0.993;
/// Rows in each of the two samples.
const SAMPLE: usize = 1000;
/// Rows that are searched together, and such groups between two writes.
const TASK: (usize, usize) = (2048, 64);

/// Nearly all of the `k` nearest neighbours of each row: 99 of 100 or more on the data that this was made for, and how
/// many they are is told. `k` is lowered to n − 1; `seed` chooses the samples.
///
/// All rows are held in memory.
///
/// # Errors
/// As [`neighbours`](super::neighbours()).
pub fn approximate(rows: &dyn Rows, k: usize, seed: u64) -> Result<Approximate, Error> {
    let n = rows.len();
    if n > u32::MAX as usize {
        return Err(Error::TooManyRows(n));
    }
    let k = k.min(n.saturating_sub(1));
    let mut found = Neighbours { len: n, k, index: vec![0; n * k], distance: vec![0.0; n * k] };
    if k == 0 {
        return Ok(Approximate { neighbours: found, recall: 1.0 });
    }
    let lists = Lists::of(rows, seed)?;
    let probes = lists.probes(k, &Random::new(seed, 6).sample(n, SAMPLE));
    let tasks: Vec<usize> = (0..n).step_by(TASK.0).collect();
    for tasks in tasks.chunks(TASK.1) {
        let done: Vec<Vec<Vec<(f32, u32)>>> =
            tasks.par_iter().map(|&first| lists.look_from(first..n.min(first + TASK.0), k, probes)).collect();
        for (first, rows) in tasks.iter().zip(done) {
            for (place, near) in (*first..).zip(rows) {
                let row = lists.order[place] as usize * k;
                for (slot, (squared, index)) in near.into_iter().enumerate() {
                    found.index[row + slot] = index;
                    found.distance[row + slot] = lists.frame.distance(squared);
                }
            }
        }
    }
    let recall = lists.recall(&found, &Random::new(seed, 7).sample(n, SAMPLE));
    Ok(Approximate { neighbours: found, recall })
}

/// Some rows of a matrix, among which the nearest to any of its rows are looked for.
pub struct Among<'a> {
    points: &'a Matrix,
    lists: Lists,
    k: usize,
    probes: usize,
}

impl<'a> Among<'a> {
    /// The rows of `points` with the numbers `some`, of which nearly all of the `k` nearest (lowered to their number − 1, but
    /// at least 1) will be found, as [`approximate`] finds them; `seed` chooses the samples. These rows are copied.
    ///
    /// # Errors
    /// As [`neighbours`](super::neighbours()).
    pub fn new(points: &'a Matrix, some: &[usize], k: usize, seed: u64) -> Result<Self, Error> {
        if some.len() > u32::MAX as usize {
            return Err(Error::TooManyRows(some.len()));
        }
        // The frame of all rows: none of them is too large for it.
        let frame = Frame::of(points, points.len().min(1 << 16))?;
        let values = some.iter().flat_map(|&i| points.row(i)).copied().collect();
        let k = k.clamp(1, some.len().max(2) - 1);
        let lists = Lists::cut(Block::new(values, 0, some.len(), &frame), frame, seed);
        let probes = if some.len() > k { lists.probes(k, &Random::new(seed, 6).sample(some.len(), SAMPLE)) } else { 1 };
        Ok(Self { points, lists, k, probes })
    }

    /// Of each of the rows in this range, the nearest: their distances, ascending, and which of `some` they are.
    pub fn nearest(&self, rows: std::ops::Range<usize>) -> Vec<Vec<(f32, u32)>> {
        let tasks: Vec<usize> = rows.clone().step_by(TASK.0).collect();
        let look = |&first: &usize| {
            let count = TASK.0.min(rows.end - first);
            let values = self.points.values()[first * self.points.dim()..][..count * self.points.dim()].to_vec();
            let queries = Block::new(values, 0, count, &self.lists.frame);
            let mut near = self.lists.look(&queries, &vec![u32::MAX; count], self.k, self.probes);
            near.iter_mut().flatten().for_each(|(squared, _)| *squared = self.lists.frame.distance(*squared));
            near
        };
        tasks.par_iter().flat_map_iter(look).collect()
    }
}

/// All rows, list after list.
struct Lists {
    frame: Frame,
    /// The rows in their new order, ready for comparison.
    rows: Block,
    /// The number of each row, by its place in the new order.
    order: Vec<u32>,
    /// Where each list begins, and the end of the last.
    starts: Vec<usize>,
    /// The centres of the lists.
    centres: Block,
}

impl Lists {
    fn of(rows: &dyn Rows, seed: u64) -> Result<Self, Error> {
        let (n, d) = (rows.len(), rows.dim());
        let frame = Frame::of(rows, n.min(1 << 16))?;
        let mut values = vec![0.0; n * d];
        read_finite(rows, 0, &mut values)?;
        Ok(Self::cut(Block::new(values, 0, n, &frame), frame, seed))
    }

    /// Rows that are ready for comparison, cut into lists.
    fn cut(all: Block, frame: Frame, seed: u64) -> Self {
        let (n, d) = (all.norms.len(), all.dim);
        let count = ((LISTS * (n as f64).sqrt()) as usize).clamp(1, n.div_ceil(16));
        let learn = Random::new(seed, 5).sample(n, count * LEARN.0);
        let learn = Block::of(learn.iter().flat_map(|&i| all.row(i)).copied().collect(), learn.len());
        let mut centres =
            Block::of((0..count).flat_map(|c| learn.row(c * learn.norms.len() / count)).copied().collect(), count);
        for _ in 0..LEARN.1 {
            let (order, starts) = by_list(&nearest_centre(&learn, &centres), count);
            let mut means = centres.values.clone();
            means.par_chunks_mut(d.max(1)).enumerate().for_each(|(c, mean)| {
                let members = &order[starts[c]..starts[c + 1]];
                let mut sums = vec![0.0_f64; d];
                for &i in members {
                    sums.iter_mut().zip(learn.row(i as usize)).for_each(|(sum, x)| *sum += f64::from(*x));
                }
                if !members.is_empty() {
                    mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / members.len() as f64) as f32);
                }
            });
            centres = Block::of(means, count);
        }
        let (order, whole) = by_list(&nearest_centre(&all, &centres), count);
        let longest = (LONGEST * n / count).max(1);
        let (mut starts, mut middles) = (Vec::new(), Vec::new());
        for (c, ends) in whole.windows(2).enumerate() {
            for start in (ends[0]..ends[1]).step_by(longest) {
                starts.push(start);
                middles.extend_from_slice(centres.row(c));
            }
        }
        let centres = Block::of(middles, starts.len());
        starts.push(n);
        let mut values = vec![0.0; n * d];
        values.par_chunks_mut(d.max(1)).zip(&order).for_each(|(row, &i)| row.copy_from_slice(all.row(i as usize)));
        Self { frame, rows: Block::of(values, n), order, starts, centres }
    }

    fn len(&self, list: usize) -> usize {
        self.starts[list + 1] - self.starts[list]
    }

    /// The lists whose centres are nearest to each of some rows, nearest first; at least enough for `k` neighbours.
    fn nearest_lists(&self, rows: &Block, probes: usize, k: usize) -> Vec<Vec<u32>> {
        let mut lists: Vec<Nearest> = (0..rows.norms.len()).map(|_| Nearest::new(probes)).collect();
        products(rows, &self.centres, 0..self.centres.norms.len(), |row, products, norms, from| {
            scan(&mut lists[row], products, norms, rows.norms[row], from as u32, u32::MAX);
        });
        let by = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let numbers = |found: &[(f32, u32)]| found.iter().map(|&(_, list)| list).collect::<Vec<_>>();
        let held = |lists: &[u32]| lists.iter().map(|&list| self.len(list as usize)).sum::<usize>();
        let mut chosen = Vec::with_capacity(lists.len());
        for (row, mut list) in lists.into_iter().enumerate() {
            list.shrink();
            list.found.sort_unstable_by(by);
            let mut near = numbers(&list.found);
            if held(&near) <= k + SPARE {
                let distance = |list: usize| squared_distance(rows.row(row), self.centres.row(list)) as f32;
                let mut all: Vec<_> = (0..self.len_all()).map(|list| (distance(list), list as u32)).collect();
                all.sort_unstable_by(by);
                near = numbers(&all);
                let enough = (1..near.len()).find(|&count| held(&near[..count]) > 2 * (k + SPARE));
                near.truncate(enough.unwrap_or(near.len()));
            }
            chosen.push(near);
        }
        chosen
    }

    fn len_all(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many lists have to be looked into, by the rows at these places.
    fn probes(&self, k: usize, sample: &[usize]) -> usize {
        let queries = self.rows.pick(sample);
        let all = self.nearest_lists(&queries, self.len_all(), k);
        let mut ranks: Vec<usize> = (self.exactly(&queries, sample, k).into_par_iter())
            .zip(all)
            .flat_map_iter(|(near, lists)| {
                let mut rank = vec![0; lists.len()];
                lists.iter().enumerate().for_each(|(place, &list)| rank[list as usize] = place);
                near.into_iter().map(move |(_, place)| rank[self.list_of(place as usize)])
            })
            .collect();
        let last = ((ranks.len() as f64 * ENOUGH) as usize).min(ranks.len() - 1);
        *ranks.select_nth_unstable(last).1 + 1
    }

    /// The list that a place is in.
    fn list_of(&self, place: usize) -> usize {
        self.starts.partition_point(|&start| start <= place) - 1
    }

    /// The neighbours of some rows among all of them, as squared distance and place; `own` are the rows' own places.
    fn exactly(&self, rows: &Block, own: &[usize], k: usize) -> Vec<Vec<(f32, u32)>> {
        let mut near: Vec<Nearest> = own.iter().map(|_| Nearest::new(k + 1)).collect();
        near.par_chunks_mut(TILE.0).enumerate().for_each_init(
            || vec![0.0; TILE.0 * TILE.1],
            |scratch, (tile, near)| search(rows, tile, &self.rows, near, scratch),
        );
        near.into_par_iter().zip(own).map(|(near, &own)| nearest_of(near.found, k, own as u32, |place| place)).collect()
    }

    /// The neighbours found of the rows at some places, as squared distance and row number.
    fn look_from(&self, places: std::ops::Range<usize>, k: usize, probes: usize) -> Vec<Vec<(f32, u32)>> {
        let own: Vec<u32> = places.clone().map(|place| place as u32).collect();
        self.look(&self.rows.pick(&places.collect::<Vec<_>>()), &own, k, probes)
    }

    /// The neighbours found of rows, as squared distance and row number; `own` are the places of these rows, if they have one.
    fn look(&self, queries: &Block, own: &[u32], k: usize, probes: usize) -> Vec<Vec<(f32, u32)>> {
        let mut visits: Vec<(u32, u32, u32)> = Vec::new();
        for (query, lists) in (0..).zip(self.nearest_lists(queries, probes, k)) {
            visits.extend((0..).zip(lists).map(|(rank, list)| (list, rank, query)));
        }
        visits.sort_unstable();
        let mut by_list: Vec<&[(u32, u32, u32)]> = visits.chunk_by(|a, b| a.0 == b.0).collect();
        // What is nearest comes first: it brings the thresholds down.
        by_list.sort_by_key(|visits| (visits[0].1, visits[0].0));
        let mut near: Vec<Nearest> = own.iter().map(|_| Nearest::new(k + SPARE)).collect();
        for visits in by_list {
            let list = visits[0].0 as usize;
            let guests: Vec<usize> = visits.iter().map(|visit| visit.2 as usize).collect();
            let some = queries.pick(&guests);
            products(&some, &self.rows, self.starts[list]..self.starts[list + 1], |row, products, norms, from| {
                let guest = guests[row];
                scan(&mut near[guest], products, norms, some.norms[row], from as u32, own[guest]);
            });
        }
        (near.into_iter().zip(own).enumerate())
            .map(|(query, (mut near, &own))| {
                near.shrink();
                // Products round; these are few.
                for (squared, place) in &mut near.found {
                    *squared = squared_distance(queries.row(query), self.rows.row(*place as usize)) as f32;
                }
                nearest_of(near.found, k, own, |place| self.order[place as usize])
            })
            .collect()
    }

    /// The share of the neighbours of the rows at these places that is among those found.
    fn recall(&self, found: &Neighbours, sample: &[usize]) -> f64 {
        let queries = self.rows.pick(sample);
        let kept: Vec<usize> = (self.exactly(&queries, sample, found.k).par_iter().zip(sample))
            .map(|(near, &place)| {
                // Of equally far ones any will do.
                let farthest = near.last().map_or(0.0, |last| self.frame.distance(last.0)) * (1.0 + 1e-5);
                let row = self.order[place] as usize * found.k;
                found.distance[row..row + found.k].iter().filter(|&&distance| distance <= farthest).count()
            })
            .collect();
        kept.iter().sum::<usize>() as f64 / (sample.len() * found.k).max(1) as f64
    }
}

/// The `k` nearest, by distance and then by number.
fn nearest_of(found: Vec<(f32, u32)>, k: usize, own: u32, number: impl Fn(u32) -> u32) -> Vec<(f32, u32)> {
    let others = found.into_iter().filter(|&(_, place)| place != own);
    let mut near: Vec<(f32, u32)> = others.map(|(squared, place)| (squared, number(place))).collect();
    near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    near.truncate(k);
    near
}

/// −2 x·y of rows and a range of others, tile by tile: `each` gets the row, the products, the others' squared lengths and
/// the place of the first.
fn products(
    rows: &Block,
    others: &Block,
    range: std::ops::Range<usize>,
    mut each: impl FnMut(usize, &[f32], &[f32], usize),
) {
    let d = rows.dim;
    let mut scratch = vec![0.0; TILE.0 * TILE.1];
    for first in (0..rows.norms.len()).step_by(TILE.0) {
        let count = TILE.0.min(rows.norms.len() - first);
        let query = View::rows(&rows.values[first * d..], count, d);
        for from in range.clone().step_by(TILE.1) {
            let width = TILE.1.min(range.end - from);
            let products = &mut scratch[..count * width];
            let candidate = View::rows(&others.values[from * d..], width, d);
            multiply(products, false, -2.0, query, candidate.transposed());
            for (row, products) in products.chunks(width).enumerate() {
                each(first + row, products, &others.norms[from..from + width], from);
            }
        }
    }
}

/// The number of the nearest centre of each row; of equals the first.
fn nearest_centre(rows: &Block, centres: &Block) -> Vec<u32> {
    let tiles: Vec<usize> = (0..rows.norms.len()).step_by(TILE.0).collect();
    let nearest = |&first: &usize| {
        let some = rows.pick(&(first..rows.norms.len().min(first + TILE.0)).collect::<Vec<_>>());
        let mut best = vec![(f32::INFINITY, 0); some.norms.len()];
        products(&some, centres, 0..centres.norms.len(), |row, products, norms, from| {
            for (centre, (product, norm)) in (from as u32..).zip(products.iter().zip(norms)) {
                if product + norm < best[row].0 {
                    best[row] = (product + norm, centre);
                }
            }
        });
        best.into_iter().map(|(_, centre)| centre).collect::<Vec<_>>()
    };
    tiles.par_iter().map(nearest).collect::<Vec<_>>().concat()
}

/// Rows list after list, in their own order in each, and where each list begins.
fn by_list(list: &[u32], count: usize) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0; count + 1];
    list.iter().for_each(|&list| starts[list as usize + 1] += 1);
    for i in 0..count {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut order = vec![0; list.len()];
    for (row, &list) in (0..).zip(list) {
        order[next[list as usize]] = row;
        next[list as usize] += 1;
    }
    (order, starts)
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::neighbours;
    use super::*;
    use crate::linalg::Matrix;
    use crate::linalg::testing::{blobs, same_on_any_threads};

    #[test]
    fn it_finds_nearly_all_and_says_how_many() {
        let points = blobs(6000, 12, 9, 3);
        let found = same_on_any_threads(|| approximate(&points, 30, 1).unwrap());
        let exact = neighbours(&points, 30).unwrap();
        let kept = (0..6000).map(|i| {
            let row = i * 30..(i + 1) * 30;
            exact.index[row.clone()].iter().filter(|j| found.neighbours.index[row.clone()].contains(j)).count()
        });
        let share = kept.sum::<usize>() as f64 / (6000.0 * 30.0);
        assert!(share >= 0.99, "{share}");
        assert!((share - found.recall).abs() < 0.005, "{share} {}", found.recall);
        for (row, near) in found.neighbours.index.chunks(30).enumerate() {
            assert!(!near.contains(&(row as u32)));
            assert!(near.iter().collect::<std::collections::HashSet<_>>().len() == 30);
        }
        assert!(found.neighbours.distance.chunks(30).all(|row| row.is_sorted()));
    }

    #[test]
    fn among_some_rows_it_finds_nearly_all_of_the_nearest_to_any_row() {
        let points = blobs(5000, 12, 9, 3);
        for count in [1, 2, 20, 2500] {
            let some: Vec<usize> = (0..count).map(|i| i * (5000 / count)).collect();
            let k = 15.min(count.max(2) - 1);
            let found = same_on_any_threads(|| Among::new(&points, &some, 15, 1).unwrap().nearest(100..4200));
            let mut kept = 0;
            for (row, near) in (100..).zip(&found) {
                let distance = |j: u32| squared_distance(points.row(row), points.row(some[j as usize])).sqrt();
                assert!(near.len() == k && near.is_sorted());
                assert!(near.iter().all(|&(d, j)| (f64::from(d) - distance(j)).abs() < 1e-3), "{row}: {near:?}");
                let mut all: Vec<f64> = (0..count as u32).map(distance).collect();
                all.sort_by(f64::total_cmp);
                kept += near.iter().filter(|&&(_, j)| distance(j) <= all[k - 1]).count();
            }
            let share = kept as f64 / (found.len() * k) as f64;
            assert!(share >= 0.98, "{count}: {share}");
        }
    }

    #[test]
    fn rows_that_are_alike_and_few_rows_are_fine() {
        let same = Matrix::new(4000, 3, vec![1.5; 12_000]).unwrap();
        let found = approximate(&same, 20, 0).unwrap();
        assert!(found.recall == 1.0 && found.neighbours.distance.iter().all(|&d| d == 0.0));
        for n in 0..40 {
            let points = blobs(n, 2, 2, 1);
            let found = approximate(&points, 50, 0).unwrap();
            assert_eq!(found.neighbours.index, neighbours(&points, 50).unwrap().index, "{n}");
        }
    }
}
