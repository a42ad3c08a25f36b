//! Reads IIIF documents (Presentation API 2 and 3): the pictures of a manifest with their addresses, labels and
//! metadata, or the addresses that a collection lists.

use serde_json::Value;

/// Pictures are downloaded with a longer side of about this many pixels, which is enough for a tile and for the opened
/// picture.
const PREFERRED_SIDE: u64 = 1024;

/// A parsed document.
#[derive(Debug)]
pub(super) enum Document {
    /// The pictures of an object.
    Manifest(Vec<Canvas>),
    /// The addresses of other documents.
    Collection(Vec<String>),
}

/// A picture of a manifest.
#[derive(Debug, PartialEq)]
pub(super) struct Canvas {
    /// The addresses of the picture, the preferred one first.
    pub(super) addresses: Vec<String>,
    /// The label of the object, with the label of the picture if there are several.
    pub(super) label: String,
    /// The metadata of the object and of the picture: names and values.
    pub(super) fields: Vec<(String, Vec<String>)>,
}

/// Whether a file begins like a document of the Presentation API.
pub(super) fn is_document(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{') && text.contains("iiif.io/api/presentation")
}

impl Document {
    /// Parses a document.
    ///
    /// # Errors
    /// The problem, as the rest of a sentence that begins with the document's address.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
        match name_of(&json, "type").trim_start_matches("sc:") {
            "Manifest" => Ok(Self::Manifest(canvases(&json))),
            "Collection" => {
                let lists = ["items", "manifests", "collections", "members"].into_iter();
                let members = lists.flat_map(|list| elements(&json[list])).map(|member| id(member).to_owned());
                Ok(Self::Collection(members.filter(|address| !address.is_empty()).collect()))
            }
            "" => Err("is not a IIIF document: it has no type".into()),
            other => Err(format!("is a IIIF {other}, neither a manifest nor a collection")),
        }
    }
}

fn canvases(manifest: &Value) -> Vec<Canvas> {
    let sequences = elements(&manifest["sequences"]).flat_map(|sequence| elements(&sequence["canvases"]));
    let canvases: Vec<&Value> = elements(&manifest["items"]).chain(sequences).collect();
    let (object_label, object_fields) = (texts(&manifest["label"]).join(", "), metadata_fields(manifest));
    let picture = |canvas: &&Value| {
        let addresses = picture_body(canvas).map(addresses)?;
        let canvas_label = texts(&canvas["label"]).join(", ");
        let label = match canvases.len() {
            1 if !object_label.is_empty() => object_label.clone(),
            _ if canvas_label.is_empty() || canvas_label == object_label => object_label.clone(),
            _ if object_label.is_empty() => canvas_label,
            _ => format!("{object_label}, {canvas_label}"),
        };
        let mut fields = object_fields.clone();
        for (name, values) in metadata_fields(canvas) {
            fields.retain(|(other, _)| *other != name);
            fields.push((name, values));
        }
        Some(Canvas { addresses, label, fields })
    };
    canvases.iter().filter_map(picture).filter(|canvas| !canvas.addresses.is_empty()).collect()
}

/// The picture that a canvas shows: that of its first annotation with a picture and, if there is a choice, the first
/// option.
fn picture_body(canvas: &Value) -> Option<&Value> {
    let annotations =
        elements(&canvas["items"]).flat_map(|page| elements(&page["items"])).map(|annotation| &annotation["body"]);
    let mut bodies = annotations.chain(elements(&canvas["images"]).map(|image| &image["resource"])).flat_map(elements);
    bodies.find_map(|body| match name_of(body, "type") {
        "Choice" => elements(&body["items"]).next(),
        "oa:Choice" => Some(&body["default"]),
        "Image" | "dctypes:Image" => Some(body),
        _ => None,
    })
}

/// The addresses of a picture: first one at a moderate size, then that of the picture itself.
fn addresses(body: &Value) -> Vec<String> {
    let service = elements(&body["service"]).find(|service| {
        let kind = name_of(service, "type");
        kind.starts_with("ImageService") || profile(service).contains("image")
    });
    let preferred = service.and_then(|service| sized_address(service, body));
    preferred.into_iter().chain([id(body).to_owned()]).filter(|address| !address.is_empty()).collect()
}

