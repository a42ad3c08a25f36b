//! A cache that an earlier version made stays what it was: `golden/old-cache.zip` is one, with its pictures
//! (scripts/old_cache.py).

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::driver::Story;

const RUN: &str = "run photos --model scattering --perplexity 5 --cell 16 --large 48 -o wall.png";

fn old() -> Story {
    let story = Story::new();
    let pack = include_bytes!("golden/old-cache.zip");
    zip::ZipArchive::new(Cursor::new(pack)).unwrap().extract(story.path("")).unwrap();
    story
}

fn cells(story: &Story) -> BTreeMap<String, (u32, u32)> {
    story.assigned().into_iter().map(|cell| (cell.image.to_string(), (cell.row, cell.col))).collect()
}

#[test]
fn an_old_cache_is_fresh() {
    let story = old();
    let status = story.run(&RUN.replace("run", "status --check"));
    assert_eq!(status.code, 0, "{}", status.stdout);
    assert!(story.made_by(RUN).is_empty());
}

#[test]
fn an_old_wall_grows_and_keeps_its_cells() {
    let story = old();
    let before = cells(&story);
    for entry in std::fs::read_dir(story.path("more")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, story.path("photos").join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(story.json(RUN)["counts"]["embedded"], 6);
    let after = cells(&story);
    let kept = before.iter().filter(|(image, cell)| after.get(*image) == Some(cell)).count();
    let (layout, assigned) = story.findings();
    assert_eq!((layout.grown_from, assigned.kept), (Some(24), Some(kept as f64 / 24.0)));
    assert!(kept >= 15, "{kept} of 24");
}
