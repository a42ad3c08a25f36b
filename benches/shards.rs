//! Measures principal components and neighbours of long vectors, which are read from shards as `project` reads them.
//!
//!   cargo bench --bench shards -- make CACHE ROWS COLUMNS
//!   /usr/bin/time -v target/release/deps/shards-… run CACHE
//!
//! The vectors resemble those after a ReLU: mixtures of 200 random directions with decreasing weights, plus noise, with
//! negative values set to 0. A separate process writes them, so that the peak memory of the measurement is that of the
//! stage.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tsne_grid::artifact::rows::{EmbedRow, Row};
use tsne_grid::artifact::vectors::Vectors;
use tsne_grid::artifact::{Artifact, ImageId, shards};
use tsne_grid::config::Metric;
use tsne_grid::linalg::{SplitMix64, neighbours};
use tsne_grid::photo::Budget;
use tsne_grid::report::Silent;
use tsne_grid::stage::Session;
use tsne_grid::stage::components::{ComponentsCache, Features};
use tsne_grid::store::{Key, Store};

fn make(session: &Session, rows: usize, dim: usize) {
    const RANK: usize = 200;
    let mut random = SplitMix64::new(1);
    // Uniform from -1 to 1; the mean of the squares is 1/3.
    let mut next = || (random.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let directions: Vec<f32> = (0..RANK * dim).map(|_| next()).collect();
    let params = serde_json::json!({ "model": "made up" });
    let mut embeddings =
        shards::EmbeddingStore::open(&session.store, &params, (dim, false), &BTreeSet::new(), |damage| {
            panic!("{damage}")
        });
    for first in (0..rows).step_by(500) {
        let names: Vec<ImageId> =
            (first..rows.min(first + 500)).map(|i| ImageId::from(&*format!("{i:064x}"))).collect();
        let mut values = Vec::with_capacity(names.len() * dim);
        for _ in &names {
            let mut vector: Vec<f32> = (0..dim).map(|_| 0.3 * next()).collect();
            for (rank, direction) in directions.chunks_exact(dim).enumerate() {
                let weight = 3.0 * next() / (1.0 + rank as f32).sqrt();
                vector.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
            }
            values.extend(vector.into_iter().map(|x| x.max(0.0)));
        }
        embeddings.commit(Vectors { names, values, ..Vectors::empty(dim) }).expect("a part is written");
    }
    embeddings.seal().expect("shards are written");
    let embeddings = shards::EmbeddingStore::open(&session.store, &params, (dim, false), &BTreeSet::new(), |damage| {
        panic!("{damage}")
    });
    let (rows, _) = embeddings.index(&embeddings.names()).expect("an index");
    let key = Key { stage: EmbedRow::STAGE.into(), version: EmbedRow::FORMAT, params, inputs: BTreeMap::new() };
    let facts = BTreeMap::from([("dim".to_owned(), dim.to_string())]);
    let made = session.publish(Artifact::new(key, EmbedRow::to_batch(&rows), facts)).expect("the index is written");
    session.link_latest(&made).expect("the index is linked");
}

fn run(session: &Session) {
    let index = session.earlier_artifacts(EmbedRow::STAGE).next().expect("a cache that `make` has filled").artifact;
    let start = Instant::now();
    let features = Features { index: &index, metric: Metric::Euclidean, cache: &ComponentsCache::default() };
    let made = features.components(session, 50, 0).expect("components");
    let (names, points) = &*made;
    let components = start.elapsed().as_secs_f64();
    let near = neighbours(points, 90).expect("neighbours");
    let all = start.elapsed().as_secs_f64();
    println!("n={} {all:.3} s, of which neighbours {:.3} s; k={}", names.len(), all - components, near.k);
}

fn main() {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let session = |cache| Session {
        store: Store::new(cache),
        reporter: Arc::new(Silent),
        budget: Budget::new(1 << 30),
        links_latest: true,
    };
    match words[..] {
        ["make", cache, rows, dim] => make(&session(cache), rows.parse().expect("rows"), dim.parse().expect("columns")),
        ["run", cache] => run(&session(cache)),
        _ => println!("usage: make CACHE ROWS COLUMNS | run CACHE"),
    }
}
