//! Tables that users supply, in several formats, from vectors to the picture.

use tsne_grid::artifact::read_table;

use crate::sandbox::Sandbox;

/// Wide vectors of two kinds of words, with a column of numbers and one of categories.
fn wide(rows: usize, categories: usize) -> String {
    let mut text = String::from("id,word,d0,d1,d2,size,kind\n");
    for i in 0..rows {
        let base = if i % 2 == 0 { 5.0 } else { -5.0 };
        let [a, b, c] = [1, 3, 7].map(|k| base + (i * k % 11) as f64 * 0.1);
        text.push_str(&format!("{},w{i:03},{a},{b},{c},{},kind {}\n", 1000 + i, i * 2, i % categories));
    }
    text
}

#[test]
fn columns_go_along_from_a_csv_to_the_picture_and_the_page() {
    let sandbox = Sandbox::new();
    sandbox.put("words.csv", wide(60, 12).as_bytes());
    let first = sandbox.run("project --input words.csv --perplexity 5 --artifact xy.parquet");
    let told = "words.csv: names from `word`, vectors from `d0` to `d2`, further columns: `id`, `size`, `kind`\n";
    assert!(first.code == 0 && first.stderr.starts_with(told), "{}", first.stderr);
    let by_id = sandbox.run("project --input words.csv --id id --perplexity 5 --artifact by-id.parquet");
    assert!(by_id.stderr.contains("names from `id`") && by_id.stderr.contains("`word`"), "{}", by_id.stderr);
    sandbox.ok("assign --input xy.parquet --artifact cells.parquet");
    let cells = read_table(sandbox.read("cells.parquet")).unwrap();
    let columns: Vec<String> = cells.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(columns, ["image", "row", "col", "x", "y", "cost", "id", "size", "kind"]);
    let drawn = sandbox.run("render --input cells.parquet --color-by kind --style scatter -o map.png");
    assert!(drawn.code == 0 && drawn.stderr.contains("file://"), "{}", drawn.stderr);
    let map = image::open(sandbox.path("map.png")).unwrap().into_rgb8();
    // Dots need less space than pictures. The legend of the twelve colours is below them.
    assert!(map.width() == 800 && map.height() > 800, "{:?}", map.dimensions());
    let mut colours: std::collections::BTreeMap<[u8; 3], usize> = std::collections::BTreeMap::new();
    for (_, _, pixel) in map.enumerate_pixels().filter(|(_, y, _)| *y >= 800) {
        *colours.entry(pixel.0).or_default() += 1;
    }
    // A swatch has 169 pixels; each shade at the edges of letters has fewer.
    let large = colours.values().filter(|count| **count >= 150).count();
    assert_eq!(large, 14, "twelve, the ink and the ground: {colours:?}");
    let page = String::from_utf8(sandbox.read("explorer-map/index.html")).unwrap();
    assert!(page.contains("kind 11"), "the page has the columns too");
    // The content of the table is part of the key.
    sandbox.put("words.csv", wide(60, 4).as_bytes());
    let again = sandbox.json("project --input words.csv --perplexity 5");
    assert_eq!(again["fresh"], false);
    assert_eq!(sandbox.json("project --input words.csv --perplexity 5")["fresh"], true);
}

#[test]
fn numpy_has_its_names_beside() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok("run photos --model scattering -o a.png");
    let out = sandbox.run("export v.npy --vector");
    assert!(
        out.stderr.contains("12 rows, ordered by source and path; the pictures of the rows are listed in v.names.csv"),
        "{}",
        out.stderr
    );
    let project = sandbox.run("project --input v.npy --perplexity 3 --artifact xy.parquet");
    let told = "v.npy: names from `image`, vectors from `embedding`, further columns: `path`, `source`\n";
    assert!(project.code == 0 && project.stderr.starts_with(told), "{}", project.stderr);
    sandbox.ok("assign --input xy.parquet --artifact cells.parquet");
    // The names are digests of pictures, so the pictures are drawn.
    let drawn = sandbox.run("render --input cells.parquet photos -o b.png");
    assert!(drawn.code == 0 && !drawn.stderr.contains("shown as colours"), "{}", drawn.stderr);
    sandbox.put("v.names.csv", b"name\none\n");
    let wrong = sandbox.run("project --input v.npy");
    assert!(wrong.code == 1 && wrong.stderr.contains("has 1 rows, but there are 12 vectors"), "{}", wrong.stderr);
    std::fs::remove_file(sandbox.path("v.names.csv")).unwrap();
    sandbox.ok("project --input v.npy --perplexity 3");
}

#[test]
fn all_vectors_can_be_one_table() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok("embed photos --model scattering --vectors");
    let table = read_table(sandbox.read("cache/latest/vectors.parquet")).unwrap();
    let columns: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!((table.num_rows(), columns.join(" ")), (12, "image embedding".into()));
    sandbox.ok("gc");
    // The table can be used as the input of a projection. A run without the setting removes the link.
    sandbox.ok("project --input cache/latest/vectors.parquet --perplexity 3");
    sandbox.ok("embed photos --model scattering");
    assert!(!sandbox.path("cache/latest/vectors.parquet").exists());
}

#[test]
fn what_cannot_be_used_says_which_columns_there_are() {
    let sandbox = Sandbox::new();
    sandbox.put("t.csv", b"a,b\nx,1\ny,2\n");
    for (line, expected) in [
        ("project --input t.csv", "nor columns of numbers like d0, d1, d2"),
        ("project --input t.csv --id name", "--id: no column `name`; there are `a`, `b`"),
        ("assign --input t.csv", "no column `x`"),
        ("render --input t.csv -o a.png", "no column `row`"),
    ] {
        let ran = sandbox.run(line);
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{line}: {}", ran.stderr);
    }
    assert_eq!(sandbox.run("run --id a").code, 2);
}
