//! Rules for the source code that a program can check.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tsne_grid::stage::Stage;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "tests/it"].into_iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder)));
    let files =
        files.map(|entry| entry.unwrap().into_path()).filter(|path| path.extension().is_some_and(|s| s == "rs"));
    files.map(|path| (path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The lines of a file that are neither comments nor its unit tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[track_caller]
fn assert_none(folder: &str, forbidden: &[&str]) {
    let mut files = 0;
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with(folder)) {
        files += 1;
        for line in code(text) {
            // Every module may use `linalg`, which uses none.
            let line = if folder == "src/linalg" { line.to_owned() } else { line.replace("crate::linalg", "") };
            let word = forbidden.iter().find(|word| line.contains(*word));
            assert!(word.is_none(), "{}: `{}` must not be in {folder}: {line}", path.display(), word.unwrap_or(&""));
        }
    }
    assert!(files > 0, "{folder} is there");
}

#[test]
fn the_kernels_know_nothing_of_us_or_the_world() {
    for folder in [
        "src/linalg",
        "src/tsne",
        "src/lap",
        "src/photo",
        "src/model/scattering",
        "src/model/kernels",
        "src/model/vit",
        "src/model/resnet",
        "src/model/conv",
    ] {
        assert_none(
            folder,
            &["crate::", "std::fs", "fs_err", "std::env", "SystemTime", "Instant", "println!", "rand::rng"],
        );
    }
}

#[test]
fn the_weights_know_no_network() {
    assert_none("src/weights", &["crate::model", "ModelName"]);
}

#[test]
fn a_stage_imports_no_other_stage() {
    let stages = Stage::ALL.map(Stage::name);
    for stage in stages {
        let others: Vec<String> =
            stages.iter().filter(|other| **other != stage).map(|other| format!("stage::{other}")).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stage").join(stage).is_dir();
        let place = format!("src/stage/{stage}{}", if folder { "" } else { ".rs" });
        assert_none(&place, &others.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn the_store_knows_no_stage_and_the_library_does_not_print() {
    assert_none("src/store", &["crate::stage", "crate::artifact", "crate::pipeline"]);
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src")) {
        let speaks = code(text)
            .any(|line| ["println!", "eprintln!", "stdout()", "stderr()"].iter().any(|word| line.contains(word)));
        assert!(!speaks || path.ends_with("ui.rs") || path.ends_with("main.rs"), "{} prints", path.display());
    }
}

#[test]
fn unsafe_code_is_where_it_is_allowed() {
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src")) {
        let unsafe_lines = code(text).filter(|line| line.contains("unsafe ") || line.contains("unsafe{")).count();
        let known = [
            "linalg/product.rs",
            "tsne/attraction.rs",
            "tsne/repulsion/exact.rs",
            "kernels/simd/x86.rs",
            "kernels/simd/bf16.rs",
        ];
        let allowed = known.iter().any(|known| path.ends_with(known));
        assert!(unsafe_lines == 0 || allowed, "{}", path.display());
    }
}

#[test]
fn files_are_short_begin_with_their_reason_and_have_names_of_the_field() {
    for (path, text) in sources() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(text.lines().count() <= 500, "{} is long", path.display());
        assert!(text.starts_with("//! ") || name.ends_with("tests"), "{} does not say why it is there", path.display());
        assert!(!["util", "utils", "helper", "helpers", "misc", "common"].contains(&name), "{}", path.display());
    }
}

/// Checks of the page's scripts that need more than one file, in the order in which they are loaded.
#[test]
fn scripts_take_what_is_given_and_change_only_their_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/page");
    let order = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let words = |list: &str| list.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
    let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in order.split("include_str!(\"").filter_map(|rest| rest.split_once(".js\"").map(|(name, _)| name)) {
        let script = std::fs::read_to_string(folder.join(format!("{name}.js"))).unwrap();
        for line in script.lines() {
            let Some((list, from)) = line.strip_prefix("const { ").and_then(|rest| rest.split_once(" } = page."))
            else {
                continue;
            };
            for word in words(list) {
                let from = &given[from.trim_end_matches(';')];
                assert!(from.contains(&word), "{name}.js takes {word}, which is not given");
                let state =
                    ["view", "layout", "frame", "loads", "foundTile", "highlight", "overlays", "query", "colours"];
                let changed = format!("{word}.");
                let changes = |line: &str| line.starts_with(&changed) && line.contains("= ") && line.ends_with(';');
                let changes = state.contains(&word.as_str()) && script.lines().any(|line| changes(line.trim()));
                assert!(!changes, "{name}.js changes {word}, which is another's");
            }
        }
        if let Some((_, list)) = script.split_once(&format!("\npage.{name} = {{")) {
            given.insert(name, words(list.trim_end_matches(['\n', ' ', '}', ';', ','])));
        }
    }
}
