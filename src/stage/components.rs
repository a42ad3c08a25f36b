//! Vectors, those far out drawn in, cut down to their principal components; a collection's vectors are never all in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::Context;
use crate::artifact::rows::ProjectRow;
use crate::artifact::vectors::Vectors;
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::Metric;
use crate::linalg;
use crate::report::thousands;
use crate::store::{Digest, Scratch};

/// Vectors that take more than this many bytes are put in order on disk.
const IN_MEMORY: usize = 256 << 20;

/// Names of pictures, and the first components of their vectors.
pub type Points = (Vec<ImageId>, linalg::Matrix);

/// The components that were made last: of one run several stages need the same.
#[derive(Default)]
pub struct Kept(Mutex<Option<(Wanted, Arc<Points>)>>);

/// Whose components, how many, and by what.
#[derive(Clone, Copy, PartialEq)]
struct Wanted {
    index: Digest,
    metric: Metric,
    count: usize,
    seed: u64,
}

/// What pictures are compared by: the vectors of an index, and how far apart two of them are.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// The index.
    pub index: &'a Artifact,
    /// How far apart two vectors are.
    pub metric: Metric,
    /// Those made before.
    pub kept: &'a Kept,
}

impl Features<'_> {
    /// The first `count` principal components of the vectors, in the order of the index, and the pictures'
    /// names. Where that would be no reduction (0 components, or as many as the vectors are long) these are
    /// the vectors themselves.
    ///
    /// The shards are read once, one at a time. Their order depends on when pictures were added, that
    /// of the index does not: so that sums come out the same, the vectors are first put in the index's
    /// order, in memory or on disk, and the passes of the PCA run over that.
    ///
    /// # Errors
    /// When a shard is missing or damaged, a number is not finite, or the disk is full.
    pub fn components(&self, ctx: &Context, count: usize, seed: u64) -> Result<Arc<Points>> {
        let wanted = Wanted { index: self.index.header.content, metric: self.metric, count, seed };
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, points)) = kept.as_ref().filter(|(made, _)| *made == wanted) {
            return Ok(Arc::clone(points));
        }
        // Those are of no more use, and there may be many.
        *kept = None;
        let points = Arc::new(self.components_within(ctx, count, seed, IN_MEMORY)?);
        *kept = Some((wanted, Arc::clone(&points)));
        Ok(points)
    }

    /// The same of the pictures of a projection, in their order.
    ///
    /// # Errors
    /// As [`components`](Self::components), and when one of them is not in the index.
    pub fn components_of(&self, ctx: &Context, rows: &[ProjectRow], count: usize) -> Result<linalg::Matrix> {
        let made = self.components(ctx, count, 0)?;
        let (names, points) = &*made;
        let number: HashMap<&ImageId, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
        let numbers: Option<Vec<usize>> = rows.iter().map(|row| number.get(&row.image).copied()).collect();
        let numbers = numbers.context("the projection is of other pictures than the vectors; run project again")?;
        if numbers.len() == names.len() && numbers.is_sorted() {
            return Ok(points.clone());
        }
        let values = numbers.iter().flat_map(|&i| points.row(i)).copied().collect();
        Ok(linalg::Matrix::new(numbers.len(), linalg::Rows::dim(points), values)?)
    }

    fn components_within(&self, ctx: &Context, count: usize, seed: u64, in_memory: usize) -> Result<Points> {
        let (names, dim) = shards::names_and_length(self.index)?;
        if !reduces(count, dim, names.len()) || 4 * dim * names.len() <= in_memory {
            return of_vectors(ctx, shards::load(&ctx.store, self.index)?, count, seed, self.metric);
        }
        let rows = OnDisk { scratch: ctx.store.scratch()?, len: names.len(), dim };
        let mut vector = vec![0.0; dim];
        let bar = ctx.reporter.bar("vectors", names.len() as u64, false);
        shards::visit_index(&ctx.store, self.index, |i, found| {
            vector.copy_from_slice(found);
            prepare(&mut vector, self.metric);
            rows.scratch.write(i * dim, &vector)?;
            bar.advance(1);
            ctx.go_on()
        })?;
        drop(bar);
        let rows = linalg::DrawnIn::new(&rows)?;
        tell_of_far(ctx, rows.far(), &names);
        Ok((names, components(ctx, &rows, count, seed)?))
    }
}

/// The same of vectors in memory.
///
/// # Errors
/// When a number is not finite.
pub fn of_vectors(ctx: &Context, vectors: Vectors, count: usize, seed: u64, metric: Metric) -> Result<Points> {
    let Vectors { names, dim, mut values, .. } = vectors;
    values.chunks_exact_mut(dim.max(1)).for_each(|vector| prepare(vector, metric));
    let points = linalg::Matrix::new(names.len(), dim, values)?;
    let rows = linalg::DrawnIn::new(&points)?;
    tell_of_far(ctx, rows.far(), &names);
    if reduces(count, dim, names.len()) {
        let points = components(ctx, &rows, count, seed)?;
        return Ok((names, points));
    }
    let drawn = if rows.far().is_empty() { None } else { Some(rows.to_matrix()?) };
    Ok((names, drawn.unwrap_or(points)))
}

