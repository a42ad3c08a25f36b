//! Approximate k nearest neighbours for very many rows, by inverted lists (Jégou, Douze & Schmid 2011, without the
//! codes).
//!
//! k-means partitions the rows into lists. The search for a row compares it only with the rows of the lists whose
//! centres are nearest to it, by the same matrix products as in `neighbours`. How many lists are searched is measured:
//! a sample of rows with exact neighbours gives the number that is needed, and a second sample gives the recall of the
//! result. All work is divided into fixed pieces and merged in a fixed order, so that the result does not depend on the
//! number of threads.

use rayon::prelude::*;

use super::error::Error;
use super::matrix::{Matrix, Rows, read_finite};
use super::neighbours::{EXTRA_CANDIDATES, Neighbours, RowBlock, RowTransform, TILE, TopK, scan, search_tile};
use super::product::{MatrixView, multiply, squared_distance};
use super::random::Random;

/// Approximate neighbours with their measured recall.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproximateNeighbours {
    /// The neighbours found, each with its true distance.
    pub neighbours: Neighbours,
    /// Mean share of a row's k nearest rows that were found, 0..=1, on a sample of rows.
    pub recall: f64,
}

/// The number of lists is this times the square root of the number of rows. Then about half of the time goes into
/// finding the lists, and half into searching them.
const LISTS_PER_ROOT: f64 = 3.0;
/// Training rows per list for k-means, and its number of rounds.
const TRAINING: (usize, usize) = (32, 6);
/// A list that is longer than this many times the mean is divided. Otherwise, if many rows were equal, each would be
/// compared with all others.
const MAX_LENGTH_RATIO: usize = 8;
/// The share of the first sample's neighbours that must be in the lists that are searched.
const PROBE_RECALL: f64 = 0.993;
/// Rows in each of the two samples.
const SAMPLE: usize = 1000;
/// Rows per parallel task, and tasks per batch. The result of a batch is written before the next one starts.
const TASK: (usize, usize) = (2048, 64);

/// Finds nearly all of the `k` nearest neighbours of each row: 99 % or more on vectors of pictures. The result has the
/// measured recall. `k` is limited to n − 1; `seed` chooses the samples.
///
/// All rows are held in memory.
///
/// # Errors
/// The same as [`neighbours`](super::neighbours()).
pub fn approximate_neighbours(rows: &dyn Rows, k: usize, seed: u64) -> Result<ApproximateNeighbours, Error> {
    let n = rows.len();
    if n > u32::MAX as usize {
        return Err(Error::TooManyRows(n));
    }
    let k = k.min(n.saturating_sub(1));
    let mut found = Neighbours { len: n, k, index: vec![0; n * k], distance: vec![0.0; n * k] };
    if k == 0 {
        return Ok(ApproximateNeighbours { neighbours: found, recall: 1.0 });
    }
    let lists = InvertedLists::from_rows(rows, seed)?;
    let probes = lists.probes(k, &Random::new(seed, 6).sample(n, SAMPLE));
    let tasks: Vec<usize> = (0..n).step_by(TASK.0).collect();
    for tasks in tasks.chunks(TASK.1) {
        let results: Vec<Vec<Vec<(f32, u32)>>> = tasks
            .par_iter()
            .map(|&first| lists.neighbours_of_places(first..n.min(first + TASK.0), k, probes))
            .collect();
        for (first, rows) in tasks.iter().zip(results) {
            for (place, near) in (*first..).zip(rows) {
                let row = lists.order[place] as usize * k;
                for (slot, (squared, index)) in near.into_iter().enumerate() {
                    found.index[row + slot] = index;
                    found.distance[row + slot] = lists.transform.distance(squared);
                }
            }
        }
    }
    let recall = lists.recall(&found, &Random::new(seed, 7).sample(n, SAMPLE));
    Ok(ApproximateNeighbours { neighbours: found, recall })
}

/// An index over some rows of a matrix. It finds the nearest of them to any row of the matrix.
pub struct NeighbourIndex<'a> {
    points: &'a Matrix,
    lists: InvertedLists,
    k: usize,
    probes: usize,
}

