//! Measures `search` among 10,000 pictures, without loading the model: the vector of the text, and the ranking.
//!
//!     scripts/measure/models.py weights clip-vit-base-patch32 DIR
//!     cargo bench --bench search -- DIR/model.safetensors

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tsne_grid::artifact::rows::{ImageRow, Row};
use tsne_grid::artifact::shards::EmbeddingStore;
use tsne_grid::artifact::vectors::Vectors;
use tsne_grid::artifact::{Artifact, ImageId};
use tsne_grid::config::{EmbedSettings, ModelName, PictureKind};
use tsne_grid::model::Hub;
use tsne_grid::model::text::{DualEncoder, TextEncoder};
use tsne_grid::photo::Format;
use tsne_grid::report::Silent;
use tsne_grid::search;
use tsne_grid::store::{Durability, Key, Store};

const PICTURES: usize = 10_000;
const DIM: usize = 512;

/// Fills a cache with `PICTURES` pictures, as a run would.
fn fill(store: &Store, params: &serde_json::Value) {
    let mut embeddings =
        EmbeddingStore::open(store, params, (DIM, false), &BTreeSet::new(), |damage| panic!("{damage}"));
    let names: Vec<ImageId> = (0..PICTURES).map(|i| ImageId::of(&i.to_le_bytes())).collect();
    let values = names.iter().flat_map(|name| name.bytes().cycle().take(DIM)).map(|byte| f32::from(byte) - 70.0);
    embeddings.commit(Vectors { names: names.clone(), values: values.collect(), ..Vectors::empty(DIM) }).unwrap();
    embeddings.seal().unwrap();
    let rows: Vec<ImageRow> = names.iter().enumerate().map(|(i, image)| row(i, image)).collect();
    let key = Key { stage: ImageRow::STAGE.into(), version: 1, params: json!({}), inputs: BTreeMap::new() };
    let artifact = Artifact::new(key.clone(), ImageRow::to_batch(&rows), BTreeMap::new());
    let bytes = artifact.encode().unwrap();
    let path = store.publish(ImageRow::STAGE, &key.digest(), "parquet", Durability::Relaxed, &bytes).unwrap();
    store.set_latest("images.parquet", &path).unwrap();
    assert_eq!(embeddings.names(), names.into_iter().collect::<BTreeSet<_>>());
}

fn row(i: usize, image: &ImageId) -> ImageRow {
    ImageRow {
        image: image.clone(),
        path: format!("photos/{i:05}.jpg"),
        source: "photos".into(),
        kind: PictureKind::File,
        bytes: 100_000,
        width: 800,
        height: 600,
        format: Format::Jpeg,
        taken_at: None,
        taken_from: None,
        taken_precision: None,
        caption: Some(format!("picture number {i}, on a beach, with a caption of the usual length").into()),
        post: None,
        carousel_index: None,
        uri: None,
        duplicate_of: None,
        damage: None,
    }
}

fn main() {
    let Some(weights) = std::env::args().skip(1).find(|arg| arg.ends_with(".safetensors")) else {
        println!("usage: DIR/model.safetensors (see the top of benches/search.rs)");
        return;
    };
    let dir = std::env::temp_dir().join(format!("tsne-grid-search-{}", std::process::id()));
    let store = Store::new(&dir);
    let params = json!({"model": ModelName::Clip, "bench": PICTURES});
    fill(&store, &params);
    let hub = Hub { models: Store::new(dir.join("models")), offline: true, reporter: Arc::new(Silent) };
    let settings = EmbedSettings { model: ModelName::Clip, weights: weights.into(), ..EmbedSettings::default() };
    let started = Instant::now();
    let texts = TextEncoder::load(DualEncoder::by_name(ModelName::Clip).expect("CLIP reads"), &settings, &hub).unwrap();
    println!("load     {:?}", started.elapsed());
    let mut times: Vec<(Duration, Duration)> = (0..7)
        .map(|_| {
            let started = Instant::now();
            let query = texts.embed("a dog on a beach").unwrap();
            let embedded = started.elapsed();
            let pictures = search::pictures(&store).unwrap();
            let hits = search::rank(&store, pictures, &params, &query, |warning| panic!("{warning}")).unwrap();
            assert_eq!(hits.len(), PICTURES);
            (embedded, started.elapsed())
        })
        .collect();
    times.sort_by_key(|times| times.1);
    let (text, all) = times[times.len() / 2];
    println!("search   {all:?} of {PICTURES} pictures, of that the text {text:?} (median of {})", times.len());
    std::fs::remove_dir_all(dir).unwrap();
}
