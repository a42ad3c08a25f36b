//! Regions of a map: neighbouring places that are alike are put together step by step, by Ward's method
//! (1963, doi:10.1080/01621459.1963.10500845) restricted to neighbours, so that every region is connected.
//!
//! [`merge`] gives the whole hierarchy; [`cut`] takes it apart into as many regions as are wanted. Cuts of
//! one hierarchy are nested. Pairs wait in a heap: for n places with a bounded number of neighbours it takes
//! O(n log n) steps. The result depends on no order but that of the places.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Two regions that become one, which takes the number of the first. A region has the number of its first place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The smaller number.
    pub into: u32,
    /// The larger one, which is no region any more.
    pub from: u32,
}

/// Features of places: rows of `dim` numbers, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// `count` x `dim` numbers.
    pub values: &'a [f32],
    /// Numbers of a place, at least 1.
    pub dim: usize,
}

/// Puts regions together until none has a neighbour left. At every step it is the two neighbours whose union
/// adds least to the sum of squared distances from the means of the regions; of equal ones those with the smaller
/// numbers. `neighbours` has each pair once, in any order.
pub fn merge(features: Features<'_>, neighbours: &[(u32, u32)]) -> Vec<Merge> {
    let mut regions = Regions::new(features);
    for &(a, b) in neighbours {
        regions.around[a as usize].push(b);
        regions.around[b as usize].push(a);
    }
    let mut heap: BinaryHeap<Pair> = neighbours.iter().map(|&(a, b)| regions.pair(a, b)).collect();
    let mut merges = Vec::with_capacity(regions.sizes.len());
    while let Some(pair) = heap.pop() {
        if pair.versions != [pair.a, pair.b].map(|i| regions.versions[i as usize]) {
            continue;
        }
        merges.push(Merge { into: pair.a, from: pair.b });
        regions.unite(pair.a, pair.b);
        for other in regions.neighbours(pair.a) {
            heap.push(regions.pair(pair.a, other));
        }
    }
    merges
}

/// The region of each of `count` places once `merges` have left `regions` of them (or as few as they can): numbers from
/// 0, in the order of the regions' first places.
pub fn cut(count: usize, merges: &[Merge], regions: usize) -> Vec<u32> {
    let steps = count.saturating_sub(regions.max(1)).min(merges.len());
    let mut into: Vec<u32> = (0..count as u32).collect();
    // What a region went into has a smaller number than itself, and later steps are of what is left.
    for merge in &merges[..steps] {
        into[merge.from as usize] = merge.into;
    }
    let mut numbers = vec![0; count];
    let mut next = 0;
    for place in 0..count {
        numbers[place] = match into[place] as usize {
            first if first == place => {
                next += 1;
                next - 1
            }
            first => numbers[first],
        };
    }
    numbers
}

/// Two regions that could be put together, and what that adds to the sum of squares.
struct Pair {
    cost: f64,
    a: u32,
    b: u32,
    /// Of the two regions, when the cost was computed.
    versions: [u32; 2],
}

impl Ord for Pair {
    /// The heap gives the greatest: the cheapest pair, and of equal ones that with the smaller numbers.
    fn cmp(&self, other: &Self) -> Ordering {
        other.cost.total_cmp(&self.cost).then_with(|| (other.a, other.b).cmp(&(self.a, self.b)))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// Sums in lanes of their own do not wait for each other, as those of one sum would.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            let apart = f64::from(x - y);
            *sum += apart * apart;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(x, y)| f64::from(x - y) * f64::from(x - y));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The regions so far.
struct Regions {
    dim: usize,
    means: Vec<f32>,
    sizes: Vec<u32>,
    /// Raised when a region changes, so that older pairs of it are passed over.
    versions: Vec<u32>,
    /// What each went into; itself while it is a region.
    into: Vec<u32>,
    /// Places around each, perhaps several of one region, perhaps of itself.
    around: Vec<Vec<u32>>,
}

impl Regions {
    fn new(features: Features<'_>) -> Self {
        let count = features.values.len() / features.dim;
        Self {
            dim: features.dim,
            means: features.values.to_vec(),
            sizes: vec![1; count],
            versions: vec![0; count],
            into: (0..count as u32).collect(),
            around: vec![Vec::new(); count],
        }
    }

    fn mean(&self, region: u32) -> &[f32] {
        &self.means[region as usize * self.dim..][..self.dim]
    }

    fn pair(&self, a: u32, b: u32) -> Pair {
        let (a, b) = (a.min(b), a.max(b));
        let squared = squared_distance(self.mean(a), self.mean(b));
        let [m, n] = [a, b].map(|i| f64::from(self.sizes[i as usize]));
        Pair { cost: m * n / (m + n) * squared, a, b, versions: [a, b].map(|i| self.versions[i as usize]) }
    }

    fn unite(&mut self, a: u32, b: u32) {
        let [m, n] = [a, b].map(|i| self.sizes[i as usize] as f32);
        let (before, after) = self.means.split_at_mut(b as usize * self.dim);
        for (x, y) in before[a as usize * self.dim..][..self.dim].iter_mut().zip(&after[..self.dim]) {
            *x = (*x * m + *y * n) / (m + n);
        }
        self.sizes[a as usize] += self.sizes[b as usize];
        self.versions[a as usize] += 1;
        self.versions[b as usize] += 1;
        self.into[b as usize] = a;
        // The shorter list goes to the longer one.
        let mut more = std::mem::take(&mut self.around[b as usize]);
        let own = &mut self.around[a as usize];
        if more.len() > own.len() {
            std::mem::swap(own, &mut more);
        }
        own.extend(more);
    }

    /// The region that a place is in; the way there is made short for the next.
    fn region(&mut self, place: u32) -> u32 {
        let mut at = place;
        while self.into[at as usize] != at {
            let above = self.into[self.into[at as usize] as usize];
            self.into[at as usize] = above;
            at = above;
        }
        at
    }

    /// The regions around one, each once, in ascending order.
    fn neighbours(&mut self, region: u32) -> Vec<u32> {
        let mut around = std::mem::take(&mut self.around[region as usize]);
        for place in &mut around {
            *place = self.region(*place);
        }
        around.sort_unstable();
        around.dedup();
        around.retain(|&other| other != region);
        self.around[region as usize].clone_from(&around);
        around
    }
}

#[cfg(test)]
mod tests;
