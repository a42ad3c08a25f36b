//! Principal components of the vectors, with outliers moved closer. The vectors of a large collection are streamed from
//! disk and never held in memory as a whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::Session;
use crate::artifact::rows::ProjectRow;
use crate::artifact::vectors::Vectors;
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::Metric;
use crate::linalg;
use crate::report::group_digits;
use crate::store::{Digest, Scratch};

/// Up to this many bytes of vectors are put in order in memory, more on disk.
const IN_MEMORY: usize = 256 << 20;

/// The ids of pictures, and the principal components of their vectors, in the same order.
pub type NamedPoints = (Vec<ImageId>, linalg::Matrix);

/// The components that were computed last, because several stages of one run need the same ones.
#[derive(Default)]
pub struct ComponentsCache(Mutex<Option<(ComponentsKey, Arc<NamedPoints>)>>);

/// Everything that the components depend on.
#[derive(Clone, Copy, PartialEq)]
struct ComponentsKey {
    index: Digest,
    metric: Metric,
    count: usize,
    seed: u64,
}

/// The vectors by which pictures are compared, and the metric.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// The index of the vectors.
    pub index: &'a Artifact,
    /// The distance between two vectors.
    pub metric: Metric,
    /// Components that were computed before.
    pub cache: &'a ComponentsCache,
}

impl Features<'_> {
    /// The ids of the pictures and the first `count` principal components of their vectors, in the order of the index.
    /// If this is not a reduction (`count` is 0 or not less than the length of the vectors, or there is one picture),
    /// the result has the vectors themselves.
    ///
    /// Each shard is read once. The order of the shards depends on when pictures were added, the order of the index
    /// does not. The vectors are therefore first put in the order of the index, in memory or on disk, and the passes of
    /// the PCA read them from there. This makes the sums independent of the history of the cache.
    ///
    /// # Errors
    /// When a shard is missing or damaged, a number is not finite, or the disk is full.
    pub fn components(&self, session: &Session, count: usize, seed: u64) -> Result<Arc<NamedPoints>> {
        let key = ComponentsKey { index: self.index.header.content, metric: self.metric, count, seed };
        let mut cache = self.cache.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, points)) = cache.as_ref().filter(|(cached, _)| *cached == key) {
            return Ok(Arc::clone(points));
        }
        // The old components are dropped first, so that both are never in memory together.
        *cache = None;
        let points = Arc::new(self.components_within(session, count, seed, IN_MEMORY)?);
        *cache = Some((key, Arc::clone(&points)));
        Ok(points)
    }

    /// The components of the pictures of a projection, in the order of its rows.
    ///
    /// # Errors
    /// Like those of [`components`](Self::components); also when a picture is not in the index.
    pub fn components_of(&self, session: &Session, rows: &[ProjectRow], count: usize) -> Result<linalg::Matrix> {
        let found = self.components(session, count, 0)?;
        let (names, points) = &*found;
        let index_of: HashMap<&ImageId, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
        let indices: Option<Vec<usize>> = rows.iter().map(|row| index_of.get(&row.image).copied()).collect();
        let indices = indices.context("the projection has pictures that have no vector; run `project` again")?;
        if indices.len() == names.len() && indices.is_sorted() {
            return Ok(points.clone());
        }
        let values = indices.iter().flat_map(|&i| points.row(i)).copied().collect();
        Ok(linalg::Matrix::new(indices.len(), linalg::Rows::dim(points), values)?)
    }

    fn components_within(&self, session: &Session, count: usize, seed: u64, in_memory: usize) -> Result<NamedPoints> {
        let (names, dim) = shards::names_and_dim(self.index)?;
        if !reduces(count, dim, names.len()) || 4 * dim * names.len() <= in_memory {
            return of_vectors(session, shards::load(&session.store, self.index)?, count, seed, self.metric);
        }
        let rows = OnDisk { scratch: session.store.scratch()?, len: names.len(), dim };
        let mut vector = vec![0.0; dim];
        let bar = session.reporter.progress("reading vectors", names.len() as u64, false);
        shards::visit_index(&session.store, self.index, |i, found| {
            vector.copy_from_slice(found);
            apply_metric(&mut vector, self.metric);
            rows.scratch.write(i * dim, &vector)?;
            bar.advance(1);
            session.check_interrupted()
        })?;
        drop(bar);
        // The passes of the PCA report their own progress.
        let rows = linalg::ShrunkOutliers::new(&rows)?;
        warn_of_outliers(session, rows.outliers(), &names);
        Ok((names, components(session, &rows, count, seed)?))
    }
}

