//! Extreme cases: no pictures and few, equal pictures, numbers that are not finite, enormous grids and canvases, and
//! every kind of mistake in `pipeline.toml`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type};
use parquet::arrow::ArrowWriter;

use crate::sandbox::{Sandbox, picture, png};

const RUN: &str = "run photos --model scattering -o out.png";

#[test]
fn none_to_five_pictures() {
    let none = Sandbox::new();
    std::fs::create_dir(none.path("photos")).unwrap();
    let ran = none.run(RUN);
    assert!(ran.code == 1 && ran.stderr.contains("the sources hold no pictures"), "{}", ran.stderr);
    for count in 1..=5_u32 {
        let sandbox = Sandbox::with_photos(count);
        sandbox.ok(RUN);
        let cells = sandbox.assigned();
        assert_eq!(cells.len() as u32, count);
        assert!(cells.iter().all(|cell| [cell.x, cell.y, cell.cost].iter().all(|x| x.is_finite())), "{cells:?}");
        let side = (f64::from(count)).sqrt().ceil() as u32;
        assert!(cells.iter().all(|cell| cell.row < side && cell.col < side));
        assert!(sandbox.stages_run(RUN).is_empty());
        for flags in ["--style scatter", "--solver lapjv", "--init random", "--refine 2", "--metric cosine", "--pca 0"]
        {
            sandbox.ok(&format!("{RUN} {flags}"));
            assert!(
                sandbox.assigned().iter().all(|cell| cell.x.is_finite() && cell.cost.is_finite()),
                "{count} {flags}"
            );
        }
    }
}

#[test]
fn pictures_that_are_all_the_same() {
    let sandbox = Sandbox::new();
    let same = png(&picture(3));
    for i in 0..30_u8 {
        // Bytes after the end of a PNG are ignored, but make it another file.
        sandbox.put(&format!("photos/{i}.png"), &[&same[..], &[i]].concat());
    }
    for flags in ["", "--init random", "--metric cosine", "--refine 2", "--style scatter", "--pca 0"] {
        sandbox.ok(&format!("{RUN} {flags}"));
        let cells = sandbox.assigned();
        assert_eq!(cells.len(), 30);
        assert!(cells.iter().all(|c| c.x.is_finite() && c.y.is_finite() && c.cost.is_finite()), "{flags}: {cells:?}");
    }
}

#[track_caller]
fn write(sandbox: &Sandbox, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    sandbox.put(name, &writer.into_inner().unwrap());
}

fn names(count: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("p{i}"))))
}

fn vectors(rows: Vec<Vec<f32>>) -> ArrayRef {
    let rows = rows.into_iter().map(|row| Some(row.into_iter().map(Some).collect::<Vec<_>>()));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

#[test]
fn tables_with_numbers_that_are_none() {
    let sandbox = Sandbox::new();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let rows = (0..20).map(|i| vec![i as f32, if i == 7 { bad } else { 1.0 }, 2.0]).collect();
        write(&sandbox, "v.parquet", vec![("image", names(20)), ("embedding", vectors(rows))]);
        let ran = sandbox.run("project --input v.parquet");
        assert!(ran.code == 1 && ran.stderr.contains("row 7 (`p7`) holds"), "{}", ran.stderr);
        let places: ArrayRef =
            Arc::new(Float64Array::from_iter_values((0..20).map(|i| if i == 7 { f64::from(bad) } else { 1.0 })));
        write(&sandbox, "p.parquet", vec![("image", names(20)), ("x", places.clone()), ("y", places)]);
        let ran = sandbox.run("assign --input p.parquet");
        assert!(ran.code == 1 && ran.stderr.contains("p.parquet") && ran.stderr.contains("row 7"), "{}", ran.stderr);
        let cells: ArrayRef =
            Arc::new(Float32Array::from_iter_values((0..20).map(|i| if i == 7 { bad } else { i as f32 })));
        write(&sandbox, "c.parquet", vec![("image", names(20)), ("row", cells.clone()), ("col", cells)]);
        let ran = sandbox.run("render --input c.parquet");
        assert!(ran.code == 1 && ran.stderr.contains("row 7"), "{}", ran.stderr);
    }
}

#[test]
fn tables_at_the_ends_of_the_scale() {
    let sandbox = Sandbox::new();
    let cases: [(&str, Vec<Vec<f32>>); 7] = [
        ("one", vec![vec![1.0, 2.0]]),
        ("two", vec![vec![1.0, 2.0], vec![3.0, 4.0]]),
        ("equal", vec![vec![1.0; 5]; 40]),
        ("zero", vec![vec![0.0; 5]; 40]),
        ("huge", (0..40).map(|i| vec![1e38, i as f32 * 1e36, -1e38]).collect()),
        ("tiny", (0..40).map(|i| vec![1e-38, i as f32 * 1e-40, -1e-38]).collect()),
        ("one column", (0..40).map(|i| vec![i as f32]).collect()),
    ];
    for (name, rows) in cases {
        let count = rows.len();
        write(&sandbox, "v.parquet", vec![("image", names(count)), ("embedding", vectors(rows))]);
        for flags in ["", "--metric cosine", "--init random", "--pca 2"] {
            let ran = sandbox.run(&format!("project --input v.parquet --artifact p.parquet {flags}"));
            assert!(!ran.stderr.contains("panicked"), "{name} {flags}: {}", ran.stderr);
            if ran.code == 0 {
                let ran = sandbox.run("assign --input p.parquet --artifact c.parquet");
                assert_eq!(ran.code, 0, "{name} {flags}: {}", ran.stderr);
                sandbox.ok("render --input c.parquet -o c.png");
            } else {
                // Vectors with squares that overflow may be refused with a message.
                assert!(
                    name == "huge" && ran.code == 1 && ran.stderr.contains("error: "),
                    "{name} {flags}: {}",
                    ran.stderr
                );
            }
        }
    }
}

