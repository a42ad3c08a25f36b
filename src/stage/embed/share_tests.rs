//! Tests of shares: their rows, the variables of schedulers, and a large synthetic list.

use super::*;
use crate::artifact::input_list::{ListRow, encode};
use crate::config::{EmbedSettings, ModelName};
use crate::linalg::Random;
use crate::model::{Hub, resolve};
use crate::report::Silent;

#[test]
fn shares_are_written_as_they_are_read_and_have_every_row_once() {
    for text in ["0/1", "6/7"] {
        assert_eq!(text.parse::<ListShare>().unwrap().to_string(), text);
    }
    for text in ["", "1", "1/1", "7/7", "-1/2", "0/0", "a/b"] {
        assert!(text.parse::<ListShare>().is_err(), "{text}");
    }
    for count in 1..9 {
        for rows in 0..20 {
            let shares = (0..count).map(|index| ListShare { index, count });
            assert_eq!(shares.clone().map(|share| share.rows(rows)).sum::<usize>(), rows);
            for share in shares {
                assert_eq!(share.rows(rows), (0..rows).filter(|row| ListShare::of(*row, count) == share).count());
            }
        }
    }
}

#[test]
fn schedulers_are_understood_or_named() {
    let share = |count, variables: &[(&str, &str)]| {
        share_from_scheduler(count, |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let index = ("AWS_BATCH_JOB_ARRAY_INDEX", "2");
    assert_eq!(share(Some(4), &[index]).unwrap(), ListShare { index: 2, count: 4 });
    assert_eq!(share(None, &[index, ("AWS_BATCH_JOB_ARRAY_SIZE", "3")]).unwrap(), ListShare { index: 2, count: 3 });
    for (count, variables, expected) in [
        (None, vec![], "JOB_COMPLETION_INDEX"),
        (None, vec![index], "AWS_BATCH_JOB_ARRAY_SIZE is not"),
        (Some(2), vec![index], "outside the 2 shards"),
        (Some(2), vec![("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_MIN", "2")], "outside the 2 shards"),
    ] {
        let error = share(count, &variables).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Writes a list and shards of pictures that do not exist, to test
/// `tsne-grid embed --list made/list.parquet --shards made/place --model scattering`. The time and memory that this
/// takes are in docs/scale-out.md.
#[test]
#[ignore = "makes 5 GB: TSNE_GRID_MADE=FOLDER TSNE_GRID_ROWS=1000000"]
fn a_collection_is_made_to_be_gathered() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (folder, rows) =
        (std::path::PathBuf::from(variable("TSNE_GRID_MADE")), variable("TSNE_GRID_ROWS").parse().unwrap());
    let of_row = |row: usize| ListRow {
        bytes: Some(1),
        size: Some(1),
        inode: Some(row as u64),
        modified_ns: Some(1),
        changed_ns: Some(1),
        ..ListRow::unread(format!("part-{:04}/a-picture-of-many-{row:08}.jpg", row / 1000), "pictures".into())
    };
    let key = ListRow::key(json!({"source": {}}), []);
    let facts = Findings::from([("sources".to_owned(), r#"[["pictures", "/nowhere/pictures"]]"#.to_owned())]);
    let list = encode(key, facts, rows, |first, last| (first..last).map(of_row).collect()).unwrap();
    let path = folder.join("list.parquet");
    crate::store::replace_file(&path, |file| file.write_all(&list)).unwrap();
    let settings = EmbedSettings { model: ModelName::Scattering, ..EmbedSettings::default() };
    let hub = Hub { models: Store::new(folder.join("models")), offline: true, reporter: std::sync::Arc::new(Silent) };
    let spec = resolve(&settings, &hub).unwrap();
    let place = SharedStore::parse(folder.join("place").to_str().unwrap()).unwrap();
    let list = ListFile::open(&path, &Store::new(folder.join("cache"))).unwrap();
    let sharing = DistributedEmbedding::new(list, place, &[], settings.decode, &LimitSettings::default());
    let (count, mut random) = (4, Random::new(1, 1));
    for index in 0..count {
        let share = ListShare { index, count };
        let rows: Vec<usize> = (index..rows).step_by(count).collect();
        for (number, rows) in rows.chunks(PART_ROWS).enumerate() {
            let mut contents = PartContents { found: Vec::new(), vectors: Vectors::empty(spec.dim), tiles: Vec::new() };
            for &row in rows {
                let image = ImageId::of(&row.to_le_bytes());
                contents.vectors.names.push(image.clone());
                contents.vectors.values.extend((0..spec.dim).map(|_| random.uniform() as f32));
                let facts = crate::photo::ImageHeader { format: crate::photo::Format::Jpeg, width: 640, height: 480 };
                let picture =
                    ImageRecord { image, bytes: 1, taken: None, status: DecodeStatus::Decodable(facts, None) };
                contents.found.push(super::row(row, Inspection::Picture(picture)));
            }
            sharing.publish(SharePart { share, number }, &spec, contents, None).unwrap();
        }
    }
}
