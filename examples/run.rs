//! A whole run as a library call: `cargo run --release --example run -- FOLDER`, into `example-cache/` and `example.jpg`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use tsne_grid::config::{Asked, ModelName, Settings};
use tsne_grid::model::Hub;
use tsne_grid::photo::Budget;
use tsne_grid::pipeline::{self, Request};
use tsne_grid::report::Silent;
use tsne_grid::stage::{Context, Stage};
use tsne_grid::store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name a folder of pictures")?;
    let mut settings = Settings::default();
    settings.embed.model = ModelName::Scattering;
    settings.render.output = "example.jpg".into();
    settings.render.page = false;
    let reporter = Arc::new(Silent);
    let hub = Hub { models: Store::new("models"), offline: true, reporter: reporter.clone() };
    let request = Request {
        sources: vec![folder],
        settings,
        hub,
        relayout: false,
        keep: false,
        replace: false,
        asked: Asked::new(),
        publishing: None,
        gathering: None,
    };
    let store = Store::new("example-cache");
    let ctx = Context { store, reporter, budget: Budget::new(1 << 30), keep_latest: true };

    let outcome = pipeline::run(&ctx, &request, Stage::Render)?;
    let embedded = outcome.embedded.ok_or("there is nothing to embed")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} pictures, {} of them new: example.jpg", embedded.counts.pictures, embedded.counts.embedded)?;
    Ok(())
}