#[test]
fn tables_that_are_none() {
    let sandbox = Sandbox::new();
    write(&sandbox, "none.parquet", vec![("image", names(0)), ("embedding", vectors(Vec::new()))]);
    write(&sandbox, "words.parquet", vec![("image", names(3)), ("text", names(3))]);
    let rows = vec![vec![1.0, 2.0], vec![1.0], vec![]];
    write(&sandbox, "ragged.parquet", vec![("image", names(3)), ("embedding", vectors(rows))]);
    let twice: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b"]));
    write(&sandbox, "twice.parquet", vec![("image", twice), ("embedding", vectors(vec![vec![1.0]; 3]))]);
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
    write(&sandbox, "nulls.parquet", vec![("image", nulls), ("embedding", vectors(vec![vec![1.0]; 3]))]);
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let gap = ListArray::new(
        field,
        arrow::buffer::OffsetBuffer::from_lengths([2, 2, 2]),
        Arc::new(Float32Array::from(vec![Some(1.0), None, Some(2.0), Some(2.0), Some(3.0), Some(3.0)])),
        None,
    );
    write(&sandbox, "gap.parquet", vec![("image", names(3)), ("embedding", Arc::new(gap))]);
    sandbox.put("text.parquet", b"image,embedding\n");
    let whole = sandbox.read("twice.parquet");
    sandbox.put("cut.parquet", &whole[..whole.len() - 9]);
    for name in ["none", "words", "ragged", "twice", "nulls", "gap", "text", "cut", "missing"] {
        for stage in ["project", "assign", "render"] {
            let ran = sandbox.run(&format!("{stage} --input {name}.parquet"));
            assert_eq!(ran.code, 1, "{stage} {name}: {}", ran.stderr);
            let clear = ran.stderr.lines().last().is_some_and(|line| line.starts_with("error: "))
                && ran.stderr.contains(&format!("{name}.parquet"));
            assert!(clear && ran.stderr.len() < 400, "{stage} {name}: {}", ran.stderr);
        }
    }
}

