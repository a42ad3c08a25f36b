//! Tables that users supply, and tables that they export.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray};
use arrow::datatypes::{Float32Type, Float64Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tsne_grid::artifact::read_table;
use tsne_grid::artifact::rows::{AssignRow, ProjectRow, Row};
use tsne_grid::linalg::{Matrix, Random, neighbours};

use crate::sandbox::Sandbox;

pub(crate) fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let columns = columns.into_iter().map(|(name, column)| {
        let nulls = column.logical_null_count() > 0;
        (name, column, nulls)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    // The default compression of pandas and DuckDB.
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(snappy)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `count` vectors in two clusters.
fn words(count: usize) -> Vec<u8> {
    words_in(&(0..count).collect::<Vec<_>>())
}

/// The same, with the rows in this order.
fn words_in(order: &[usize]) -> Vec<u8> {
    let names: Vec<String> = order.iter().map(|i| format!("word{i:03}")).collect();
    let vectors = order.iter().map(|&i| {
        let base = if i % 2 == 0 { 10.0 } else { -10.0 };
        Some((0..6).map(|d| Some(base + ((i * 7 + d * 3) % 11) as f32 * 0.1)).collect::<Vec<_>>())
    });
    let vectors = ListArray::from_iter_primitive::<Float32Type, _, _>(vectors);
    let label: Vec<&str> = order.iter().map(|i| if i % 2 == 0 { "even" } else { "odd" }).collect();
    parquet(vec![
        ("word", text(&names.iter().map(String::as_str).collect::<Vec<_>>())),
        ("vector", Arc::new(vectors)),
        ("label", text(&label)),
    ])
}

#[test]
fn any_table_of_vectors_can_be_laid_out() {
    let sandbox = Sandbox::new();
    sandbox.put("words.parquet", &words(60));
    let projected = sandbox.ok("project --input words.parquet --perplexity 5 --artifact xy.parquet");
    assert_eq!(sandbox.read(projected.trim_end()), sandbox.read("xy.parquet"));
    let rows = ProjectRow::from_batch(&read_table(sandbox.read("xy.parquet")).unwrap()).unwrap();
    assert_eq!((rows.len(), &*rows[7].image), (60, "word007"));
    // The clusters stay separate: every point's nearest neighbour is of its own cluster.
    for (i, a) in rows.iter().enumerate() {
        let distance = |b: &ProjectRow| (a.x - b.x).powi(2) + (a.y - b.y).powi(2);
        let nearest = rows.iter().enumerate().filter(|(j, _)| *j != i);
        let nearest = nearest.min_by(|(_, b), (_, c)| distance(b).total_cmp(&distance(c))).unwrap().0;
        assert_eq!(nearest % 2, i % 2);
    }
    sandbox.ok("assign --input xy.parquet --grid 10x6 --artifact cells.parquet");
    sandbox.ok("render --input cells.parquet --cell 6 -o cells.png");
    assert_eq!(image::open(sandbox.path("cells.png")).unwrap().width(), 60);
    assert!(!sandbox.path("cache/latest").exists(), "latest/ follows sources only");
    let fresh = sandbox.json("project --input words.parquet --perplexity 5");
    assert_eq!(fresh["fresh"], true);
}

#[test]
fn the_order_of_the_rows_is_nothing_to_a_layout() {
    let sandbox = Sandbox::new();
    let order: Vec<usize> = (0..60).map(|i| i * 37 % 60).collect();
    sandbox.put("sorted.parquet", &words(60));
    sandbox.put("shuffled.parquet", &words_in(&order));
    let line =
        |name: &str| format!("project --input {name}.parquet --perplexity 5 --cache {name} --artifact {name}.out");
    let (sorted, shuffled) = (sandbox.ok(&line("sorted")), sandbox.ok(&line("shuffled")));
    assert_eq!(sorted.replace("sorted", ""), shuffled.replace("shuffled", ""));
    assert!(sandbox.read("sorted.out") == sandbox.read("shuffled.out"));
    let again = sandbox.json("project --input shuffled.parquet --perplexity 5 --cache sorted");
    assert_eq!(again["fresh"], true);
}

/// For the first 600 rows: the share of the ten nearest neighbours of each that are among the ten nearest on the plane.
fn recall(vectors: &[Vec<f32>], layout: &[ProjectRow]) -> f64 {
    let nearest = |rows: Vec<f32>| {
        let rows = Matrix::new(600, rows.len() / 600, rows).unwrap();
        neighbours(&rows, 10).unwrap().index
    };
    let there = nearest(vectors[..600].concat());
    let here = nearest(layout[..600].iter().flat_map(|row| [row.x as f32, row.y as f32]).collect());
    let found = |i: usize| there[i * 10..][..10].iter().filter(|j| here[i * 10..][..10].contains(j)).count();
    (0..600).map(found).sum::<usize>() as f64 / 6000.0
}

#[test]
fn a_row_that_lies_far_out_does_not_spoil_the_layout_of_the_others() {
    let sandbox = Sandbox::new();
    let mut random = Random::new(1, 1);
    let mut normal = move || random.normals()[0];
    let centres: Vec<f64> = (0..200).map(|_| 5.0 * normal()).collect();
    let near: Vec<Vec<f32>> =
        (0..600).map(|i| (0..20).map(|c| (centres[i % 10 * 20 + c] + normal()) as f32).collect()).collect();
    let laid_out = |far: Option<f32>, flags: &str| {
        let rows: Vec<Vec<f32>> = near.iter().cloned().chain(far.map(|far| vec![far; 20])).collect();
        let names: Vec<String> = (0..rows.len()).map(|i| format!("row{i:03}")).collect();
        let vectors = rows.into_iter().map(|row| Some(row.into_iter().map(Some).collect::<Vec<_>>()));
        let vectors = ListArray::from_iter_primitive::<Float32Type, _, _>(vectors);
        let names = text(&names.iter().map(String::as_str).collect::<Vec<_>>());
        sandbox.put("rows.parquet", &parquet(vec![("image", names), ("embedding", Arc::new(vectors))]));
        let ran = sandbox.run(&format!("project --input rows.parquet --artifact xy.parquet {flags}"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let layout = ProjectRow::from_batch(&read_table(sandbox.read("xy.parquet")).unwrap()).unwrap();
        (recall(&near, &layout), ran.stderr)
    };
    for flags in ["--pca 0", "--pca 10"] {
        let (without, said) = laid_out(None, flags);
        assert!(!said.contains("warning"), "{said}");
        for far in [1e7, 1e10, 3e38] {
            let (with, said) = laid_out(Some(far), flags);
            assert!(with > without - 0.04, "{flags}, one at {far:e}: {with}, {without} without it");
            let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
            assert!(warnings.len() == 1 && warnings[0].contains("the vector of row600 lies "), "{said}");
        }
    }
}

#[test]
fn points_without_pictures_are_coloured_by_a_column() {
    let sandbox = Sandbox::new();
    let table = parquet(vec![
        ("name", text(&["a", "b", "c"])),
        ("x", Arc::new(Float32Array::from(vec![0.0, 1.0, 2.0]))),
        ("y", Arc::new(Float32Array::from(vec![0.0, 1.0, 0.0]))),
        ("kind", text(&["p", "q", "p"])),
    ]);
    sandbox.put("xy.parquet", &table);
    sandbox.ok("render --input xy.parquet --style scatter --color-by kind --cell 20 --canvas 120 -o dots.png");
    let drawn = image::open(sandbox.path("dots.png")).unwrap().into_rgb8();
    let above = drawn.enumerate_pixels().filter(|(_, y, _)| *y < 120).map(|(_, _, pixel)| pixel);
    let colours: std::collections::BTreeMap<[u8; 3], usize> = above.fold(Default::default(), |mut map, p| {
        *map.entry(p.0).or_default() += 1;
        map
    });
    let mut by_count: Vec<_> = colours.into_iter().filter(|(colour, _)| colour.iter().any(|c| *c < 120)).collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let [(first, _), (second, _)] = by_count[..2] else { unreachable!() };
    assert_eq!((first, second), ([51, 34, 136], [204, 102, 119]), "two kinds, two colours, one twice as often");
    let ran = sandbox.run("render --input xy.parquet --style scatter --color-by nothing -o dots.png");
    assert!(ran.code == 1 && ran.stderr.contains("no column `nothing`"), "{}", ran.stderr);
}

#[test]
fn pinned_cells_are_kept() {
    let sandbox = Sandbox::new();
    let table = parquet(vec![
        ("image", text(&["a", "b", "c", "d"])),
        ("x", Arc::new(Float32Array::from(vec![0.0, 1.0, 0.0, 1.0]))),
        ("y", Arc::new(Float32Array::from(vec![0.0, 0.0, 1.0, 1.0]))),
        ("row", Arc::new(Int64Array::from(vec![Some(1), None, None, None]))),
        ("col", Arc::new(Int64Array::from(vec![Some(1), None, None, None]))),
    ]);
    sandbox.put("pins.parquet", &table);
    let path = sandbox.ok("assign --input pins.parquet --grid 2x2");
    let rows = AssignRow::from_batch(&read_table(sandbox.read(path.trim_end())).unwrap()).unwrap();
    assert_eq!((rows[0].row, rows[0].col, rows[0].cost), (1, 1, 2.0));
    let ran = sandbox.run("assign --input pins.parquet --grid 1x4");
    assert!(ran.code == 1 && ran.stderr.contains("outside the grid of 1x4"), "{}", ran.stderr);
}

#[test]
fn few_or_equal_vectors_are_laid_out_too() {
    let sandbox = Sandbox::new();
    for count in [1, 2, 3, 5] {
        for equal in [false, true] {
            let names: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
            let vectors = (0..count).map(|i| Some(vec![Some(if equal { 1.0 } else { i as f32 }), Some(2.0)]));
            let table = parquet(vec![
                ("id", text(&names.iter().map(String::as_str).collect::<Vec<_>>())),
                ("v", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors))),
            ]);
            sandbox.put("few.parquet", &table);
            for init in ["pca", "random"] {
                let ran = sandbox.run(&format!("project --input few.parquet --init {init} --artifact xy.parquet"));
                assert_eq!(ran.code, 0, "{}", ran.stderr);
                assert!(count == 1 || ran.stderr.contains("perplexity 30 is too large"), "{}", ran.stderr);
                let rows = ProjectRow::from_batch(&read_table(sandbox.read("xy.parquet")).unwrap()).unwrap();
                assert!(rows.len() == count && rows.iter().all(|row| row.x.is_finite() && row.y.is_finite()));
                sandbox.ok("assign --input xy.parquet");
            }
        }
    }
}

#[test]
fn tables_that_cannot_be_used_say_why() {
    let sandbox = Sandbox::new();
    let bad = |i: usize| {
        let vectors = (0..3).map(|row| Some(vec![Some(if row == i { f32::NAN } else { 0.0 })]));
        let vectors: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors));
        parquet(vec![("id", text(&["a", "b", "c"])), ("v", vectors)])
    };
    sandbox.put("nan.parquet", &bad(1));
    sandbox.put("text.parquet", b"no parquet");
    sandbox.put("words.parquet", &words(3));
    let ids = || ("id", text(&["a", "b", "c"]));
    let nulls: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Float32Type, Vec<Option<f32>>, _>([None, None, None]));
    sandbox.put("nulls.parquet", &parquet(vec![ids(), ("embedding", nulls)]));
    sandbox.put("null.parquet", &parquet(vec![ids(), ("embedding", Arc::new(NullArray::new(3)))]));
    let none = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![]), Some(vec![]), Some(vec![])]);
    sandbox.put("empty.parquet", &parquet(vec![ids(), ("embedding", Arc::new(none))]));
    let large = ListArray::from_iter_primitive::<Float64Type, _, _>([1.0, -1e39, 2.0].map(|x| Some(vec![Some(x)])));
    sandbox.put("large.parquet", &parquet(vec![ids(), ("embedding", Arc::new(large))]));
    let cases = [
        ("project --input nan.parquet", "row 1 (`b`) holds NaN"),
        ("project --input nulls.parquet", "row 0 has no vector"),
        ("project --input null.parquet", "row 0 has no vector"),
        ("project --input empty.parquet", "the vectors are empty"),
        ("project --input large.parquet", "row 1 (`b`) holds -1e39, which is beyond what 32-bit floats hold"),
        ("project --input text.parquet", "text.parquet"),
        ("project --input none.parquet", "none.parquet"),
        ("assign --input words.parquet", "no column `x`"),
        ("render --input words.parquet -o a.png", "no column `row`"),
    ];
    for (line, expected) in cases {
        let ran = sandbox.run(line);
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{line}: {}", ran.stderr);
    }
}

#[test]
fn artifacts_say_what_they_are_and_nothing_of_the_machine() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok("run photos --model scattering -o a.png");
    let project = sandbox.artifact("project");
    assert_eq!(project.header.key.stage, "project");
    assert_eq!(project.header.key.params["perplexity"], 30.0);
    assert!(sandbox.findings().0.kl.is_finite() && sandbox.findings().1.cost.is_finite());
    let here = sandbox.path("").canonicalize().unwrap();
    let here = here.to_str().unwrap().trim_end_matches('/').as_bytes();
    for (path, bytes) in sandbox.artifacts() {
        assert!(!bytes.windows(here.len()).any(|w| w == here), "{path:?} holds an absolute path");
    }
    let shard =
        sandbox.artifacts().into_iter().find(|(p, _)| p.components().count() == 3 && p.starts_with("embed")).unwrap();
    let shard = read_table(shard.1).unwrap();
    assert_eq!(shard.schema().field(1).data_type().to_string(), "FixedSizeList(1149 x non-null Float32)");
}
