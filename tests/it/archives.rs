//! Files that contain many pictures: tars (webdataset), and Parquet files with a column of pictures.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tsne_grid::artifact::SkipReason;

use crate::sandbox::{Sandbox, picture, png};
use crate::tables::{parquet, text};

const RUN: &str = "run --model scattering --perplexity 3";

/// A tar with these files, in the plain (ustar) format.
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

/// A data set as Hugging Face writes it: `{bytes, path}`, classes as numbers, and the names of the classes.
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

/// The pictures of the last run, in order.
fn images(sandbox: &Sandbox) -> Vec<String> {
    sandbox.images().iter().map(|row| row.image.to_string()).collect()
}

#[test]
fn pictures_in_a_tar_are_those_of_the_folder() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(&format!("{RUN} photos -o folder.png"));
    let expected = images(&sandbox);
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
    sandbox.put("data-000.tar", &tar_of(&files));
    sandbox.ok(&format!("{RUN} data-000.tar -o tar.png --cache tar"));
    let story_images = |cache: &str| {
        let bytes = sandbox.read(&format!("{cache}/latest/images.parquet"));
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
    assert!(sandbox.read("tar.png") == sandbox.read("folder.png"), "the same wall");
    // The sandbox's helpers read the folder `cache`, so the cache of the tar's run is moved there.
    std::fs::rename(sandbox.path("cache"), sandbox.path("folder-cache")).unwrap();
    std::fs::rename(sandbox.path("tar"), sandbox.path("cache")).unwrap();
    let expected = ["tags|a", "tags|b", "key|0007"].map(|field| format!("part/0007.png|{field}"));
    assert_eq!(sandbox.fields(), expected.into_iter().chain(["part/0008.png|class|3".to_owned()]).collect::<Vec<_>>());
    let skipped: Vec<(String, SkipReason)> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    assert_eq!(
        skipped,
        [("part/0000.png".to_owned(), SkipReason::Unreadable), ("part/0099.txt".to_owned(), SkipReason::NotAnImage)]
    );
    assert_eq!(sandbox.json(&format!("{RUN} data-000.tar -o tar.png"))["counts"]["embedded"], 0);
    // A folder of tars, embedded in two shares.
    std::fs::create_dir(sandbox.path("set")).unwrap();
    std::fs::rename(sandbox.path("data-000.tar"), sandbox.path("set/data-000.tar")).unwrap();
    sandbox.ok("list set --artifact list.parquet");
    for i in 0..2 {
        sandbox.ok(&format!("embed --model scattering --list list.parquet --shard {i}/2 --out place"));
    }
    sandbox.ok(&format!("{RUN} --list list.parquet --shards place --cache many -o many.png"));
    assert!(sandbox.read("many.png") == sandbox.read("folder.png"));
    assert!(sandbox.read("many/latest/images.parquet") == sandbox.read("cache/latest/images.parquet"));
}

#[test]
fn pictures_in_a_parquet_are_those_of_the_folder() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(&format!("{RUN} photos -o folder.png"));
    let expected = images(&sandbox);
    let pictures = pictures(20);
    let mut names: Vec<Option<&str>> = vec![None; 20];
    (names[1], names[2]) = (Some("a/1.png"), Some("a/1.png"));
    sandbox.put("train.parquet", &hugging_face(&pictures, &names));
    let flat: ArrayRef = Arc::new(BinaryArray::from_iter_values(&pictures));
    let captions: Vec<String> = (0..20).map(|i| format!("number {i}")).collect();
    let captions = text(&captions.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.put("flat.parquet", &parquet(vec![("caption", captions), ("picture", flat)]));
    for file in ["train", "flat"] {
        sandbox.ok(&format!("{RUN} {file}.parquet -o {file}.png"));
        assert_eq!(images(&sandbox), expected);
        assert!(sandbox.read(&format!("{file}.png")) == sandbox.read("folder.png"), "the same wall");
    }
    assert_eq!(sandbox.images()[3].caption.as_deref(), Some("number 3"));
    sandbox.ok(&format!("{RUN} train.parquet -o train.png"));
    let rows = sandbox.images();
    assert_eq!([0, 1, 2].map(|i| rows[i].path.as_str()), ["00000000", "a/1.png", "00000002"]);
    assert_eq!((sandbox.fields().len(), &*sandbox.fields()[1]), (20, "a/1.png|label|one"));
    // Shares of a Parquet file in a folder that also has a Parquet file without pictures.
    std::fs::create_dir(sandbox.path("set")).unwrap();
    std::fs::rename(sandbox.path("train.parquet"), sandbox.path("set/train.parquet")).unwrap();
    sandbox.put("set/words.parquet", &parquet(vec![("word", text(&["a", "b"]))]));
    sandbox.ok("list set --artifact list.parquet");
    for i in 0..3 {
        sandbox.ok(&format!("embed --model scattering --list list.parquet --shard {i}/3 --out place --tiles"));
    }
    std::fs::remove_file(sandbox.path("set/train.parquet")).unwrap();
    sandbox.ok(&format!("{RUN} --list list.parquet --shards place --cache many -o many.png"));
    assert!(sandbox.read("many.png") == sandbox.read("folder.png"));
}

#[test]
fn holders_that_are_cut_off_or_lie_cost_themselves() {
    let sandbox = Sandbox::new();
    let pictures = pictures(6);
    let names: Vec<String> = (0..6).map(|i| format!("{i}.png")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&pictures).map(|(name, bytes)| (&**name, &**bytes)).collect();
    let tar = tar_of(&files);
    sandbox.put("cut.tar", &tar[..3 * tar.len() / 4]);
    let ran = sandbox.run("embed cut.tar --model scattering");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(sandbox.images().len() < 6 && !sandbox.skipped().is_empty());
    sandbox.put("none.tar", b"no tar at all");
    let ran = sandbox.run("embed none.tar --model scattering");
    assert!(ran.code == 1 && ran.stderr.contains("none.tar is not a readable tar"), "{}", ran.stderr);
    let parquet = hugging_face(&pictures, &[None; 6]);
    for at in [100, 300, parquet.len() / 2] {
        let mut bad = parquet.clone();
        bad[at..at + 60].fill(0xff);
        sandbox.put("bad.parquet", &bad);
        let ran = sandbox.run("embed bad.parquet --model scattering");
        assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    sandbox.put("cut.parquet", &parquet[..parquet.len() - 30]);
    let ran = sandbox.run("embed cut.parquet --model scattering");
    assert!(
        ran.code == 1 && ran.stderr.contains("not-an-image") || ran.stderr.contains("no usable picture"),
        "{}",
        ran.stderr
    );
}
