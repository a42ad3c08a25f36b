//! The formats in which the sample can be written: the paths of the pictures, and the metadata files.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::plan::{FIRST_POST, SamplePicture, format_time, month, posts};

/// The format of an export: Instagram's own since 2018, or that of Instaloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportLayout {
    /// 2018 to 2021: media.json
    G1,
    /// 2021 to 2023: content/posts_1.json
    G2,
    /// 2024: your_instagram_activity/content/posts_1.json
    G3,
    /// Since 2024: your_instagram_activity/media/posts_1.json
    G4,
    /// Since 2025: as g4, and posts.json with labels in the account's language
    G5,
    /// HTML pages instead of JSON: no captions, no dates
    Html,
    /// As Instaloader saves an account
    Instaloader,
}

/// A placeholder for a video: an `ftyp` box, which is enough to be recognised as one.
const VIDEO_STUB: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2 a stand-in, not a film";

impl ExportLayout {
    /// Path of a picture in the export.
    pub(super) fn path_of(self, picture: &SamplePicture, plan: &[SamplePicture]) -> String {
        let folder = if picture.story { "stories" } else { "posts" };
        match self {
            Self::G1 if picture.story => format!("stories/{}/{}", picture.month(), picture.file_name()),
            Self::G1 => format!("photos/{}/{}", picture.month(), picture.file_name()),
            Self::Instaloader => format!("{}.jpg", instaloader_stem(picture, plan)),
            _ => format!("media/{folder}/{}/{}", picture.month(), picture.file_name()),
        }
    }

    /// Paths and contents of all files other than the pictures.
    pub(super) fn metadata_files(self, plan: &[SamplePicture]) -> Result<Vec<(String, Vec<u8>)>> {
        let path_of = |picture: &SamplePicture| self.path_of(picture, plan);
        Ok(match self {
            Self::G1 => vec![("media.json".into(), ascii_json(&g1_index(plan, path_of))), video_stub("videos")],
            Self::G2 => json_export("content", "igtv", "igtv_videos", plan, path_of),
            Self::G3 => json_export("your_instagram_activity/content", "igtv", "igtv_videos", plan, path_of),
            Self::G4 => json_export("your_instagram_activity/media", "reels", "reels", plan, path_of),
            Self::G5 => {
                let mut texts = json_export("your_instagram_activity/media", "reels", "reels", plan, path_of);
                texts.push(("your_instagram_activity/media/posts.json".into(), ascii_json(&g5_index(plan, path_of))));
                texts
            }
            Self::Html => html_export(plan, path_of),
            Self::Instaloader => instaloader(plan)?,
        })
    }
}

/// Path and content of the placeholder for a video.
fn video_stub(folder: &str) -> (String, Vec<u8>) {
    (format!("{folder}/{}/reel_1.mp4", month(FIRST_POST + 60 * 86_400)), VIDEO_STUB.to_vec())
}

/// G2 to G4: one index each of posts, stories and videos.
fn json_export(
    folder: &str,
    video_folder: &str,
    video_index: &str,
    plan: &[SamplePicture],
    path_of: impl Fn(&SamplePicture) -> String,
) -> Vec<(String, Vec<u8>)> {
    let (video_path, video_bytes) = video_stub(&format!("media/{video_folder}"));
    let key = if video_folder == "reels" { "ig_reels_media" } else { "ig_igtv_media" };
    let video_entry =
        json!({key: [{"media": [{"uri": video_path, "creation_timestamp": FIRST_POST, "title": "in motion"}]}]});
    let media_entry = |picture: &SamplePicture, title: &str| json!({"uri": path_of(picture), "creation_timestamp": picture.time, "title": double_encoded(title), "media_metadata": {}});
    let post = |post: &[SamplePicture]| match post {
        [single] => json!({"media": [media_entry(single, &single.caption)]}),
        many => json!({
            "media": many.iter().map(|picture| media_entry(picture, "")).collect::<Vec<_>>(),
            "title": double_encoded(&many[0].caption),
            "creation_timestamp": many[0].time,
        }),
    };
    let story = |s: &SamplePicture| json!({"uri": path_of(s), "creation_timestamp": s.time, "title": ""});
    let all_posts: Vec<Value> = posts(plan).filter(|post| !post[0].story).map(post).collect();
    let stories: Vec<Value> = plan.iter().filter(|picture| picture.story).map(story).collect();
    vec![
        (video_path, video_bytes),
        (format!("{folder}/stories.json"), ascii_json(&json!({"ig_stories": stories}))),
        (format!("{folder}/{video_index}.json"), ascii_json(&video_entry)),
        (format!("{folder}/posts_1.json"), ascii_json(&Value::Array(all_posts))),
    ]
}

