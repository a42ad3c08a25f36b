//! A synthetic Instagram export (generation G4): drawn pictures, captions, times, carousels,
//! stories, a video stand-in. The same number and seed give the same bytes.

mod draw;
mod random;

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::store::replace_file;
use draw::Scene;
use random::Random;

/// The index that is written last: where it is, the export is complete.
const LAST: &str = "your_instagram_activity/media/posts_1.json";
/// Says that a folder is a sample and may be cleared.
const MARK: &str = ".tsne-grid-sample";
/// 2024-01-01 12:00 UTC; posts follow at some hours' distance.
const FIRST_POST: i64 = 1_704_110_400;

/// Writes an export of `images` pictures into `dir`, unless the same is there already; another
/// sample is replaced.
///
/// # Errors
/// When the folder cannot be written, or holds something else.
pub fn write(dir: &Path, images: u32, seed: u64) -> Result<()> {
    let plan = plan(images, seed);
    let index = ascii_json(&posts(&plan));
    if std::fs::read(dir.join(LAST)).is_ok_and(|there| there == index) {
        return Ok(());
    }
    make_room(dir)?;
    plan.par_iter().try_for_each(|picture| {
        let mut bytes = Cursor::new(Vec::new());
        let drawn = picture.scene.draw(picture.seed);
        JpegEncoder::new_with_quality(&mut bytes, 88).encode_image(&drawn)?;
        put(dir, &picture.uri, bytes.get_ref())
    })?;
    let media = "your_instagram_activity/media";
    put(dir, "media/reels/202403/reel_1.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2 a stand-in, not a film")?;
    put(dir, &format!("{media}/stories.json"), &ascii_json(&json!({"ig_stories": stories(&plan)})))?;
    let reel = json!({"ig_reels_media": [{"media": [{"uri": "media/reels/202403/reel_1.mp4", "creation_timestamp": FIRST_POST, "title": "in motion"}]}]});
    put(dir, &format!("{media}/reels.json"), &ascii_json(&reel))?;
    put(dir, LAST, &index)
}

/// Clears an older sample away; any other folder with something in it is not touched.
fn make_room(dir: &Path) -> Result<()> {
    let empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    let ours = dir.join(MARK).is_file();
    ensure!(empty || ours, "{} is not empty and holds no sample of tsne-grid; name another folder", dir.display());
    for folder in ["media", "your_instagram_activity"] {
        if dir.join(folder).is_dir() {
            fs_err::remove_dir_all(dir.join(folder))?;
        }
    }
    put(dir, MARK, b"A synthetic export, drawn by `tsne-grid sample`. It is cleared when another is written here.\n")
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    replace_file(&path, |file| file.write_all(bytes)).with_context(|| format!("cannot write {}", path.display()))
}

struct Picture {
    uri: String,
    scene: Scene,
    seed: u64,
    time: i64,
    story: bool,
    /// Pictures of one post have one number.
    post: usize,
    caption: String,
}

/// What is drawn and posted, in order: about one picture in eight is a story, one post in seven
/// is a carousel of two to four.
fn plan(images: u32, seed: u64) -> Vec<Picture> {
    let mut random = Random::new(seed);
    let mut pictures = Vec::new();
    let (mut post, mut left_in_post, mut time, mut scene, mut caption) =
        (0, 0, FIRST_POST, Scene::ALL[0], String::new());
    for i in 0..images {
        let story = left_in_post == 0 && random.below(8) == 0;
        if left_in_post == 0 {
            post += 1;
            time += 3_600 * (5 + random.below(60) as i64);
            left_in_post = if !story && random.below(7) == 0 { 2 + random.below(3) as u32 } else { 1 };
            scene = Scene::ALL[random.below(Scene::ALL.len() as u64) as usize];
            caption = scene.caption(random.next());
        }
        left_in_post -= 1;
        let folder = if story { "stories" } else { "posts" };
        let uri =
            format!("media/{folder}/{}/{}_{i:05}.jpg", month(time), 17_900_000_000_000_000_u64 + u64::from(i) * 977);
        pictures.push(Picture { uri, scene, seed: random.next(), time, story, post, caption: caption.clone() });
    }
    pictures
}

/// `YYYYMM` of a time.
fn month(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(String::new, |time| time.format("%Y%m").to_string())
}

fn posts(plan: &[Picture]) -> Value {
    let posts = plan.chunk_by(|a, b| a.post == b.post).filter(|post| !post[0].story).map(|post| {
        let media = |picture: &Picture, title: &str| {
            json!({"uri": picture.uri, "creation_timestamp": picture.time, "title": mangled(title), "media_metadata": {}})
        };
        match post {
            [one] => json!({"media": [media(one, &one.caption)]}),
            many => json!({
                "media": many.iter().map(|picture| media(picture, "")).collect::<Vec<_>>(),
                "title": mangled(&many[0].caption),
                "creation_timestamp": many[0].time,
            }),
        }
    });
    Value::Array(posts.collect())
}

fn stories(plan: &[Picture]) -> Vec<Value> {
    let stories = plan.iter().filter(|picture| picture.story);
    stories.map(|s| json!({"uri": s.uri, "creation_timestamp": s.time, "title": ""})).collect()
}

/// Text as exports have it: every UTF-8 byte a character of its own.
fn mangled(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// JSON in ASCII, with everything else as `\u00xx`.
fn ascii_json(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() { text.push(c) } else { text.push_str(&format!("\\u{:04x}", u32::from(c))) }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_same_each_time_and_no_two_pictures_are() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for dir in &dirs {
            write(dir.path(), 20, 7).unwrap();
        }
        let mut pictures = std::collections::BTreeSet::new();
        for picture in plan(20, 7) {
            let [one, two] = dirs.each_ref().map(|dir| std::fs::read(dir.path().join(&picture.uri)).unwrap());
            assert_eq!(one, two);
            assert!(pictures.insert(one));
        }
        let index = std::fs::read(dirs[0].path().join(LAST)).unwrap();
        assert!(index.is_ascii());
    }
}
