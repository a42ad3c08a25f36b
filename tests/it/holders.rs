//! Files that hold many pictures: tars, as webdataset has them, and Parquet files with a column of pictures.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tsne_grid::artifact::Reason;
use tsne_grid::artifact::rows::FieldRow;

use crate::driver::{Story, picture, png};
use crate::tables::{parquet, text};

const RUN: &str = "run --model scattering --perplexity 3";

/// A tar of these files, by the plainest of its formats.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn pictures(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|i| png(&picture(i))).collect()
}

/// As Hugging Face writes data sets: `{bytes, path}`, classes as numbers, and what these are called.
fn hugging_face(pictures: &[Vec<u8>], names: &[Option<&str>]) -> Vec<u8> {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(pictures));
    let paths: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let column = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]);
    let labels: ArrayRef = Arc::new(Int64Array::from_iter_values((0..pictures.len() as i64).map(|i| i % 2)));
    let said = r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["zero", "one"], "_type": "ClassLabel"}}}}"#;
    let fields = [
        Field::new("image", arrow::array::Array::data_type(&column).clone(), true),
        Field::new("label", DataType::Int64, true),
    ];
    let schema = Schema::new(fields.to_vec()).with_metadata([("huggingface".to_owned(), said.to_owned())]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column), labels]).unwrap();
    let small = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(small)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The pictures of the last run, in their order.
fn images(story: &Story) -> Vec<String> {
    story.images().iter().map(|row| row.image.to_string()).collect()
}

fn fields(story: &Story) -> Vec<String> {
    let images = story.images();
    let path = |field: &FieldRow| &images.iter().find(|row| row.image == field.image).unwrap().path;
    let rows: Vec<FieldRow> = story.latest();
    rows.iter().map(|row| format!("{}|{}|{}", path(row), row.field, row.value)).collect()
}

#[test]
fn pictures_in_a_tar_are_those_of_the_folder() {
    let story = Story::with_photos(20);
    story.ok(&format!("{RUN} photos -o folder.png"));
    let expected = images(&story);
    let pictures = pictures(20);
    let names: Vec<String> = (0..20).map(|i| format!("./part/{i:04}.png")).collect();
    let mut files: Vec<(&str, &[u8])> = names.iter().zip(&pictures).map(|(name, bytes)| (&**name, &**bytes)).collect();
    let json = br#"{"caption": "seven", "url": "https://example.org/7", "exif": "{\"GPSLatitude\": 1}", "tags": ["a", "b"], "key": "0007"}"#;
    files.extend([
        ("part/0007.json", &json[..]),
        ("part/0008.txt", b"eight\n"),
        ("part/0008.cls", b"3"),
        ("part/0099.txt", b"of none"),
    ]);
    let long = format!("deep/{}/0001.png", "x".repeat(150));
    files.push((&long, &pictures[3]));
    files.push(("part/0000.png", b"again"));
    story.put("data-000.tar", &tar_of(&files));
    story.ok(&format!("{RUN} data-000.tar -o tar.png --cache tar"));
    let story_images = |cache: &str| {
        let bytes = story.read(&format!("{cache}/latest/images.parquet"));
        tsne_grid::artifact::rows::Row::from_batch(&tsne_grid::artifact::read_table(bytes).unwrap()).unwrap()
    };
    let rows: Vec<tsne_grid::artifact::rows::ImageRow> = story_images("tar");
    assert_eq!(
        rows.iter().filter(|row| row.duplicate_of.is_none()).map(|row| row.image.to_string()).collect::<Vec<_>>(),
        expected
    );
    assert_eq!((&*rows[0].path, &*rows[0].source, &*rows[20].path), ("part/0000.png", "data-000.tar", &*long));
    assert_eq!((rows[7].caption.as_deref(), rows[7].uri.as_deref()), (Some("seven"), Some("https://example.org/7")));
    assert_eq!(rows[8].caption.as_deref(), Some("eight"));
    assert!(story.read("tar.png") == story.read("folder.png"), "the same wall");
    // From here on the tar's run is the last one of the cache that the driver looks into.
    std::fs::rename(story.path("cache"), story.path("folder-cache")).unwrap();
    std::fs::rename(story.path("tar"), story.path("cache")).unwrap();
    let expected = ["tags|a", "tags|b", "key|0007"].map(|field| format!("part/0007.png|{field}"));
    assert_eq!(fields(&story), expected.into_iter().chain(["part/0008.png|class|3".to_owned()]).collect::<Vec<_>>());
    let skipped: Vec<(String, Reason)> = story.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    assert_eq!(
        skipped,
        [("part/0000.png".to_owned(), Reason::Unreadable), ("part/0099.txt".to_owned(), Reason::NotAnImage)]
    );
    assert_eq!(story.json(&format!("{RUN} data-000.tar -o tar.png"))["counts"]["embedded"], 0);
    // A folder of tars, and a part of one by one machine and the other by another.
    std::fs::create_dir(story.path("set")).unwrap();
    std::fs::rename(story.path("data-000.tar"), story.path("set/data-000.tar")).unwrap();
    story.ok("list set --artifact list.parquet");
    for i in 0..2 {
        story.ok(&format!("embed --model scattering --list list.parquet --shard {i}/2 --out place"));
    }
    story.ok(&format!("{RUN} --list list.parquet --shards place --cache many -o many.png"));
    assert!(story.read("many.png") == story.read("folder.png"));
    assert!(story.read("many/latest/images.parquet") == story.read("cache/latest/images.parquet"));
}