impl<'a> NeighbourIndex<'a> {
    /// Builds the index over copies of the rows of `points` with the numbers `indexed`, in that order. Queries find
    /// nearly all of the `k` nearest, as [`approximate_neighbours`] does. `k` is limited to the number of indexed rows
    /// − 1, but is at least 1; `seed` chooses the samples.
    ///
    /// # Errors
    /// The same as [`neighbours`](super::neighbours()).
    pub fn new(points: &'a Matrix, indexed: &[usize], k: usize, seed: u64) -> Result<Self, Error> {
        if indexed.len() > u32::MAX as usize {
            return Err(Error::TooManyRows(indexed.len()));
        }
        // The scale comes from all rows, because each of them may be a query and must not overflow.
        let transform = RowTransform::of(points, points.len().min(1 << 16))?;
        let values = indexed.iter().flat_map(|&i| points.row(i)).copied().collect();
        let k = k.clamp(1, indexed.len().max(2) - 1);
        let lists = InvertedLists::build(RowBlock::new(values, 0, indexed.len(), &transform), transform, seed);
        let probes =
            if indexed.len() > k { lists.probes(k, &Random::new(seed, 6).sample(indexed.len(), SAMPLE)) } else { 1 };
        Ok(Self { points, lists, k, probes })
    }

    /// For each row of `points` in this range, the nearest indexed rows, as (distance, position in `indexed`),
    /// ascending.
    pub fn nearest(&self, rows: std::ops::Range<usize>) -> Vec<Vec<(f32, u32)>> {
        let tasks: Vec<usize> = rows.clone().step_by(TASK.0).collect();
        let search_task = |&first: &usize| {
            let count = TASK.0.min(rows.end - first);
            let values = self.points.values()[first * self.points.dim()..][..count * self.points.dim()].to_vec();
            let queries = RowBlock::new(values, 0, count, &self.lists.transform);
            let mut near = self.lists.neighbours_of(&queries, &vec![u32::MAX; count], self.k, self.probes);
            near.iter_mut().flatten().for_each(|(squared, _)| *squared = self.lists.transform.distance(*squared));
            near
        };
        tasks.par_iter().flat_map_iter(search_task).collect()
    }
}

/// All rows, sorted by list. The position of a row in this order is called its place.
struct InvertedLists {
    transform: RowTransform,
    /// The transformed rows by place.
    rows: RowBlock,
    /// The number of the row at each place.
    order: Vec<u32>,
    /// The first place of each list, and the end of the last list.
    starts: Vec<usize>,
    /// The centre of each list. The parts of a divided list have the same centre.
    centres: RowBlock,
}

impl InvertedLists {
    fn from_rows(rows: &dyn Rows, seed: u64) -> Result<Self, Error> {
        let (n, d) = (rows.len(), rows.dim());
        let transform = RowTransform::of(rows, n.min(1 << 16))?;
        let mut values = vec![0.0; n * d];
        read_finite(rows, 0, &mut values)?;
        Ok(Self::build(RowBlock::new(values, 0, n, &transform), transform, seed))
    }