/// The address of the picture at about [`PREFERRED_SIDE`] pixels, from its image service (Image API 1 to 3).
fn sized_address(service: &Value, body: &Value) -> Option<String> {
    let base = id(service).trim_end_matches('/');
    if base.is_empty() {
        return None;
    }
    let (kind, description) = (name_of(service, "type"), format!("{} {}", service["@context"], profile(service)));
    let version = match kind {
        "ImageService3" => 3,
        "ImageService1" => 1,
        _ if description.contains("image/3") => 3,
        _ if description.contains("image-api/1") || description.contains("image/1") => 1,
        _ => 2,
    };
    let quality = if version == 1 { "native" } else { "default" };
    let positive = |object: &Value, name: &str| object[name].as_u64().filter(|pixels| *pixels > 0);
    let dimensions = |object: &Value| positive(object, "width").zip(positive(object, "height"));
    let size = if profile(service).contains("level0") {
        // A service of level 0 offers only the sizes that it lists.
        let mut sizes: Vec<(u64, u64)> = elements(&service["sizes"]).filter_map(dimensions).collect();
        sizes.sort_unstable_by_key(|(width, height)| width.max(height).to_owned());
        let chosen = sizes.iter().find(|(width, height)| *width.max(height) >= PREFERRED_SIDE).or(sizes.last())?;
        if version == 3 { format!("{},{}", chosen.0, chosen.1) } else { format!("{},", chosen.0) }
    } else {
        match dimensions(service).or_else(|| dimensions(body)) {
            Some((width, height)) if width.max(height) > PREFERRED_SIDE => {
                format!("{},", (width * PREFERRED_SIDE / width.max(height)).max(1))
            }
            Some(_) if version == 3 => "max".into(),
            Some(_) => "full".into(),
            None => format!("!{PREFERRED_SIDE},{PREFERRED_SIDE}"),
        }
    };
    Some(format!("{base}/full/{size}/0/{quality}.jpg"))
}

/// The metadata of an object or a canvas.
fn metadata_fields(object: &Value) -> Vec<(String, Vec<String>)> {
    let pair = |entry: &Value| (texts(&entry["label"]).join(", "), texts(&entry["value"]));
    let ids = |value: &Value| {
        elements(value).map(|element| element.as_str().unwrap_or(id(element)).to_owned()).collect::<Vec<_>>()
    };
    let first = |values: Vec<String>| values.into_iter().take(1).collect();
    let common = [
        ("credit", texts(&object["attribution"])),
        ("rights", [ids(&object["rights"]), ids(&object["license"])].concat()),
        ("date", texts(&object["navDate"])),
        ("link", first([ids(&object["homepage"]), ids(&object["related"])].concat())),
    ];
    let listed = elements(&object["metadata"]).chain(elements(&object["requiredStatement"])).map(pair);
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for (name, values) in listed.chain(common.map(|(name, values)| (name.to_owned(), values))) {
        let values = values.into_iter().filter(|value| !value.is_empty());
        match fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, existing)) => existing.extend(values),
            None if !name.is_empty() => fields.push((name, values.collect())),
            None => {}
        }
    }
    fields.retain(|(_, values)| !values.is_empty());
    fields
}

/// The texts of a value in one language: English, otherwise those without a language, otherwise the first language.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![plain_text(text)],
        Value::Number(_) | Value::Bool(_) => vec![value.to_string()],
        // Version 2 writes each text together with its language.
        Value::Array(list) => {
            let languages = || list.iter().filter_map(|element| element["@language"].as_str());
            let language = languages().find(|language| language.starts_with("en")).or_else(|| languages().next());
            let chosen = list.iter().filter(|element| element["@language"].as_str() == language || element.is_string());
            chosen.flat_map(texts).collect()
        }
        Value::Object(object) if object.contains_key("@value") => texts(&value["@value"]),
        Value::Object(object) => {
            let language = ["en", "none"].into_iter().find_map(|language| object.get(language));
            language.or_else(|| object.values().next()).map(texts).unwrap_or_default()
        }
        Value::Null => Vec::new(),
    }
}

/// A text without HTML tags, and with common entities replaced.
fn plain_text(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        stripped.push_str(before);
        match tag.split_once('>') {
            Some((_, after)) if tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') => rest = after,
            _ => {
                stripped.push('<');
                rest = tag;
            }
        }
    }
    stripped.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    let unescaped =
        entities.into_iter().fold(stripped, |text, (entity, replacement)| text.replace(entity, replacement));
    unescaped.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The elements of a list, any other value by itself, and nothing for null.
fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().map(Vec::as_slice);
    list.unwrap_or(std::slice::from_ref(value)).iter().filter(|element| !element.is_null())
}

fn id(object: &Value) -> &str {
    name_of(object, "id")
}

/// A property, which version 2 writes with an `@`. If it has several values, the first.
fn name_of<'v>(object: &'v Value, name: &str) -> &'v str {
    let named = |name: &str| object.get(name).and_then(|value| elements(value).next()).and_then(Value::as_str);
    named(name).or_else(|| named(&format!("@{name}"))).unwrap_or_default()
}