/// Sizes are checked before anything is computed: each case is refused at once, without decoding a picture.
#[test]
fn grids_and_canvases_beyond_measure() {
    let sandbox = Sandbox::with_photos(12);
    let cases = [
        ("--grid 4294967295x4294967295", 1, "does not fit into a png"),
        ("--grid 4294967296x1", 2, "grid"),
        ("--grid 65536x65536 -o a.jpg", 1, "does not fit into a jpeg"),
        ("--grid 0x0", 2, "grid"),
        ("--grid=-1x5", 2, "grid"),
        ("--aspect 0:1", 2, "aspect"),
        ("--aspect 1:0", 2, "aspect"),
        ("--aspect inf:1", 2, "aspect"),
        ("--aspect 1e300:1e-300", 2, "aspect"),
        ("--cell 4096 --grid 400000x4000", 1, "MB of memory"),
        ("--cell 4097", 2, "render.cell is 4097"),
        ("--cell 4096 --gap 4096 --grid 12x1 -o a.webp", 1, "does not fit into a webp"),
        ("--cell 4096 --grid 16x16 -o a.jpg", 1, "does not fit into a jpeg"),
        ("--style scatter --canvas 4294967295", 1, "does not fit into a png"),
        ("--style scatter --canvas 70000 -o a.jpg", 1, "does not fit into a jpeg"),
        ("--style scatter --page --grid 3000x2", 2, "too large for the explorer"),
        ("--style scatter --page --grid 2100x2100", 2, "too large for the explorer"),
        ("--solver lapjv --effort 3", 2, "assign.effort"),
        ("--threads 1000000000000", 2, "--threads"),
        ("--perplexity 1e999", 2, "perplexity"),
        ("--iterations 99999999999999999999", 2, "iterations"),
        ("--iterations 18446744073709551615", 2, "iterations"),
        ("--pca 5000", 2, "project.pca"),
        ("--refine 4294967295", 2, "assign.refine"),
        ("--stay=-1", 2, "stay"),
        ("--quality 0", 2, "quality"),
    ];
    for (flags, code, expected) in cases {
        let line = if flags.contains("-o ") { RUN.replace(" -o out.png", "") } else { RUN.to_owned() };
        let ran = sandbox.run(&format!("{line} {flags}"));
        assert_eq!(ran.code, code, "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("panicked"), "{flags}: {}", ran.stderr);
        assert!(!sandbox.path("cache/embed").exists(), "{flags}: pictures were decoded first");
    }
}

/// The number of different pictures is known after they are read. A grid that is too small is refused then, before the
/// layout.
#[test]
fn a_grid_that_is_too_small() {
    let sandbox = Sandbox::with_photos(12);
    let ran = sandbox.run(&format!("{RUN} --grid 2x2"));
    assert!(
        ran.code == 1 && ran.stderr.contains("the smallest nearly square grid that holds them is 4x3"),
        "{}",
        ran.stderr
    );
    assert!(sandbox.path("cache/embed").exists() && !sandbox.path("cache/project").exists());
}

/// Every kind of mistake in `pipeline.toml`, with its line and column.
#[test]
fn mistakes_in_the_settings() {
    let sandbox = Sandbox::with_photos(3);
    let cases: [(&[u8], &str, &str); 24] = [
        (b"[project]\nperplexety = 3\n", "line 2, column 1", "perplexety"),
        (b"[projekt]\n", "line 1, column 2", "projekt"),
        (b"\n\nperplexity = 3\n", "line 3, column 1", "perplexity"),
        (b"[project]\nperplexity = \"3\"\n", "line 2, column 14", "a number is expected"),
        (b"[project]\niterations = 1.5\n", "line 2, column 14", "a whole number is expected"),
        (b"[project]\niterations = -1\n", "line 2, column 14", "-1"),
        (b"[project]\niterations = 750\niterations = 751\n", "line 3, column 1", "duplicate"),
        (b"[project]\n[project]\n", "line 2, column 2", "duplicate"),
        (b"[project\n", "line 1, column 9", ""),
        (b"[project]\nmetric = \"manhattan\"\n", "line 2, column 10", "manhattan"),
        (b"[project]\nmetric = euclidean\n", "line 2, column 10", ""),
        (b"[embed]\nmodel = \"\n", "line 2, column 10", ""),
        (b"[assign]\ngrid = \"4by3\"\n", "line 2, column 8", "columns x rows"),
        (b"[assign]\ngrid = [4, 3]\n", "line 2, column 8", ""),
        (b"[assign]\naspect = \"wide\"\n", "line 2, column 10", ""),
        (b"[render]\nbackground = \"red\"\n", "line 2, column 14", "#20242a"),
        (b"[render]\ncell = 99999999999\n", "line 2, column 8", ""),
        (b"[render]\nquality = 300\n", "line 2, column 11", ""),
        (b"[source]\nkinds = [\"post\", \"poster\"]\n", "line 2, column 18", "poster"),
        (b"[source]\nkinds = \"post\"\n", "line 2, column 9", ""),
        (b"[source]\nsince = \"yesterday\"\n", "line 2, column 9", "2024-12-31"),
        (b"[source]\nsince = 2024-12-31\n", "line 2, column 9", ""),
        (b"render = 5\n", "line 1, column 10", ""),
        (b"[render]\noutput = \"a\\qb\"\n", "line 2, column 13", ""),
    ];
    for (text, place, word) in cases {
        sandbox.put("pipeline.toml", text);
        let (ran, text) = (sandbox.run(RUN), String::from_utf8_lossy(text));
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: pipeline.toml: "), "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(place) && ran.stderr.contains(word), "{text}: expected {place}: {}", ran.stderr);
        assert!(!sandbox.path("cache").exists());
    }
    // Values of the right type that are not valid for the setting.
    for (text, expected) in [
        ("[project]\nperplexity = nan\n", "project.perplexity is NaN"),
        ("[project]\nperplexity = -inf\n", "project.perplexity is -inf"),
        ("[render]\ncell = 0\n", "render.cell is 0; it can be 1 to 4096"),
        ("[render]\noutput = \"\"\n", "render.output"),
        ("[render]\noutput = \"photos\"\n", "a folder"),
        ("[source]\ninclude = [\"[\"]\n", "include"),
    ] {
        sandbox.put("pipeline.toml", text.as_bytes());
        let ran = sandbox.run("run photos --model scattering");
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{text}: {}", ran.stderr);
    }
    // Files that are not text.
    for (bytes, expected) in [(&b"\xff\xfe[\0"[..], "pipeline.toml"), (b"\0", "line 1, column 2")] {
        sandbox.put("pipeline.toml", bytes);
        let ran = sandbox.run(RUN);
        assert!(ran.code == 2 && ran.stderr.contains(expected), "{bytes:?}: {}", ran.stderr);
    }
    std::fs::remove_file(sandbox.path("pipeline.toml")).unwrap();
    std::fs::create_dir(sandbox.path("pipeline.toml")).unwrap();
    assert_eq!(sandbox.run(RUN).code, 2);
    // A byte order mark and Windows line ends, which editors add, are accepted.
    std::fs::remove_dir(sandbox.path("pipeline.toml")).unwrap();
    sandbox.put("pipeline.toml", b"\xef\xbb\xbf[render]\r\ncell = 10\r\n");
    sandbox.ok(RUN);
}
