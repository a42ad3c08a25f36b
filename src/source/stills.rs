//! Where an export or a downloader has left a picture of the same name next to a video, that picture represents the
//! video.

use std::collections::BTreeMap;

use super::Entry;
use crate::photo::Format::{self, Bmp, Gif, Raw, Tiff};

/// Adds the metadata of a video to the picture next to it, and records the picture in the entry of the video.
pub(super) fn annotate(entries: &mut [Entry]) {
    let stem = |entry: &Entry| Some((entry.source.clone(), entry.path.rsplit_once('.')?.0.to_owned()));
    let is_video = |entry: &Entry| matches!(entry.suffix().as_str(), "mp4" | "mov" | "m4v" | "webm");
    // Only videos with a kind from a site count. In an ordinary folder, two files of the same name need not belong
    // together.
    let videos = entries.iter().enumerate().filter(|(_, entry)| entry.metadata.kind.is_some() && is_video(entry));
    let videos: BTreeMap<_, usize> = videos.filter_map(|(i, entry)| Some((stem(entry)?, i))).collect();
    // No site stores stills as animations, as raw files or without compression.
    let is_still = |entry: &Entry| {
        Format::of_suffix(&entry.suffix()).is_some_and(|format| !matches!(format, Gif | Bmp | Tiff | Raw))
    };
    if videos.is_empty() {
        return;
    }
    for i in 0..entries.len() {
        let video = stem(&entries[i]).and_then(|stem| videos.get(&stem).copied());
        let Some(video) = video.filter(|_| is_still(&entries[i])) else { continue };
        entries[video].still = Some(entries[i].path.clone());
        let mut video_metadata = entries[video].metadata.clone();
        video_metadata.uri = None;
        let picture = &mut entries[i].metadata;
        // The kind of a picture that no index lists comes from its folder alone, so the metadata of the video is
        // preferred.
        if picture.uri.is_none() {
            std::mem::swap(picture, &mut video_metadata);
        }
        picture.fill(&video_metadata);
    }
}