fn profile(service: &Value) -> &str {
    elements(&service["profile"]).next().and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(json: &Value) -> Vec<Canvas> {
        match Document::read(json.to_string().as_bytes()) {
            Ok(Document::Manifest(canvases)) => canvases,
            other => panic!("{other:?}"),
        }
    }

    /// A manifest of version 3 with these bodies, each on a canvas.
    fn manifest(bodies: &[Value]) -> Value {
        let canvas = |body: &Value| json!({"type": "Canvas", "items": [{"items": [{"body": body}]}]});
        json!({"@context": "http://iiif.io/api/presentation/3/context.json", "type": "Manifest", "label": {"en": ["Horse"]},
            "items": bodies.iter().map(canvas).collect::<Vec<_>>()})
    }

    fn body(service: Value) -> Value {
        json!({"id": "https://m.org/a.jpg", "type": "Image", "width": 4096, "height": 2048, "service": [service]})
    }

    #[test]
    fn a_picture_is_asked_for_at_a_size_that_its_service_has() {
        let level2 = json!({"id": "https://m.org/i/a", "type": "ImageService3", "profile": "level2"});
        let known = json!({"id": "https://m.org/i/b/", "type": "ImageService3", "profile": "level1", "width": 700, "height": 900});
        let level0 = json!({"@id": "https://m.org/i/c", "profile": ["http://iiif.io/api/image/2/level0.json"],
            "sizes": [{"width": 2048, "height": 1024}, {"width": 300, "height": 150}, {"width": 1024, "height": 512}]});
        let listless = json!({"id": "https://m.org/i/d", "type": "ImageService3", "profile": "level0"});
        let first = json!({"@id": "https://m.org/i/e", "profile": "http://library.stanford.edu/iiif/image-api/1.1/conformance.html#level1"});
        let found: Vec<Vec<String>> = read(&manifest(&[level2, known, level0, listless, first].map(body)))
            .into_iter()
            .map(|canvas| canvas.addresses)
            .collect();
        let own = "https://m.org/a.jpg";
        assert_eq!(found[0], ["https://m.org/i/a/full/1024,/0/default.jpg", own]);
        assert_eq!(found[1], ["https://m.org/i/b/full/max/0/default.jpg", own]);
        assert_eq!(found[2], ["https://m.org/i/c/full/1024,/0/default.jpg", own]);
        assert_eq!(found[3], [own]);
        assert_eq!(found[4], ["https://m.org/i/e/full/1024,/0/native.jpg", own]);
    }

    #[test]
    fn names_and_fields_are_those_of_the_object_and_the_canvas() {
        let mut three =
            manifest(&[json!({"id": "https://m.org/1.jpg", "type": "Image"}), json!({"type": "Sound", "id": "x"})]);
        three["metadata"] = json!([{"label": {"en": ["Artist"]}, "value": {"none": ["A. <b>Person</b> &amp; sons"]}},
            {"label": {"de": ["Schlagwort"]}, "value": {"de": ["Pferd", "Reiter"]}}]);
        three["requiredStatement"] = json!({"label": {"en": ["Attribution"]}, "value": {"en": ["The museum"]}});
        three["homepage"] = json!([{"id": "https://m.org/horse", "type": "Text"}]);
        three["rights"] = json!("http://creativecommons.org/publicdomain/zero/1.0/");
        three["items"][0]["metadata"] = json!([{"label": "Artist", "value": "B."}]);
        let found = read(&three);
        assert_eq!((found.len(), found[0].label.as_str()), (1, "Horse"));
        let fields: Vec<String> =
            found[0].fields.iter().map(|(name, values)| format!("{name}={}", values.join("|"))).collect();
        assert_eq!(
            fields,
            [
                "Schlagwort=Pferd|Reiter",
                "Attribution=The museum",
                "rights=http://creativecommons.org/publicdomain/zero/1.0/",
                "link=https://m.org/horse",
                "Artist=B."
            ]
        );
    }

    #[test]
    fn version_two_is_read_as_well() {
        let canvas = |label: &str| {
            json!({"label": label, "images": [{"resource": {"@type": "dctypes:Image",
            "@id": format!("https://m.org/{label}.jpg")}}]})
        };
        let two = json!({"@context": "http://iiif.io/api/presentation/2/context.json", "@type": "sc:Manifest",
            "label": [{"@value": "Buch", "@language": "de"}, {"@value": "Book", "@language": "en-GB"}], "attribution": "Library",
            "related": {"@id": "https://m.org/book"}, "sequences": [{"canvases": [canvas("1r"), canvas("1v")]}]});
        let found = read(&two);
        assert_eq!(found.iter().map(|canvas| canvas.label.as_str()).collect::<Vec<_>>(), ["Book, 1r", "Book, 1v"]);
        assert_eq!(found[1].addresses, ["https://m.org/1v.jpg"]);
        assert_eq!(found[0].fields.len(), 2);
    }

    #[test]
    fn what_is_neither_manifest_nor_collection_says_what_it_is() {
        let read = |json: Value| Document::read(json.to_string().as_bytes());
        let listed = read(json!({"type": "Collection", "items": [{"id": "https://m.org/1"}, {"type": "x"}]}));
        assert!(matches!(listed, Ok(Document::Collection(list)) if list == ["https://m.org/1"]));
        assert!(matches!(read(json!({"type": "AnnotationPage"})), Err(why) if why.contains("AnnotationPage")));
        assert!(read(json!({})).is_err() && read(json!([])).is_err() && Document::read(b"{").is_err());
        assert!(read(json!({"type": "Manifest"})).is_ok());
        assert_eq!(plain_text("1 < 2 and <a href='x'>here</a>"), "1 < 2 and here");
    }
}
