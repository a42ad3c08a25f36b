//! gallery-dl: `x.jpg.json` beside `x.jpg`, with whatever the site said of it. The names of the fields are the site's;
//! these are the usual ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::known::{Known, Membership, caption};
use super::super::moment;
use crate::artifact::{Taken, Witness};
use crate::config::Kind;

const CAPTION: [&str; 7] = ["description", "content", "caption", "text", "post_caption", "selftext", "title"];
const TAKEN_AT: [&str; 8] =
    ["date", "post_date", "created_at", "taken_at", "published", "upload_date", "date_url", "timestamp"];
const TAGS: [&str; 4] = ["tags", "hashtags", "tag_string", "keywords"];
const POST: [&str; 7] = ["post_shortcode", "post_id", "tweet_id", "gallery_id", "shortcode", "post_url", "id"];

/// What a picture's metadata say; none if the text is no such thing. `has_picture` says that its name is a picture's.
pub fn read(json: &str, has_picture: bool) -> Option<Known> {
    let fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    // The category is the site, the other two make the picture's name.
    let is_whole =
        ["category", "filename", "extension"].iter().all(|name| fields.get(*name).is_some_and(Value::is_string));
    let text = |name: &&str| fields.get(*name).and_then(words).filter(|text| !text.is_empty());
    let time = |name: &&str| Some(Taken::utc(Witness::Sidecar, moment::of_value(fields.get(*name)?)?));
    let tags = TAGS.iter().find_map(|name| tags(fields.get(*name)?));
    let caption = CAPTION.iter().find_map(text).or(tags).and_then(|text| caption(&text));
    let taken_at = TAKEN_AT.iter().find_map(time);
    if !is_whole && !(has_picture && (caption.is_some() || taken_at.is_some())) {
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
    Some(Known { kind: kind(site, &fields), taken_at, caption, post, ..Known::default() })
}

/// What is said of the picture of that name: by `x.jpg.json`, else by `x.json`.
pub(super) fn of<'a>(said: &'a BTreeMap<String, Known>, name: &str) -> Option<&'a Known> {
    said.get(name).or_else(|| said.get(name.rsplit_once('.')?.0))
}

/// What the picture was to Instagram; other sites have no kinds.
fn kind(site: &str, fields: &Map<String, Value>) -> Option<Kind> {
    let part = fields.get("subcategory").and_then(Value::as_str).filter(|_| site == "instagram")?;
    Some(match part {
        "stories" | "highlights" | "stories-tray" => Kind::Story,
        "reels" => Kind::Reel,
        "avatar" => Kind::Profile,
        // What other people posted.
        "saved" | "collection" | "tagged" | "tag" | "explore" => Kind::Other,
        _ => Kind::Post,
    })
}

fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Object(fields) => {
            ["text", "content"].iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned)
        }
        _ => None,
    }
}

/// Tags as people write them after a text: `#sea #summer`.
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
        let known = read(json, false).unwrap();
        assert_eq!(
            (known.caption.as_deref(), known.taken_at.map(|taken| taken.at.seconds())),
            (Some("the sea"), Some(1_709_317_800))
        );
        assert_eq!(known.post, Some(Membership { post: "twitter 17".into(), index: Some(1) }));
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
            (Some(Kind::Post), Some(Kind::Other), Some(Kind::Story))
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
