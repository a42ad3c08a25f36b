//! The sample written as each generation of the export: where the pictures lie, and the files
//! that say something of them.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::plan::{FIRST_POST, Picture, formatted, month, posts};

/// The generations that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
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
    /// Pages instead of JSON: no captions, no dates
    Html,
    /// As Instaloader saves an account
    Instaloader,
}

/// The beginning of a film, as far as anybody looks.
const FILM: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2 a stand-in, not a film";

impl Layout {
    /// Where a picture lies.
    pub(super) fn place(self, picture: &Picture, plan: &[Picture]) -> String {
        let folder = if picture.story { "stories" } else { "posts" };
        match self {
            Self::G1 if picture.story => format!("stories/{}/{}", picture.month(), picture.file_name()),
            Self::G1 => format!("photos/{}/{}", picture.month(), picture.file_name()),
            Self::Instaloader => format!("{}.jpg", instaloader_stem(picture, plan)),
            _ => format!("media/{folder}/{}/{}", picture.month(), picture.file_name()),
        }
    }

    /// Everything beside the pictures: names and contents.
    pub(super) fn texts(self, plan: &[Picture]) -> Result<Vec<(String, Vec<u8>)>> {
        let place = |picture: &Picture| self.place(picture, plan);
        Ok(match self {
            Self::G1 => vec![("media.json".into(), ascii_json(&first_index(plan, place))), film("videos")],
            Self::G2 => modern("content", "igtv", "igtv_videos", plan, place),
            Self::G3 => modern("your_instagram_activity/content", "igtv", "igtv_videos", plan, place),
            Self::G4 => modern("your_instagram_activity/media", "reels", "reels", plan, place),
            Self::G5 => {
                let mut texts = modern("your_instagram_activity/media", "reels", "reels", plan, place);
                texts.push(("your_instagram_activity/media/posts.json".into(), ascii_json(&labelled(plan, place))));
                texts
            }
            Self::Html => pages(plan, place),
            Self::Instaloader => instaloader(plan)?,
        })
    }
}

fn film(folder: &str) -> (String, Vec<u8>) {
    (format!("{folder}/{}/reel_1.mp4", month(FIRST_POST + 60 * 86_400)), FILM.to_vec())
}

/// G2 to G4: an index for posts, one for stories, one for films.
fn modern(
    folder: &str,
    films: &str,
    film_index: &str,
    plan: &[Picture],
    place: impl Fn(&Picture) -> String,
) -> Vec<(String, Vec<u8>)> {
    let (film_path, film_bytes) = film(&format!("media/{films}"));
    let key = if films == "reels" { "ig_reels_media" } else { "ig_igtv_media" };
    let about_film =
        json!({key: [{"media": [{"uri": film_path, "creation_timestamp": FIRST_POST, "title": "in motion"}]}]});
    let medium = |picture: &Picture, title: &str| json!({"uri": place(picture), "creation_timestamp": picture.time, "title": mangled(title), "media_metadata": {}});
    let post = |post: &[Picture]| match post {
        [one] => json!({"media": [medium(one, &one.caption)]}),
        many => json!({
            "media": many.iter().map(|picture| medium(picture, "")).collect::<Vec<_>>(),
            "title": mangled(&many[0].caption),
            "creation_timestamp": many[0].time,
        }),
    };
    let story = |s: &Picture| json!({"uri": place(s), "creation_timestamp": s.time, "title": ""});
    let all_posts: Vec<Value> = posts(plan).filter(|post| !post[0].story).map(post).collect();
    let stories: Vec<Value> = plan.iter().filter(|picture| picture.story).map(story).collect();
    vec![
        (film_path, film_bytes),
        (format!("{folder}/stories.json"), ascii_json(&json!({"ig_stories": stories}))),
        (format!("{folder}/{film_index}.json"), ascii_json(&about_film)),
        (format!("{folder}/posts_1.json"), ascii_json(&Value::Array(all_posts))),
    ]
}

/// G1: a list for each kind; a carousel's pictures stand there one by one.
fn first_index(plan: &[Picture], place: impl Fn(&Picture) -> String) -> Value {
    let taken_at = |time| formatted(time, "%Y-%m-%dT%H:%M:%S");
    let list = |stories: bool| -> Vec<Value> {
        let file = |p: &Picture| {
            let caption = if p.story { String::new() } else { mangled(&p.caption) };
            json!({"caption": caption, "taken_at": taken_at(p.time), "path": place(p)})
        };
        plan.iter().filter(|picture| picture.story == stories).map(file).collect()
    };
    let film = json!({"caption": "in motion", "taken_at": taken_at(FIRST_POST), "path": film("videos").0});
    json!({"photos": list(false), "videos": [film], "stories": list(true)})
}

/// G5: labels instead of fields, here in German.
fn labelled(plan: &[Picture], place: impl Fn(&Picture) -> String) -> Value {
    let entry = |post: &[Picture]| {
        let media: Vec<Value> =
            post.iter().map(|p| json!({"uri": place(p), "creation_timestamp": p.time, "title": ""})).collect();
        json!({"timestamp": post[0].time, "media": [], "fbid": post[0].file_name(), "label_values": [
            {"label": "Bildunterschrift", "value": mangled(&post[0].caption)},
            {"label": mangled("Veröffentlicht"), "value": formatted(post[0].time, "%d.%m.%Y")},
            {"label": "Medien", "media": media},
        ]})
    };
    posts(plan).filter(|post| !post[0].story).map(entry).collect()
}

fn pages(plan: &[Picture], place: impl Fn(&Picture) -> String) -> Vec<(String, Vec<u8>)> {
    let figures: Vec<String> =
        plan.iter().filter(|picture| !picture.story).map(|p| format!("<img src=\"../../{}\">", place(p))).collect();
    let page =
        |body: &str| format!("<!doctype html><meta charset=\"utf-8\"><title>Instagram</title>{body}").into_bytes();
    vec![
        ("start_here.html".into(), page("<a href=\"your_instagram_activity/media/posts_1.html\">Posts</a>")),
        ("your_instagram_activity/media/posts_1.html".into(), page(&figures.join("\n"))),
    ]
}

/// The part of the name that a picture shares with its caption, and its number in a carousel.
fn instaloader_stem(picture: &Picture, plan: &[Picture]) -> String {
    let stamp = formatted(picture.time, "%Y-%m-%d_%H-%M-%S_UTC");
    let post: Vec<u32> = plan.iter().filter(|p| p.post == picture.post).map(|p| p.number).collect();
    match post.as_slice() {
        [first, _, ..] => format!("{stamp}_{}", picture.number - first + 1),
        _ => stamp,
    }
}

/// A caption and metadata for each post; the last picture is the still of a film.
fn instaloader(plan: &[Picture]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut texts = vec![("id".to_owned(), b"4711\n".to_vec())];
    for post in posts(plan) {
        let stamp = formatted(post[0].time, "%Y-%m-%d_%H-%M-%S_UTC");
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
        texts.push((format!("{}.mp4", instaloader_stem(last, plan)), FILM.to_vec()));
    }
    Ok(texts)
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
