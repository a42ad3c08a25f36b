//! A complete run by library calls: `cargo run --release --example run -- FOLDER`. Writes `example-cache/` and
//! `example.jpg`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use tsne_grid::config::{ModelName, PartialSettings, Settings};
use tsne_grid::model::Hub;
use tsne_grid::photo::Budget;
use tsne_grid::pipeline::{self, Request};
use tsne_grid::report::Silent;
use tsne_grid::stage::{Session, Stage};
use tsne_grid::store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: run FOLDER")?;
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
        flags: PartialSettings::new(),
        publishing: None,
        shard_input: None,
    };
    let store = Store::new("example-cache");
    let session = Session { store, reporter, budget: Budget::new(1 << 30), links_latest: true };

    let outcome = pipeline::run(&session, &request, Stage::Render)?;
    let embedded = outcome.embedded.ok_or("nothing was embedded")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} pictures, {} of them new: example.jpg", embedded.counts.pictures, embedded.counts.embedded)?;
    Ok(())
}