/// G1: one file with a list of each kind. The pictures of a carousel are separate entries.
fn g1_index(plan: &[SamplePicture], path_of: impl Fn(&SamplePicture) -> String) -> Value {
    let taken_at = |time| format_time(time, "%Y-%m-%dT%H:%M:%S");
    let list = |stories: bool| -> Vec<Value> {
        let file = |p: &SamplePicture| {
            let caption = if p.story { String::new() } else { double_encoded(&p.caption) };
            json!({"caption": caption, "taken_at": taken_at(p.time), "path": path_of(p)})
        };
        plan.iter().filter(|picture| picture.story == stories).map(file).collect()
    };
    let video = json!({"caption": "in motion", "taken_at": taken_at(FIRST_POST), "path": video_stub("videos").0});
    json!({"photos": list(false), "videos": [video], "stories": list(true)})
}

/// G5: `posts.json`, with labels in the account's language (here German) instead of fields.
fn g5_index(plan: &[SamplePicture], path_of: impl Fn(&SamplePicture) -> String) -> Value {
    let entry = |post: &[SamplePicture]| {
        let media: Vec<Value> =
            post.iter().map(|p| json!({"uri": path_of(p), "creation_timestamp": p.time, "title": ""})).collect();
        json!({"timestamp": post[0].time, "media": [], "fbid": post[0].file_name(), "label_values": [
            {"label": "Bildunterschrift", "value": double_encoded(&post[0].caption)},
            {"label": double_encoded("Veröffentlicht"), "value": format_time(post[0].time, "%d.%m.%Y")},
            {"label": "Medien", "media": media},
        ]})
    };
    posts(plan).filter(|post| !post[0].story).map(entry).collect()
}

fn html_export(plan: &[SamplePicture], path_of: impl Fn(&SamplePicture) -> String) -> Vec<(String, Vec<u8>)> {
    let figures: Vec<String> =
        plan.iter().filter(|picture| !picture.story).map(|p| format!("<img src=\"../../{}\">", path_of(p))).collect();
    let page =
        |body: &str| format!("<!doctype html><meta charset=\"utf-8\"><title>Instagram</title>{body}").into_bytes();
    vec![
        ("start_here.html".into(), page("<a href=\"your_instagram_activity/media/posts_1.html\">Posts</a>")),
        ("your_instagram_activity/media/posts_1.html".into(), page(&figures.join("\n"))),
    ]
}

/// The name of a picture without its suffix: the post's time, which the names of its caption and metadata share, and
/// the number within a carousel.
fn instaloader_stem(picture: &SamplePicture, plan: &[SamplePicture]) -> String {
    let stamp = format_time(picture.time, "%Y-%m-%d_%H-%M-%S_UTC");
    let post: Vec<u32> = plan.iter().filter(|p| p.post == picture.post).map(|p| p.number).collect();
    match post.as_slice() {
        [first, _, ..] => format!("{stamp}_{}", picture.number - first + 1),
        _ => stamp,
    }
}

/// Instaloader: a caption and metadata for each post. The last picture is the still of a video.
fn instaloader(plan: &[SamplePicture]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut texts = vec![("id".to_owned(), b"4711\n".to_vec())];
    for post in posts(plan) {
        let stamp = format_time(post[0].time, "%Y-%m-%d_%H-%M-%S_UTC");
        let caption = if post[0].story { "" } else { &post[0].caption };
        if !caption.is_empty() {
            texts.push((format!("{stamp}.txt"), format!("{caption}\n").into_bytes()));
        }
        let edges = if caption.is_empty() { json!([]) } else { json!([{"node": {"text": caption}}]) };
        let metadata = json!({
            "node": {"taken_at_timestamp": post[0].time, "edge_media_to_caption": {"edges": edges}},
            "instaloader": {"version": "4.14", "node_type": if post[0].story { "StoryItem" } else { "Post" }},
        });
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1))?;
        xz.write_all(metadata.to_string().as_bytes())?;
        texts.push((format!("{stamp}.json.xz"), xz.finish()?));
    }
    if let Some(last) = plan.last() {
        texts.push((format!("{}.mp4", instaloader_stem(last, plan)), VIDEO_STUB.to_vec()));
    }
    Ok(texts)
}

/// Encodes text like Instagram's exports, in which every byte of the UTF-8 is a character of its own (mojibake).
fn double_encoded(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// Writes JSON in ASCII, with all other characters as `\uXXXX`.
fn ascii_json(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() { text.push(c) } else { text.push_str(&format!("\\u{:04x}", u32::from(c))) }
    }
    text.into_bytes()
}