/// Like [`Features::components`], for vectors in memory and in their own order.
///
/// # Errors
/// When a number is not finite.
pub fn of_vectors(session: &Session, vectors: Vectors, count: usize, seed: u64, metric: Metric) -> Result<NamedPoints> {
    let Vectors { names, dim, mut values, .. } = vectors;
    values.chunks_exact_mut(dim.max(1)).for_each(|vector| apply_metric(vector, metric));
    let points = linalg::Matrix::new(names.len(), dim, values)?;
    let rows = linalg::ShrunkOutliers::new(&points)?;
    warn_of_outliers(session, rows.outliers(), &names);
    if reduces(count, dim, names.len()) {
        let points = components(session, &rows, count, seed)?;
        return Ok((names, points));
    }
    let shrunk = if rows.outliers().is_empty() { None } else { Some(rows.to_matrix()?) };
    Ok((names, shrunk.unwrap_or(points)))
}

/// Warns about the outliers, in one line.
fn warn_of_outliers(session: &Session, outliers: &[linalg::Outlier], names: &[ImageId]) {
    let (comparison, consequence) =
        ("as far from the centre as others", "moved closer, so that it does not spoil the layout of the rest");
    match outliers {
        [] => {}
        [outlier] => session.warn(format!(
            "the vector of {} lies {:.0e} times {comparison}; it is {consequence}",
            names[outlier.row], outlier.ratio
        )),
        [first, rest @ ..] => session.warn(format!(
            "the vectors of {} and {} more lie over 1,000 times {comparison}; each is {consequence}",
            names[first.row],
            group_digits(rest.len())
        )),
    }
}

/// Whether `count` components are fewer than the numbers of a vector.
fn reduces(count: usize, dim: usize, rows: usize) -> bool {
    count > 0 && dim > count && rows > 1
}

fn components(session: &Session, rows: &dyn linalg::Rows, count: usize, seed: u64) -> Result<linalg::Matrix> {
    let _spinner = session.reporter.progress("principal components", 0, false);
    let pca = linalg::pca(rows, count, seed)?;
    Ok(linalg::Matrix::new(pca.len, pca.components, pca.scores)?)
}

/// Prepares a vector so that the Euclidean distance corresponds to the metric. For the cosine, it is scaled to length
/// 1: on the unit sphere the squared distance is 2 - 2 cos(angle), which grows with the angle. A vector of zeros has no
/// direction and stays as it is.
fn apply_metric(vector: &mut [f32], metric: Metric) {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if metric == Metric::Cosine && length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

/// Vectors in a temporary file, row after row.
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
    use std::collections::BTreeSet;
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
        values.chunks_exact_mut(2).for_each(|vector| apply_metric(vector, Metric::Cosine));
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
            // Names whose order differs from the order in which they are added.
            names: (from..to).map(|i| ImageId::from(&*format!("{:04}", i * 271 % 1000))).collect(),
            dim,
            values: (from * dim..to * dim).map(value).collect(),
            norms: Vec::new(),
        };
        let params = json!({"model": "m"});
        let results: Vec<_> = [(vec![rows], usize::MAX), (vec![rows], 0), (vec![100, 333, rows], 0)]
            .into_iter()
            .enumerate()
            .map(|(case, (ends, in_memory))| {
                let store = Store::new(dir.path().join(case.to_string()));
                let mut from = 0;
                for to in ends {
                    let mut embeddings =
                        shards::EmbeddingStore::open(&store, &params, (dim, false), &BTreeSet::new(), |warning| {
                            panic!("{warning}")
                        });
                    embeddings.commit(vectors(from, to)).unwrap();
                    embeddings.seal().unwrap();
                    from = to;
                }
                let embeddings =
                    shards::EmbeddingStore::open(&store, &params, (dim, false), &BTreeSet::new(), |warning| {
                        panic!("{warning}")
                    });
                let (rows, _) = embeddings.index(&embeddings.names()).unwrap();
                let found = EmbedFindings { dim, repo: None, revision: None };
                let index = Artifact::new(EmbedRow::key(params.clone(), []), EmbedRow::to_batch(&rows), found.to_map());
                let (reporter, budget) = (Arc::new(Silent), Budget::new(1 << 30));
                let session = Session { store, reporter, budget, links_latest: false };
                let features = Features { index: &index, metric: Metric::Cosine, cache: &ComponentsCache::default() };
                features.components_within(&session, 20, 1, in_memory).unwrap()
            })
            .collect();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
        assert_eq!(linalg::Rows::dim(&results[0].1), 20);
    }
}