#[test]
fn pictures_in_a_parquet_are_those_of_the_folder() {
    let story = Story::with_photos(20);
    story.ok(&format!("{RUN} photos -o folder.png"));
    let expected = images(&story);
    let pictures = pictures(20);
    let mut names: Vec<Option<&str>> = vec![None; 20];
    (names[1], names[2]) = (Some("a/1.png"), Some("a/1.png"));
    story.put("train.parquet", &hugging_face(&pictures, &names));
    let flat: ArrayRef = Arc::new(BinaryArray::from_iter_values(&pictures));
    let captions: Vec<String> = (0..20).map(|i| format!("number {i}")).collect();
    let captions = text(&captions.iter().map(String::as_str).collect::<Vec<_>>());
    story.put("flat.parquet", &parquet(vec![("caption", captions), ("picture", flat)]));
    for file in ["train", "flat"] {
        story.ok(&format!("{RUN} {file}.parquet -o {file}.png"));
        assert_eq!(images(&story), expected);
        assert!(story.read(&format!("{file}.png")) == story.read("folder.png"), "the same wall");
    }
    assert_eq!(story.images()[3].caption.as_deref(), Some("number 3"));
    story.ok(&format!("{RUN} train.parquet -o train.png"));
    let rows = story.images();
    assert_eq!([0, 1, 2].map(|i| rows[i].path.as_str()), ["00000000", "a/1.png", "00000002"]);
    assert_eq!((fields(&story).len(), &*fields(&story)[1]), (20, "a/1.png|label|one"));
    // Shares of a table, of a folder of tables, beside a table without pictures.
    std::fs::create_dir(story.path("set")).unwrap();
    std::fs::rename(story.path("train.parquet"), story.path("set/train.parquet")).unwrap();
    story.put("set/words.parquet", &parquet(vec![("word", text(&["a", "b"]))]));
    story.ok("list set --artifact list.parquet");
    for i in 0..3 {
        story.ok(&format!("embed --model scattering --list list.parquet --shard {i}/3 --out place --tiles"));
    }
    std::fs::remove_file(story.path("set/train.parquet")).unwrap();
    story.ok(&format!("{RUN} --list list.parquet --shards place --cache many -o many.png"));
    assert!(story.read("many.png") == story.read("folder.png"));
}

#[test]
fn holders_that_are_cut_off_or_lie_cost_themselves() {
    let story = Story::new();
    let pictures = pictures(6);
    let names: Vec<String> = (0..6).map(|i| format!("{i}.png")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&pictures).map(|(name, bytes)| (&**name, &**bytes)).collect();
    let tar = tar_of(&files);
    story.put("cut.tar", &tar[..3 * tar.len() / 4]);
    let ran = story.run("embed cut.tar --model scattering");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(story.images().len() < 6 && !story.skipped().is_empty());
    story.put("none.tar", b"no tar at all");
    let ran = story.run("embed none.tar --model scattering");
    assert!(ran.code == 1 && ran.stderr.contains("none.tar is not a tar that can be read"), "{}", ran.stderr);
    let parquet = hugging_face(&pictures, &[None; 6]);
    for at in [100, 300, parquet.len() / 2] {
        let mut bad = parquet.clone();
        bad[at..at + 60].fill(0xff);
        story.put("bad.parquet", &bad);
        let ran = story.run("embed bad.parquet --model scattering");
        assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    story.put("cut.parquet", &parquet[..parquet.len() - 30]);
    let ran = story.run("embed cut.parquet --model scattering");
    assert!(
        ran.code == 1 && ran.stderr.contains("not-an-image") || ran.stderr.contains("no picture is left"),
        "{}",
        ran.stderr
    );
}
