//! Connected regions of places: agglomerative clustering of neighbouring places by Ward's method (1963,
//! doi:10.1080/01621459.1963.10500845). Only neighbours are merged, so every region is connected.
//!
//! [`linkage`] computes the whole hierarchy; [`cut`] divides it into a number of regions. Cuts of one hierarchy are
//! nested. Candidate merges are in a heap, so that n places with a bounded number of neighbours take O(n log n) steps.
//! The result depends on the order of the places, but not on that of the pairs of neighbours.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The merge of two regions. The number of a region is that of its first place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The region with the smaller number, which is also the number of the union.
    pub into: u32,
    /// The region with the larger number, which ceases to exist.
    pub from: u32,
}

/// Feature vectors of places.
#[derive(Clone, Copy, Debug)]
pub struct FeatureVectors<'a> {
    /// `count` × `dimensions` numbers, in row-major order.
    pub values: &'a [f32],
    /// Numbers per place, at least 1.
    pub dimensions: usize,
}

/// Merges regions until none has a neighbour. Each step merges the two neighbours whose union increases the sum of
/// squared distances from the region means the least; on ties, those with the smaller numbers. `neighbours` has each
/// pair once, in any order.
pub fn linkage(features: FeatureVectors<'_>, neighbours: &[(u32, u32)]) -> Vec<Merge> {
    let mut regions = Regions::new(features);
    for &(a, b) in neighbours {
        regions.adjacent[a as usize].push(b);
        regions.adjacent[b as usize].push(a);
    }
    let mut heap: BinaryHeap<CandidateMerge> = neighbours.iter().map(|&(a, b)| regions.pair(a, b)).collect();
    let mut merges = Vec::with_capacity(regions.sizes.len());
    while let Some(pair) = heap.pop() {
        // A candidate is out of date if one of its regions has changed. Entries are not removed from the heap.
        if pair.versions != [pair.a, pair.b].map(|i| regions.versions[i as usize]) {
            continue;
        }
        merges.push(Merge { into: pair.a, from: pair.b });
        regions.merge(pair.a, pair.b);
        for other in regions.neighbours(pair.a) {
            heap.push(regions.pair(pair.a, other));
        }
    }
    merges
}

/// The region of each of `count` places after the first `merges`, as many as leave `regions` regions (or as few as
/// possible). Regions are numbered from 0, in the order of their first places.
pub fn cut(count: usize, merges: &[Merge], regions: usize) -> Vec<u32> {
    let steps = count.saturating_sub(regions.max(1)).min(merges.len());
    let mut parent: Vec<u32> = (0..count as u32).collect();
    // A parent has a smaller number than its child, so one pass in ascending order resolves all places.
    for merge in &merges[..steps] {
        parent[merge.from as usize] = merge.into;
    }
    let mut numbers = vec![0; count];
    let mut next = 0;
    for place in 0..count {
        numbers[place] = match parent[place] as usize {
            first if first == place => {
                next += 1;
                next - 1
            }
            first => numbers[first],
        };
    }
    numbers
}

/// A possible merge, with the increase of the sum of squares that it causes.
struct CandidateMerge {
    cost: f64,
    a: u32,
    b: u32,
    /// The versions of the two regions at the time when the cost was computed.
    versions: [u32; 2],
}

impl Ord for CandidateMerge {
    /// The heap returns the greatest entry first, so the cheapest pair is the greatest; on ties, the one with the
    /// smaller numbers.
    fn cmp(&self, other: &Self) -> Ordering {
        other.cost.total_cmp(&self.cost).then_with(|| (other.a, other.b).cmp(&(self.a, self.b)))
    }
}

impl PartialOrd for CandidateMerge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for CandidateMerge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for CandidateMerge {}

/// The squared Euclidean distance, in eight partial sums, whose additions do not wait for each other.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            let difference = f64::from(x - y);
            *sum += difference * difference;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(x, y)| f64::from(x - y) * f64::from(x - y));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The current regions: a disjoint-set forest with means and sizes, by number of the region.
struct Regions {
    dimensions: usize,
    means: Vec<f32>,
    sizes: Vec<u32>,
    /// Incremented when a region changes, which invalidates its candidates in the heap.
    versions: Vec<u32>,
    /// The region that each was merged into, or its own number while it exists.
    parent: Vec<u32>,
    /// Places adjacent to each region. Several may belong to the same region, or to this one.
    adjacent: Vec<Vec<u32>>,
}

impl Regions {
    fn new(features: FeatureVectors<'_>) -> Self {
        let count = features.values.len() / features.dimensions;
        Self {
            dimensions: features.dimensions,
            means: features.values.to_vec(),
            sizes: vec![1; count],
            versions: vec![0; count],
            parent: (0..count as u32).collect(),
            adjacent: vec![Vec::new(); count],
        }
    }

    fn mean(&self, region: u32) -> &[f32] {
        &self.means[region as usize * self.dimensions..][..self.dimensions]
    }

    /// The candidate merge of two regions. Its cost is Ward's increase m n / (m + n) · |mean_a − mean_b|² for sizes m
    /// and n.
    fn pair(&self, a: u32, b: u32) -> CandidateMerge {
        let (a, b) = (a.min(b), a.max(b));
        let squared = squared_distance(self.mean(a), self.mean(b));
        let [m, n] = [a, b].map(|i| f64::from(self.sizes[i as usize]));
        CandidateMerge { cost: m * n / (m + n) * squared, a, b, versions: [a, b].map(|i| self.versions[i as usize]) }
    }

    /// Merges region `b` into `a`, where a < b.
    fn merge(&mut self, a: u32, b: u32) {
        let [m, n] = [a, b].map(|i| self.sizes[i as usize] as f32);
        let (before, after) = self.means.split_at_mut(b as usize * self.dimensions);
        for (x, y) in
            before[a as usize * self.dimensions..][..self.dimensions].iter_mut().zip(&after[..self.dimensions])
        {
            *x = (*x * m + *y * n) / (m + n);
        }
        self.sizes[a as usize] += self.sizes[b as usize];
        self.versions[a as usize] += 1;
        self.versions[b as usize] += 1;
        self.parent[b as usize] = a;
        // The shorter list is appended to the longer one, which limits the total work of all merges.
        let mut shorter = std::mem::take(&mut self.adjacent[b as usize]);
        let longer = &mut self.adjacent[a as usize];
        if shorter.len() > longer.len() {
            std::mem::swap(longer, &mut shorter);
        }
        longer.extend(shorter);
    }

    /// The region that contains a place. Path halving shortens later calls.
    fn find(&mut self, place: u32) -> u32 {
        let mut current = place;
        while self.parent[current as usize] != current {
            let grandparent = self.parent[self.parent[current as usize] as usize];
            self.parent[current as usize] = grandparent;
            current = grandparent;
        }
        current
    }

    /// The regions adjacent to one, each once, in ascending order. The stored list is replaced by this one.
    fn neighbours(&mut self, region: u32) -> Vec<u32> {
        let mut adjacent = std::mem::take(&mut self.adjacent[region as usize]);
        for place in &mut adjacent {
            *place = self.find(*place);
        }
        adjacent.sort_unstable();
        adjacent.dedup();
        adjacent.retain(|&other| other != region);
        self.adjacent[region as usize].clone_from(&adjacent);
        adjacent
    }
}

#[cfg(test)]
mod tests;
