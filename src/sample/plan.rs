//! Plans the posts of the sample account, independently of the format of the export.

use std::io::Cursor;

use anyhow::Result;
use image::codecs::jpeg::JpegEncoder;

use super::draw::{SCENES, Scene};
use crate::linalg::SplitMix64;

/// 2024-01-01 12:00 UTC, in seconds since 1970. The posts follow, some hours apart.
pub(super) const FIRST_POST: i64 = 1_704_110_400;

/// A picture and its post.
#[derive(Clone, Debug)]
pub struct SamplePicture {
    /// Its number in the sample, from 0.
    pub number: u32,
    /// When it was posted, in seconds since 1970 (UTC).
    pub time: i64,
    /// Whether it was posted as a story.
    pub story: bool,
    /// Number of the post, from 1. The pictures of a carousel share it.
    pub post: usize,
    /// Caption of the post.
    pub caption: String,
    scene: &'static Scene,
    seed: u64,
}

impl SamplePicture {
    /// Draws the picture and encodes it as a JPEG. The bytes are always the same.
    ///
    /// # Errors
    /// Only if the encoder fails.
    pub fn jpeg(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, 88).encode_image(&self.scene.draw(self.seed))?;
        Ok(bytes.into_inner())
    }

    /// The month of its time as `YYYYMM`.
    pub(super) fn month(&self) -> String {
        month(self.time)
    }

    /// A file name like those that Instagram gives.
    pub(super) fn file_name(&self) -> String {
        format!("{}_{:05}.jpg", 17_900_000_000_000_000_u64 + u64::from(self.number) * 977, self.number)
    }
}

/// The month of a time as `YYYYMM`.
pub(super) fn month(seconds: i64) -> String {
    format_time(seconds, "%Y%m")
}

/// Formats a time in UTC with a format string of `chrono`.
pub(super) fn format_time(seconds: i64, format: &str) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(String::new, |time| time.format(format).to_string())
}

/// Plans `images` pictures in the order of their times. About one post in eight is a story, and one in seven of the
/// others is a carousel of two to four pictures. A larger sample of the same seed begins with the smaller one.
pub fn plan(images: u32, seed: u64) -> Vec<SamplePicture> {
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
        pictures.push(SamplePicture {
            number,
            time,
            story,
            post,
            caption: caption.clone(),
            scene,
            seed: random.next_u64(),
        });
    }
    pictures
}

/// Groups the pictures by post, in order. A story is a post of its own.
pub(super) fn posts(plan: &[SamplePicture]) -> impl Iterator<Item = &[SamplePicture]> {
    plan.chunk_by(|a, b| a.post == b.post)
}
