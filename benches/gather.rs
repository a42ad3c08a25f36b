//! Writes the list and the shards of a collection that does not exist, to measure what it takes to join them.
//!
//!     cargo bench --bench gather -- FOLDER ROWS NUMBERS
//!     /usr/bin/time -v target/release/tsne-grid embed --list FOLDER/list.parquet --shards FOLDER/shards \
//!         --model scattering --cache FOLDER/cache
//!
//! NUMBERS is the length of a vector. The model's own, 1,149, makes 4.6 GB of a million rows; with a smaller one, the
//! disk has room for more rows.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tsne_grid::artifact::input_list::{InspectionRow, ListFile, ListRow, encode};
use tsne_grid::artifact::rows::Row;
use tsne_grid::artifact::vectors::Vectors;
use tsne_grid::artifact::{DateOrigin, DateProvider, Findings, ImageId, Time};
use tsne_grid::config::{EmbedSettings, LimitSettings, ModelName, SourceSettings};
use tsne_grid::model::{self, Hub};
use tsne_grid::photo::Format;
use tsne_grid::report::Silent;
use tsne_grid::stage::embed::{DistributedEmbedding, ListShare, PART_ROWS, PartContents, SharePart};
use tsne_grid::store::{SharedStore, Store, replace_file};

/// A row as `list` writes it for a photograph in a folder of photographs.
fn list_row(row: usize) -> ListRow {
    ListRow {
        bytes: Some(2_000_000),
        size: Some(2_000_000),
        inode: Some(row as u64),
        modified_ns: Some(1_700_000_000_000_000_000),
        changed_ns: Some(1_700_000_000_000_000_000),
        ..ListRow::unread(format!("2024/{:03}/IMG_{row:08}.jpg", row / 10_000), "photos".into())
    }
}

/// What a machine finds out about that photograph.
fn inspection(row: usize) -> InspectionRow {
    InspectionRow {
        row: row as u64,
        image: Some(ImageId::of(&row.to_le_bytes())),
        bytes: 2_000_000,
        format: Some(Format::Jpeg),
        width: 4000,
        height: 3000,
        damage: None,
        taken_at: Time::from_seconds(1_700_000_000 + row as i64).ok(),
        taken_from: Some(DateOrigin { provider: DateProvider::Exif, utc: false }),
        reason: None,
        detail: None,
    }
}

fn main() -> anyhow::Result<()> {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [folder, rows, dim] = &args[..] else {
        println!("usage: FOLDER ROWS NUMBERS (see the top of benches/gather.rs)");
        return Ok(());
    };
    let (folder, rows, dim) = (Path::new(folder), rows.parse::<usize>()?, dim.parse::<usize>()?);
    anyhow::ensure!(!folder.exists(), "{} exists; what it holds would be reused", folder.display());
    let store = Store::new(folder.join("cache"));
    let settings = EmbedSettings { model: ModelName::Scattering, ..EmbedSettings::default() };
    let hub = Hub { models: Store::new(folder.join("models")), offline: true, reporter: Arc::new(Silent) };
    let mut spec = model::resolve(&settings, &hub)?;
    spec.dim = dim;

    let list = folder.join("list.parquet");
    let facts = Findings::from([("sources".to_owned(), json!([["photos", "/photos"]]).to_string())]);
    let key = ListRow::key(json!({ "source": SourceSettings::default() }), []);
    let table = encode(key, facts, rows, |first, last| (first..last).map(list_row).collect())?;
    std::fs::create_dir_all(folder)?;
    replace_file(&list, |file| file.write_all(&table))?;

    let place = SharedStore::Folder(Store::new(folder.join("shards")));
    let list = ListFile::open(&list, &store)?;
    let sharing = DistributedEmbedding::new(list, place, &[], settings.decode, &LimitSettings::default());
    let share = ListShare { index: 0, count: 1 };
    for (number, first) in (0..rows).step_by(PART_ROWS).enumerate() {
        let part = first..rows.min(first + PART_ROWS);
        let names: Vec<ImageId> = part.clone().map(|row| ImageId::of(&row.to_le_bytes())).collect();
        let values = part.clone().flat_map(|row| (0..dim).map(move |column| (row + column) as f32)).collect();
        let vectors = Vectors { names, values, ..Vectors::empty(dim) };
        let contents = PartContents { found: part.map(inspection).collect(), vectors, tiles: Vec::new() };
        sharing.publish(SharePart { share, number }, &spec, contents, None)?;
    }
    println!("{rows} rows with vectors of {dim} numbers are in {}", folder.display());
    Ok(())
}
