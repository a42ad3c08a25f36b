//! Caches of older and newer versions of the program: they are neither trusted nor lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{Field, Schema};
use tsne_grid::artifact::Artifact;
use tsne_grid::artifact::rows::{EmbedRow, Row};
use tsne_grid::store::{Durability, Store};

use crate::sandbox::{Sandbox, picture, png, tables};
use crate::tables::{parquet, text};

const RUN: &str = "run photos --model scattering --perplexity 2 -o out.png";

/// Adds a column that this version does not know.
fn with_another_column(batch: &RecordBatch) -> RecordBatch {
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.insert(0, Arc::new(Field::new("from_the_future", arrow::datatypes::DataType::Int32, false)));
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.insert(0, Arc::new(Int32Array::from(vec![7; batch.num_rows()])));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Replaces the tables of the last run by those that another version would have written; returns their files.
fn as_of_another_version(sandbox: &Sandbox, change: impl Fn(&Artifact) -> Artifact) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = Store::new(sandbox.path("cache"));
    let mut files = BTreeMap::new();
    for stage in tables() {
        let ours = store.latest(&format!("{stage}.parquet")).unwrap();
        let theirs = change(&sandbox.artifact(stage));
        let (key, bytes) = (theirs.header.key.digest(), theirs.encode().unwrap());
        std::fs::remove_file(ours).unwrap();
        let path = store.publish(stage, &key, "parquet", Durability::Relaxed, &bytes).unwrap();
        store.set_latest(&format!("{stage}.parquet"), &path).unwrap();
        files.insert(path, bytes);
    }
    files
}

#[test]
fn tables_of_older_and_newer_versions_are_made_anew_and_left_alone() {
    for version in [0, 99] {
        let reason = format!("format {version} -> {}", EmbedRow::FORMAT);
        let sandbox = Sandbox::with_photos(9);
        sandbox.ok(RUN);
        let (reference, picture_before) = (sandbox.artifacts(), sandbox.read("out.png"));
        let theirs = as_of_another_version(&sandbox, |ours| {
            let mut key = ours.header.key.clone();
            key.version = version;
            Artifact::new(key, with_another_column(&ours.batch), ours.header.findings.clone())
        });
        let state = sandbox.ok(&RUN.replace("run", "status"));
        assert!(state.contains(&format!("embed    stale: {reason}")), "{state}");
        assert_eq!(sandbox.run("verify").code, 0);
        let ran = sandbox.run(RUN);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(!ran.stderr.contains("damaged") && !ran.stderr.contains("warning"), "{}", ran.stderr);
        // The results of this version are as before, and the files of the other version are still there.
        let after = sandbox.artifacts();
        assert!(reference.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "version {version}");
        assert!(theirs.iter().all(|(path, bytes)| std::fs::read(path).is_ok_and(|there| there == *bytes)));
        assert!(sandbox.read("out.png") == picture_before);
        assert!(sandbox.stages_run(RUN).is_empty());
        sandbox.ok("gc");
        sandbox.ok("export all.csv");
    }
}

/// Intact files of a kind that this version cannot read.
#[test]
fn tables_that_this_version_cannot_read_are_left_alone() {
    let sandbox = Sandbox::with_photos(9);
    sandbox.ok(RUN);
    let store = Store::new(sandbox.path("cache"));
    let mut strangers = Vec::new();
    for stage in tables() {
        let key = tsne_grid::store::Digest::of(stage.as_bytes());
        let path = store.publish(stage, &key, "parquet", Durability::Relaxed, b"PAR2: a format to come").unwrap();
        store.set_latest(&format!("{stage}.parquet"), &path).unwrap();
        strangers.push(path);
    }
    for line in [&RUN.replace("run", "status"), "verify", "export all.csv", "gc --dry-run"] {
        let ran = sandbox.run(line);
        assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{line}: {}", ran.stderr);
    }
    sandbox.put("photos/new.png", &png(&picture(50)));
    let ran = sandbox.run(RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.assigned().len(), 10);
    assert!(strangers.iter().all(|path| path.exists()), "{}", ran.stderr);
}

/// An inspection cache of another version is not used.
#[test]
fn what_another_version_remembers_of_inputs_is_read_again() {
    let sandbox = Sandbox::with_photos(9);
    sandbox.ok(RUN);
    let store = Store::new(sandbox.path("cache"));
    for name in store.names("seen") {
        let path = sandbox.path("cache/seen").join(name);
        let mut theirs = Artifact::decode(store.read(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        theirs.header.key.version = 99;
        let theirs = Artifact::new(theirs.header.key, with_another_column(&theirs.batch), BTreeMap::new());
        let place = tsne_grid::store::Digest::from_hex(&"0".repeat(64)).unwrap();
        // Under the name that this version looks for.
        let found = path.file_name().unwrap().to_str().unwrap()[..20].to_owned();
        let path = store.publish("seen", &place, "parquet", Durability::Relaxed, &theirs.encode().unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().replace(&"0".repeat(20), &found);
        std::fs::rename(&path, path.with_file_name(name)).unwrap();
    }
    let ran = sandbox.run(RUN);
    assert!(ran.code == 0 && ran.stderr.contains("nothing to do: 9 pictures"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
}

/// A folder of the user's that is called `cache` is not cleaned up.
#[test]
fn files_of_others_in_the_cache_are_left_alone() {
    let sandbox = Sandbox::with_photos(6);
    for name in ["cache/README.md", "cache/embed/notes.txt", "cache/project/x-y.parquet", "cache/latest/mine.parquet"] {
        sandbox.put(name, b"mine");
    }
    sandbox.ok(RUN);
    for line in ["verify", "gc", "gc --max-size 0", &RUN.replace("run", "status"), RUN] {
        assert_eq!(sandbox.run(line).code, 0, "{line}");
    }
    for name in ["cache/README.md", "cache/embed/notes.txt", "cache/project/x-y.parquet", "cache/latest/mine.parquet"] {
        assert_eq!(sandbox.read(name), b"mine", "{name}");
    }
}

#[test]
fn what_is_no_artifact_is_named_once_and_made_again() {
    let sandbox = Sandbox::with_photos(9);
    sandbox.ok(RUN);
    let (reference, store) = (sandbox.artifacts(), Store::new(sandbox.path("cache")));
    let foreign = parquet(vec![("word", text(&["no artifact"]))]);
    let mut names = Vec::new();
    for stage in tables() {
        let key = sandbox.artifact(stage).header.key.digest();
        std::fs::remove_file(store.latest(&format!("{stage}.parquet")).unwrap()).unwrap();
        let path = store.publish(stage, &key, "parquet", Durability::Relaxed, &foreign).unwrap();
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let ran = sandbox.run(RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for name in names {
        let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains(&name)).collect();
        assert!(told.len() == 1 && told[0].contains("not an artifact of tsne-grid"), "{name}: {}", ran.stderr);
        assert!(told[0].ends_with("computing it again"), "{}", told[0]);
    }
    let intact = |name: &PathBuf| !name.starts_with("corrupt");
    assert!(sandbox.artifacts().into_iter().filter(|(name, _)| intact(name)).eq(reference));
}
