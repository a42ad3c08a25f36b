//! A folder, pictures to put into it, and the program to run there.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tsne_grid::artifact::findings::{AssignFindings, ProjectFindings};
use tsne_grid::artifact::rows::{AssignRow, ImageRow, Row, SkippedRow};
use tsne_grid::artifact::{Artifact, read_table};
use tsne_grid::stage::Stage;
use tsne_grid::store::Store;
use zip::write::SimpleFileOptions;

pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_tsne-grid");

/// A folder to work in, removed at the end.
pub(crate) struct Story {
    dir: tempfile::TempDir,
}

/// The tables of a run, in the order in which they are made.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    ["images", "skipped"].into_iter().chain(Stage::ALL.map(Stage::name))
}

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A story with `count` different pictures in `photos/`.
    #[track_caller]
    pub(crate) fn with_photos(count: u32) -> Self {
        let story = Self::new();
        for i in 0..count {
            story.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
        }
        story
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(&path, bytes);
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(BIN);
        command.args(line.split_whitespace()).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "HF_ENDPOINT",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "TSNE_GRID_CACHE",
            "TSNE_GRID_MODELS",
        ] {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.path("hf-home"));
        command
    }

    /// Runs the program with a command line split at spaces.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Ran {
        ran(&mut self.command(line))
    }

    /// Runs it and expects success; gives standard output.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}\n{}", ran.stderr);
        ran.stdout
    }

    /// Runs it with `--json` and expects success.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"))).unwrap()
    }

    /// Runs it and tells which tables were made anew.
    #[track_caller]
    pub(crate) fn made_by(&self, line: &str) -> Vec<&'static str> {
        let outcome = self.json(line);
        tables().filter(|stage| outcome[stage]["fresh"] == false).collect()
    }

    /// The file of a table of the last run, which `latest` links to, or has a copy of.
    #[track_caller]
    pub(crate) fn published(&self, stage: &str) -> PathBuf {
        Store::new(self.path("cache")).latest(&format!("{stage}.parquet")).unwrap()
    }

    /// The rows of a table of the last run.
    #[track_caller]
    pub(crate) fn latest<R: Row>(&self) -> Vec<R> {
        let bytes = self.read(&format!("cache/latest/{}.parquet", R::STAGE));
        R::from_batch(&read_table(bytes).unwrap()).unwrap()
    }

    #[track_caller]
    pub(crate) fn images(&self) -> Vec<ImageRow> {
        self.latest()
    }

    #[track_caller]
    pub(crate) fn skipped(&self) -> Vec<SkippedRow> {
        self.latest()
    }

    #[track_caller]
    pub(crate) fn assigned(&self) -> Vec<AssignRow> {
        self.latest()
    }

    /// The header of a table of the last run.
    #[track_caller]
    pub(crate) fn artifact(&self, stage: &str) -> Artifact {
        Artifact::decode(self.read(&format!("cache/latest/{stage}.parquet"))).unwrap()
    }

    /// What the last projection and the last assignment found.
    pub(crate) fn findings(&self) -> (ProjectFindings, AssignFindings) {
        let [project, assign] = ["project", "assign"].map(|stage| self.artifact(stage).header);
        (ProjectFindings::of(&project).unwrap(), AssignFindings::of(&assign).unwrap())
    }

    /// Every published artifact of the cache: name and bytes.
    #[track_caller]
    pub(crate) fn artifacts(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let cache = self.path("cache");
        let files = walkdir::WalkDir::new(&cache).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
        files
            .filter(|e| {
                // On a disk without links `latest` has copies.
                let other = ["seen", "latest"].iter().any(|name| e.path().starts_with(cache.join(name)));
                e.path().extension().is_some_and(|s| s == "parquet") && !other
            })
            .map(|e| (e.path().strip_prefix(&cache).unwrap().to_owned(), std::fs::read(e.path()).unwrap()))
            .collect()
    }
}

#[track_caller]
pub(crate) fn ran(command: &mut Command) -> Ran {
    told(command.output().unwrap())
}

/// Waits for the end of a program whose output is piped.
#[track_caller]
pub(crate) fn ended(child: Child) -> Ran {
    told(child.wait_with_output().unwrap())
}

#[track_caller]
fn told(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[expect(clippy::disallowed_methods, reason = "tests write what users write")]
#[track_caller]
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// The `i`-th of any number of different small pictures.
pub(crate) fn picture(i: u32) -> RgbImage {
    let (hue, step) = (i * 37 % 256, 1 + i % 7);
    RgbImage::from_fn(40 + i % 9, 30 + i % 11, |x, y| Rgb([hue as u8, (x * step * 5) as u8, (y * 6 + i * 11) as u8]))
}

pub(crate) fn png(picture: &RgbImage) -> Vec<u8> {
    encoded(picture, ImageFormat::Png)
}

pub(crate) fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A zip of these files.
pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
