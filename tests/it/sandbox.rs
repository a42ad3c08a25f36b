//! A sandbox for the tests: a folder, pictures for it, and the program to run there.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tsne_grid::artifact::findings::{AssignFindings, ProjectFindings};
use tsne_grid::artifact::rows::{AssignRow, FieldRow, ImageRow, Row, SkippedRow};
use tsne_grid::artifact::{Artifact, read_table};
use tsne_grid::stage::Stage;
use tsne_grid::store::Store;
use zip::write::SimpleFileOptions;

pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_tsne-grid");

/// A folder to work in, removed at the end.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

/// The tables of a run, in the order in which they are written.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    ["images", "skipped"].into_iter().chain(Stage::ALL.map(Stage::name))
}

/// The result of a run of the program.
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A sandbox with `count` different pictures in `photos/`.
    #[track_caller]
    pub(crate) fn with_photos(count: u32) -> Self {
        let sandbox = Self::new();
        for i in 0..count {
            sandbox.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
        }
        sandbox
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

    /// The program in this folder, with a command line split at spaces, and without the user's environment variables.
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
    pub(crate) fn run(&self, line: &str) -> CommandOutput {
        run_command(&mut self.command(line))
    }

    /// Runs the program and expects success; returns standard output.
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

    /// Runs the program and returns the tables that it computed, which are those that were not up to date.
    #[track_caller]
    pub(crate) fn stages_run(&self, line: &str) -> Vec<&'static str> {
        let outcome = self.json(line);
        tables().filter(|stage| outcome[stage]["fresh"] == false).collect()
    }

    /// The file of a table of the last run: the target of the link in `latest`, or the stored file that a copy is of.
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

    /// The rows of `fields` as path, field and value.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let images = self.images();
        let path = |field: &FieldRow| &images.iter().find(|row| row.image == field.image).unwrap().path;
        let rows: Vec<FieldRow> = self.latest();
        rows.iter().map(|row| format!("{}|{}|{}", path(row), row.field, row.value)).collect()
    }

    #[track_caller]
    pub(crate) fn skipped(&self) -> Vec<SkippedRow> {
        self.latest()
    }

    #[track_caller]
    pub(crate) fn assigned(&self) -> Vec<AssignRow> {
        self.latest()
    }

    /// A table of the last run, with its header.
    #[track_caller]
    pub(crate) fn artifact(&self, stage: &str) -> Artifact {
        Artifact::decode(self.read(&format!("cache/latest/{stage}.parquet"))).unwrap()
    }

    /// The findings of the last projection and the last assignment.
    pub(crate) fn findings(&self) -> (ProjectFindings, AssignFindings) {
        let [project, assign] = ["project", "assign"].map(|stage| self.artifact(stage).header);
        (ProjectFindings::of(&project).unwrap(), AssignFindings::of(&assign).unwrap())
    }

    /// Every published artifact of the cache: name and bytes.
    #[track_caller]
    pub(crate) fn artifacts(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let cache = self.path("cache");
        let files =
            walkdir::WalkDir::new(&cache).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        files
            .filter(|entry| {
                // `seen` has no artifacts, and on a disk without links `latest` has copies of them.
                let is_excluded = ["seen", "latest"].iter().any(|name| entry.path().starts_with(cache.join(name)));
                entry.path().extension().is_some_and(|suffix| suffix == "parquet") && !is_excluded
            })
            .map(|entry| (entry.path().strip_prefix(&cache).unwrap().to_owned(), std::fs::read(entry.path()).unwrap()))
            .collect()
    }
}

#[track_caller]
pub(crate) fn run_command(command: &mut Command) -> CommandOutput {
    command_output(command.output().unwrap())
}

/// Waits for a program to end, and returns what it wrote. Its output must be piped.
#[track_caller]
pub(crate) fn wait_for_exit(child: Child) -> CommandOutput {
    command_output(child.wait_with_output().unwrap())
}

#[track_caller]
fn command_output(output: Output) -> CommandOutput {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    CommandOutput { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[expect(clippy::disallowed_methods, reason = "tests write what users write")]
#[track_caller]
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// A small picture that is different for every `i`.
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

/// A zip with these files.
pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
