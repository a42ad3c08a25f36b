//! Measures how long the groups of 100,000 pictures take, with names from the words of a model, from input tables to
//! table.
//!
//!     cargo bench --bench groups

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tsne_grid::artifact::rows::{AssignRow, Row, WordRow};
use tsne_grid::artifact::{Artifact, Findings, ImageId};
use tsne_grid::linalg::SplitMix64;
use tsne_grid::model::vocabulary::IMAGENET_WORDS;
use tsne_grid::photo::Budget;
use tsne_grid::report::Silent;
use tsne_grid::stage::{Session, groups};
use tsne_grid::store::Store;

const WIDTH: usize = 317;
const PICTURES: usize = 100_000;

fn main() {
    let classes: Vec<Vec<&str>> = IMAGENET_WORDS
        .lines()
        .map(|line| {
            line.split('\t').skip(1).flat_map(|words| words.split(", ")).filter(|word| !word.is_empty()).collect()
        })
        .collect();
    let mut random = SplitMix64::new(1);
    let (mut wall, mut words) = (Vec::new(), Vec::new());
    for i in 0..PICTURES {
        let image = ImageId::of(&i.to_le_bytes());
        let (row, col) = ((i / WIDTH) as u32, (i % WIDTH) as u32);
        wall.push(AssignRow { image: image.clone(), row, col, x: f64::from(col), y: f64::from(row), cost: 0.0 });
        // Each square of ten by ten pictures has one class, or one of the two after it.
        let class = (i % WIDTH / 10 * 31 + i / WIDTH / 10 + random.below(3) as usize) % classes.len();
        for (word, rank) in classes[class].iter().zip(1..) {
            let score = random.between(0.5, 1.0);
            words.push(WordRow { image: image.clone(), word: (*word).to_owned(), score, rank, broader: rank > 1 });
        }
    }
    let table = |key, batch| Artifact::new(key, batch, Findings::new());
    let assigned = table(AssignRow::key(json!({}), []), AssignRow::to_batch(&wall));
    let words = table(WordRow::key(json!({}), []), WordRow::to_batch(&words));
    for round in 0..3 {
        let dir = tempfile::tempdir().expect("a folder");
        let (reporter, budget) = (Arc::new(Silent), Budget::new(1 << 30));
        let session = Session { store: Store::new(dir.path()), reporter, budget, links_latest: true };
        let began = Instant::now();
        let input = groups::GroupInput { assigned: &assigned, words: Some(&words), images: &[], fields: &[] };
        let made = groups::state(&session, input).get_or_make(&session).expect("groups");
        println!("{round}: {:.2} s, {} rows", began.elapsed().as_secs_f64(), made.artifact.batch.num_rows());
    }
}