    /// Partitions transformed rows into lists.
    fn build(all: RowBlock, transform: RowTransform, seed: u64) -> Self {
        let (n, d) = (all.norms.len(), all.dim);
        let count = ((LISTS_PER_ROOT * (n as f64).sqrt()) as usize).clamp(1, n.div_ceil(16));
        let training = Random::new(seed, 5).sample(n, count * TRAINING.0);
        let training = RowBlock::of(training.iter().flat_map(|&i| all.row(i)).copied().collect(), training.len());
        let mut centres = RowBlock::of(
            (0..count).flat_map(|c| training.row(c * training.norms.len() / count)).copied().collect(),
            count,
        );
        // Lloyd's algorithm on the training rows. An empty cluster keeps its centre.
        for _ in 0..TRAINING.1 {
            let (order, starts) = by_list(&nearest_centre(&training, &centres), count);
            let mut means = centres.values.clone();
            means.par_chunks_mut(d.max(1)).enumerate().for_each(|(c, mean)| {
                let members = &order[starts[c]..starts[c + 1]];
                let mut sums = vec![0.0_f64; d];
                for &i in members {
                    sums.iter_mut().zip(training.row(i as usize)).for_each(|(sum, x)| *sum += f64::from(*x));
                }
                if !members.is_empty() {
                    mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / members.len() as f64) as f32);
                }
            });
            centres = RowBlock::of(means, count);
        }
        let (order, list_starts) = by_list(&nearest_centre(&all, &centres), count);
        let max_length = (MAX_LENGTH_RATIO * n / count).max(1);
        let (mut starts, mut list_centres) = (Vec::new(), Vec::new());
        for (c, ends) in list_starts.windows(2).enumerate() {
            for start in (ends[0]..ends[1]).step_by(max_length) {
                starts.push(start);
                list_centres.extend_from_slice(centres.row(c));
            }
        }
        let centres = RowBlock::of(list_centres, starts.len());
        starts.push(n);
        let mut values = vec![0.0; n * d];
        values.par_chunks_mut(d.max(1)).zip(&order).for_each(|(row, &i)| row.copy_from_slice(all.row(i as usize)));
        Self { transform, rows: RowBlock::of(values, n), order, starts, centres }
    }

    fn list_len(&self, list: usize) -> usize {
        self.starts[list + 1] - self.starts[list]
    }

    /// For each of these rows, the `probes` lists with the nearest centres, nearest first. If those have too few rows
    /// for `k` neighbours, more lists are returned.
    fn nearest_lists(&self, rows: &RowBlock, probes: usize, k: usize) -> Vec<Vec<u32>> {
        let mut lists: Vec<TopK> = (0..rows.norms.len()).map(|_| TopK::new(probes)).collect();
        products(rows, &self.centres, 0..self.centres.norms.len(), |row, products, norms, from| {
            scan(&mut lists[row], products, norms, rows.norms[row], from as u32, u32::MAX);
        });
        let nearer = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let numbers = |found: &[(f32, u32)]| found.iter().map(|&(_, list)| list).collect::<Vec<_>>();
        let row_count = |lists: &[u32]| lists.iter().map(|&list| self.list_len(list as usize)).sum::<usize>();
        let mut chosen = Vec::with_capacity(lists.len());
        for (row, mut list) in lists.into_iter().enumerate() {
            list.prune();
            list.candidates.sort_unstable_by(nearer);
            let mut near = numbers(&list.candidates);
            if row_count(&near) <= k + EXTRA_CANDIDATES {
                let distance = |list: usize| squared_distance(rows.row(row), self.centres.row(list)) as f32;
                let mut all: Vec<_> = (0..self.list_count()).map(|list| (distance(list), list as u32)).collect();
                all.sort_unstable_by(nearer);
                near = numbers(&all);
                let enough = (1..near.len()).find(|&count| row_count(&near[..count]) > 2 * (k + EXTRA_CANDIDATES));
                near.truncate(enough.unwrap_or(near.len()));
            }
            chosen.push(near);
        }
        chosen
    }

    fn list_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of lists to search, measured on the rows at these places: the `PROBE_RECALL` quantile of the ranks of
    /// the lists that contain their exact neighbours.
    fn probes(&self, k: usize, sample: &[usize]) -> usize {
        let queries = self.rows.pick(sample);
        let all = self.nearest_lists(&queries, self.list_count(), k);
        let mut ranks: Vec<usize> = (self.exact_neighbours(&queries, sample, k).into_par_iter())
            .zip(all)
            .flat_map_iter(|(near, lists)| {
                let mut rank = vec![0; lists.len()];
                lists.iter().enumerate().for_each(|(place, &list)| rank[list as usize] = place);
                near.into_iter().map(move |(_, place)| rank[self.list_of(place as usize)])
            })
            .collect();
        let last = ((ranks.len() as f64 * PROBE_RECALL) as usize).min(ranks.len() - 1);
        *ranks.select_nth_unstable(last).1 + 1
    }

    /// The list that contains a place.
    fn list_of(&self, place: usize) -> usize {
        self.starts.partition_point(|&start| start <= place) - 1
    }

    /// The exact neighbours of some rows, as (squared distance, place); `own` has the places of these rows.
    fn exact_neighbours(&self, rows: &RowBlock, own: &[usize], k: usize) -> Vec<Vec<(f32, u32)>> {
        let mut near: Vec<TopK> = own.iter().map(|_| TopK::new(k + 1)).collect();
        near.par_chunks_mut(TILE.0).enumerate().for_each_init(
            || vec![0.0; TILE.0 * TILE.1],
            |scratch, (tile, near)| search_tile(rows, tile, &self.rows, near, scratch),
        );
        near.into_par_iter()
            .zip(own)
            .map(|(near, &own)| nearest_of(near.candidates, k, own as u32, |place| place))
            .collect()
    }

    /// The approximate neighbours of the rows at these places, as (squared distance, row number).
    fn neighbours_of_places(&self, places: std::ops::Range<usize>, k: usize, probes: usize) -> Vec<Vec<(f32, u32)>> {
        let own: Vec<u32> = places.clone().map(|place| place as u32).collect();
        self.neighbours_of(&self.rows.pick(&places.collect::<Vec<_>>()), &own, k, probes)
    }

    /// The approximate neighbours of the queries, as (squared distance, row number). `own` has the place of each query,
    /// which is excluded, or `u32::MAX` if it has none.
    fn neighbours_of(&self, queries: &RowBlock, own: &[u32], k: usize, probes: usize) -> Vec<Vec<(f32, u32)>> {
        // The work is grouped by list, so that each list is one matrix product with all the queries that need it.
        let mut visits: Vec<(u32, u32, u32)> = Vec::new();
        for (query, lists) in (0..).zip(self.nearest_lists(queries, probes, k)) {
            visits.extend((0..).zip(lists).map(|(rank, list)| (list, rank, query)));
        }
        visits.sort_unstable();
        let mut visits_by_list: Vec<&[(u32, u32, u32)]> = visits.chunk_by(|a, b| a.0 == b.0).collect();
        // Lists that are the nearest of some query come first, because they lower the thresholds soonest.
        visits_by_list.sort_by_key(|visits| (visits[0].1, visits[0].0));
        let mut near: Vec<TopK> = own.iter().map(|_| TopK::new(k + EXTRA_CANDIDATES)).collect();
        for visits in visits_by_list {
            let list = visits[0].0 as usize;
            let query_ids: Vec<usize> = visits.iter().map(|visit| visit.2 as usize).collect();
            let selected = queries.pick(&query_ids);
            products(&selected, &self.rows, self.starts[list]..self.starts[list + 1], |row, products, norms, from| {
                let query_id = query_ids[row];
                scan(&mut near[query_id], products, norms, selected.norms[row], from as u32, own[query_id]);
            });
        }
        (near.into_iter().zip(own).enumerate())
            .map(|(query, (mut near, &own))| {
                near.prune();
                // Distances by products have rounding errors. There are few candidates, so they are computed again
                // directly.
                for (squared, place) in &mut near.candidates {
                    *squared = squared_distance(queries.row(query), self.rows.row(*place as usize)) as f32;
                }
                nearest_of(near.candidates, k, own, |place| self.order[place as usize])
            })
            .collect()
    }

    /// The recall of `found`, measured on the rows at these places.
    fn recall(&self, found: &Neighbours, sample: &[usize]) -> f64 {
        let queries = self.rows.pick(sample);
        let hits: Vec<usize> = (self.exact_neighbours(&queries, sample, found.k).par_iter().zip(sample))
            .map(|(near, &place)| {
                // Any neighbour at the distance of the k-th exact one counts, so ties do not lower the recall.
                let farthest = near.last().map_or(0.0, |last| self.transform.distance(last.0)) * (1.0 + 1e-5);
                let row = self.order[place] as usize * found.k;
                found.distance[row..row + found.k].iter().filter(|&&distance| distance <= farthest).count()
            })
            .collect();
        hits.iter().sum::<usize>() as f64 / (sample.len() * found.k).max(1) as f64
    }
}

