//! gallery-dl: `x.jpg.json` next to `x.jpg`, with the metadata of the site. Each site has its own names for the fields;
//! these are the usual ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::metadata::{Membership, Metadata, caption};
use super::super::timestamp;
use crate::artifact::{CaptureDate, DateProvider};
use crate::config::PictureKind;

const CAPTION: [&str; 7] = ["description", "content", "caption", "text", "post_caption", "selftext", "title"];
const TAKEN_AT: [&str; 8] =
    ["date", "post_date", "created_at", "taken_at", "published", "upload_date", "date_url", "timestamp"];
const TAGS: [&str; 4] = ["tags", "hashtags", "tag_string", "keywords"];
const POST: [&str; 7] = ["post_shortcode", "post_id", "tweet_id", "gallery_id", "shortcode", "post_url", "id"];

/// The metadata of a picture; `None` if the text is something else. `has_picture` tells whether the file's name without
/// `.json` is that of another listed file.
pub fn read(json: &str, has_picture: bool) -> Option<Metadata> {
    let fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    // gallery-dl always writes these: the category is the site, and the other two form the name of the picture.
    let is_gallery_dl =
        ["category", "filename", "extension"].iter().all(|name| fields.get(*name).is_some_and(Value::is_string));
    let text = |name: &&str| fields.get(*name).and_then(value_text).filter(|text| !text.is_empty());
    let time = |name: &&str| Some(CaptureDate::utc(DateProvider::Sidecar, timestamp::of_value(fields.get(*name)?)?));
    let tags = TAGS.iter().find_map(|name| tags(fields.get(*name)?));
    let caption = CAPTION.iter().find_map(text).or(tags).and_then(|text| caption(&text));
    let taken_at = TAKEN_AT.iter().find_map(time);
    if !is_gallery_dl && !(has_picture && (caption.is_some() || taken_at.is_some())) {
        return None;
    }
    let number = |name: &str| fields.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let id = |name: &&str| match fields.get(*name)? {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    let several = number("count").is_some_and(|count| count > 1);
    let index = number("num").map(|number| number.saturating_sub(1));
    let site = fields.get("category").and_then(Value::as_str).unwrap_or_default();
    let post = POST.iter().find_map(id).filter(|_| several).map(|id| format!("{site} {id}"));
    let post = post.map(|post| Membership { post: post.trim_start().into(), index });
    Some(Metadata { kind: kind(site, &fields), taken_at, caption, post, ..Metadata::default() })
}

/// The metadata of the picture with this name: from `x.jpg.json`, or else from `x.json`.
pub(super) fn of<'a>(by_name: &'a BTreeMap<String, Metadata>, name: &str) -> Option<&'a Metadata> {
    by_name.get(name).or_else(|| by_name.get(name.rsplit_once('.')?.0))
}

/// The kind of a picture from Instagram. Other sites have no kinds.
fn kind(site: &str, fields: &Map<String, Value>) -> Option<PictureKind> {
    let part = fields.get("subcategory").and_then(Value::as_str).filter(|_| site == "instagram")?;
    Some(match part {
        "stories" | "highlights" | "stories-tray" => PictureKind::Story,
        "reels" => PictureKind::Reel,
        "avatar" => PictureKind::Profile,
        // Posts of other people.
        "saved" | "collection" | "tagged" | "tag" | "explore" => PictureKind::Other,
        _ => PictureKind::Post,
    })
}

fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Object(fields) => {
            ["text", "content"].iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned)
        }
        _ => None,
    }
}

/// Tags in the form in which they usually follow a text: `#sea #summer`.
fn tags(value: &Value) -> Option<String> {
    let tags: Vec<&str> = match value {
        Value::Array(tags) => {
            tags.iter().filter_map(|tag| tag.as_str().or_else(|| tag.get("name")?.as_str())).collect()
        }
        Value::String(tags) => tags.split([' ', ',']).filter(|tag| !tag.is_empty()).collect(),
        _ => return None,
    };
    let tags = tags.iter().map(|tag| format!("#{}", tag.trim_start_matches('#').replace(' ', "_")));
    Some(tags.collect::<Vec<_>>().join(" ")).filter(|tags| !tags.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_fields_are_read() {
        let json = r#"{"category": "twitter", "filename": "a", "extension": "jpg", "date": "2024-03-01 18:30:00",
            "content": "the sea", "tags": ["x"], "tweet_id": 17, "num": 2, "count": 3}"#;
        let metadata = read(json, false).unwrap();
        assert_eq!(
            (metadata.caption.as_deref(), metadata.taken_at.map(|taken| taken.at.seconds())),
            (Some("the sea"), Some(1_709_317_800))
        );
        assert_eq!(metadata.post, Some(Membership { post: "twitter 17".into(), index: Some(1) }));
        let tags = read(r##"{"description": "", "tags": ["sea", "#late summer"], "date": 1709317800}"##, true).unwrap();
        assert_eq!(
            (tags.caption.as_deref(), tags.taken_at.map(|taken| taken.at.seconds())),
            (Some("#sea #late_summer"), Some(1_709_317_800))
        );
        let instagram = |part: &str| {
            let json =
                format!(r#"{{"category": "instagram", "subcategory": "{part}", "filename": "a", "extension": "b"}}"#);
            read(&json, false).unwrap().kind
        };
        assert_eq!(
            (instagram("posts"), instagram("saved"), instagram("stories")),
            (Some(PictureKind::Post), Some(PictureKind::Other), Some(PictureKind::Story))
        );
    }

    #[test]
    fn other_texts_are_none() {
        for (json, has_picture) in
            [("[]", true), ("{}", true), (r#"{"a": 1}"#, true), (r#"{"description": "x"}"#, false)]
        {
            assert_eq!(read(json, has_picture), None, "{json}");
        }
    }
}