/// Says which vectors are drawn in, in one line.
fn tell_of_far(ctx: &Context, far: &[linalg::Far], names: &[ImageId]) {
    let (what, why) =
        ("as far from the middle as others", "drawn in, so that it does not spoil the layout of the rest");
    match far {
        [] => {}
        [far] => ctx.warn(format!("the vector of {} lies {:.0e} times {what}; it is {why}", names[far.row], far.ratio)),
        [far, rest @ ..] => ctx.warn(format!(
            "the vectors of {} and {} more lie over 1,000 times {what}; each is {why}",
            names[far.row],
            thousands(rest.len())
        )),
    }
}

fn reduces(count: usize, dim: usize, rows: usize) -> bool {
    count > 0 && dim > count && rows > 1
}

fn components(ctx: &Context, rows: &dyn linalg::Rows, count: usize, seed: u64) -> Result<linalg::Matrix> {
    let _spinner = ctx.reporter.bar("principal components", 0, false);
    let pca = linalg::pca(rows, count, seed)?;
    Ok(linalg::Matrix::new(pca.len, pca.components, pca.scores)?)
}

/// What a metric does to a vector before straight distances are taken. For the angle it is scaled to length 1: on the
/// unit sphere those grow with it, also after PCA. One without a direction stays where it is.
fn prepare(vector: &mut [f32], metric: Metric) {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if metric == Metric::Cosine && length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

struct OnDisk {
    scratch: Scratch,
    len: usize,
    dim: usize,
}

impl linalg::Rows for OnDisk {
    fn len(&self) -> usize {
        self.len
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), linalg::ReadError> {
        Ok(self.scratch.read(first * self.dim, out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::findings::EmbedFindings;
    use crate::artifact::rows::{EmbedRow, Row};
    use crate::photo::Budget;
    use crate::report::Silent;
    use crate::store::Store;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn the_cosine_orders_by_angle_and_by_nothing_else() {
        // Angles in degrees, with lengths that would order them otherwise; the last has no direction.
        let polar = [(0.0f64, 1e-20), (10.0, 5.0), (25.0, 1e15), (70.0, 0.1), (180.0, 1.0), (0.0, 0.0)];
        let mut values: Vec<f32> = polar
            .iter()
            .flat_map(|(angle, length)| [length * angle.to_radians().cos(), length * angle.to_radians().sin()])
            .map(|x| x as f32)
            .collect();
        values.chunks_exact_mut(2).for_each(|vector| prepare(vector, Metric::Cosine));
        assert_eq!(values[10..], [0.0, 0.0]);
        let found = linalg::neighbours(&linalg::Matrix::new(6, 2, values).unwrap(), 5).unwrap();
        // The one without a direction is at distance 1 of every other, as are 60 degrees.
        assert_eq!(found.index[..5], [1, 2, 5, 3, 4]);
        for (&index, &distance) in found.index[..5].iter().zip(&found.distance) {
            let expected =
                if index == 5 { 1.0 } else { (2.0 - 2.0 * polar[index as usize].0.to_radians().cos()).sqrt() };
            assert!((f64::from(distance) - expected).abs() < 1e-6, "{index}: {distance}, {expected}");
        }
    }

    #[test]
    fn on_disk_and_in_memory_are_the_same_to_the_bit_however_the_shards_came_about() {
        let dir = tempfile::tempdir().unwrap();
        let (rows, dim) = (700, 400);
        let value = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f32 / 1000.0;
        let vectors = |from: usize, to: usize| Vectors {
            // Names that sort in another order than that in which they are added.
            names: (from..to).map(|i| ImageId::from(&*format!("{:04}", i * 271 % 1000))).collect(),
            dim,
            values: (from * dim..to * dim).map(value).collect(),
            lengths: Vec::new(),
        };
        let params = json!({"model": "m"});
        let results: Vec<_> = [(vec![rows], usize::MAX), (vec![rows], 0), (vec![100, 333, rows], 0)]
            .into_iter()
            .enumerate()
            .map(|(case, (ends, in_memory))| {
                let store = Store::new(dir.path().join(case.to_string()));
                let mut from = 0;
                for to in ends {
                    let mut library =
                        shards::Library::open(&store, &params, (dim, false), |warning| panic!("{warning}"));
                    library.commit(vectors(from, to)).unwrap();
                    library.seal().unwrap();
                    from = to;
                }
                let library = shards::Library::open(&store, &params, (dim, false), |warning| panic!("{warning}"));
                let (rows, _) = library.index(&library.names()).unwrap();
                let found = EmbedFindings { dim, repo: None, revision: None };
                let index = Artifact::new(EmbedRow::key(params.clone(), []), EmbedRow::to_batch(&rows), found.facts());
                let (reporter, budget) = (Arc::new(Silent), Budget::new(1 << 30));
                let ctx = Context { store, reporter, budget, keep_latest: false };
                let features = Features { index: &index, metric: Metric::Cosine, kept: &Kept::default() };
                features.components_within(&ctx, 20, 1, in_memory).unwrap()
            })
            .collect();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
        assert_eq!(linalg::Rows::dim(&results[0].1), 20);
    }
}