/// The `k` nearest without `own`, by distance and then by number.
fn nearest_of(found: Vec<(f32, u32)>, k: usize, own: u32, number: impl Fn(u32) -> u32) -> Vec<(f32, u32)> {
    let others = found.into_iter().filter(|&(_, place)| place != own);
    let mut near: Vec<(f32, u32)> = others.map(|(squared, place)| (squared, number(place))).collect();
    near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    near.truncate(k);
    near
}

/// Computes −2 x·y of all rows and a range of `others`, tile by tile. `each` receives the row, its products in the
/// tile, the squared norms of the others, and the number of the first of them.
fn products(
    rows: &RowBlock,
    others: &RowBlock,
    range: std::ops::Range<usize>,
    mut each: impl FnMut(usize, &[f32], &[f32], usize),
) {
    let d = rows.dim;
    let mut scratch = vec![0.0; TILE.0 * TILE.1];
    for first in (0..rows.norms.len()).step_by(TILE.0) {
        let count = TILE.0.min(rows.norms.len() - first);
        let query = MatrixView::rows(&rows.values[first * d..], count, d);
        for from in range.clone().step_by(TILE.1) {
            let width = TILE.1.min(range.end - from);
            let products = &mut scratch[..count * width];
            let candidate = MatrixView::rows(&others.values[from * d..], width, d);
            multiply(products, false, -2.0, query, candidate.transposed());
            for (row, products) in products.chunks(width).enumerate() {
                each(first + row, products, &others.norms[from..from + width], from);
            }
        }
    }
}

