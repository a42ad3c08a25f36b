//! What the sample's account has drawn and posted, whatever export it is then written as.

use std::io::Cursor;

use anyhow::Result;
use image::codecs::jpeg::JpegEncoder;

use super::draw::{SCENES, Scene};
use crate::linalg::SplitMix64;

/// 2024-01-01 12:00 UTC; posts follow at some hours' distance.
pub(super) const FIRST_POST: i64 = 1_704_110_400;

/// A picture and what was said of it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its number in the sample, from 0.
    pub number: u32,
    /// When it was posted, in seconds since 1970 (UTC).
    pub time: i64,
    /// Whether it was a story rather than a post.
    pub story: bool,
    /// Pictures of one post have one number.
    pub post: usize,
    /// What was said of the post.
    pub caption: String,
    scene: &'static Scene,
    seed: u64,
}

impl Picture {
    /// The picture as a JPEG; the same each time.
    ///
    /// # Errors
    /// Only if the encoder fails.
    pub fn jpeg(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, 88).encode_image(&self.scene.draw(self.seed))?;
        Ok(bytes.into_inner())
    }

    /// `YYYYMM` of its time.
    pub(super) fn month(&self) -> String {
        month(self.time)
    }

    /// The name that the site would have given its file.
    pub(super) fn file_name(&self) -> String {
        format!("{}_{:05}.jpg", 17_900_000_000_000_000_u64 + u64::from(self.number) * 977, self.number)
    }
}

pub(super) fn month(seconds: i64) -> String {
    formatted(seconds, "%Y%m")
}

/// A time as text.
pub(super) fn formatted(seconds: i64, format: &str) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(String::new, |time| time.format(format).to_string())
}

/// What is drawn and posted, in order: about one picture in eight is a story, one post in seven
/// is a carousel of two to four. A larger sample of the same seed begins with the smaller one.
pub fn plan(images: u32, seed: u64) -> Vec<Picture> {
    let mut random = SplitMix64::new(seed);
    let mut pictures = Vec::new();
    let (mut post, mut left_in_post, mut time, mut scene, mut caption) = (0, 0, FIRST_POST, &SCENES[0], String::new());
    for number in 0..images {
        let story = left_in_post == 0 && random.below(8) == 0;
        if left_in_post == 0 {
            post += 1;
            time += 3_600 * (5 + random.below(60) as i64);
            left_in_post = if !story && random.below(7) == 0 { 2 + random.below(3) as u32 } else { 1 };
            scene = &SCENES[random.below(SCENES.len() as u64) as usize];
            caption = scene.caption(random.next_u64());
        }
        left_in_post -= 1;
        pictures.push(Picture { number, time, story, post, caption: caption.clone(), scene, seed: random.next_u64() });
    }
    pictures
}

/// The pictures of each post, in order; a story is a post of its own.
pub(super) fn posts(plan: &[Picture]) -> impl Iterator<Item = &[Picture]> {
    plan.chunk_by(|a, b| a.post == b.post)
}