/// The number of the nearest centre of each row; the first one on ties.
fn nearest_centre(rows: &RowBlock, centres: &RowBlock) -> Vec<u32> {
    let tiles: Vec<usize> = (0..rows.norms.len()).step_by(TILE.0).collect();
    let nearest = |&first: &usize| {
        let tile_rows = rows.pick(&(first..rows.norms.len().min(first + TILE.0)).collect::<Vec<_>>());
        let mut best = vec![(f32::INFINITY, 0); tile_rows.norms.len()];
        products(&tile_rows, centres, 0..centres.norms.len(), |row, products, norms, from| {
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

/// Sorts rows by list (a stable counting sort). Returns the row numbers, and the start of each list with the end of the
/// last.
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
        let found = same_on_any_threads(|| approximate_neighbours(&points, 30, 1).unwrap());
        let exact = neighbours(&points, 30).unwrap();
        let hits = (0..6000).map(|i| {
            let row = i * 30..(i + 1) * 30;
            exact.index[row.clone()].iter().filter(|j| found.neighbours.index[row.clone()].contains(j)).count()
        });
        let share = hits.sum::<usize>() as f64 / (6000.0 * 30.0);
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
            let indexed: Vec<usize> = (0..count).map(|i| i * (5000 / count)).collect();
            let k = 15.min(count.max(2) - 1);
            let found =
                same_on_any_threads(|| NeighbourIndex::new(&points, &indexed, 15, 1).unwrap().nearest(100..4200));
            let mut hits = 0;
            for (row, near) in (100..).zip(&found) {
                let distance = |j: u32| squared_distance(points.row(row), points.row(indexed[j as usize])).sqrt();
                assert!(near.len() == k && near.is_sorted());
                assert!(near.iter().all(|&(d, j)| (f64::from(d) - distance(j)).abs() < 1e-3), "{row}: {near:?}");
                let mut all: Vec<f64> = (0..count as u32).map(distance).collect();
                all.sort_by(f64::total_cmp);
                hits += near.iter().filter(|&&(_, j)| distance(j) <= all[k - 1]).count();
            }
            let share = hits as f64 / (found.len() * k) as f64;
            assert!(share >= 0.98, "{count}: {share}");
        }
    }

    #[test]
    fn rows_that_are_alike_and_few_rows_are_fine() {
        let same = Matrix::new(4000, 3, vec![1.5; 12_000]).unwrap();
        let found = approximate_neighbours(&same, 20, 0).unwrap();
        assert!(found.recall == 1.0 && found.neighbours.distance.iter().all(|&d| d == 0.0));
        for n in 0..40 {
            let points = blobs(n, 2, 2, 1);
            let found = approximate_neighbours(&points, 50, 0).unwrap();
            assert_eq!(found.neighbours.index, neighbours(&points, 50).unwrap().index, "{n}");
        }
    }
}
