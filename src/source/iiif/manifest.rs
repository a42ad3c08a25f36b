//! What a IIIF document says (Presentation API 2 and 3): a manifest's pictures with their addresses, names and fields, or what a
//! collection lists.

use serde_json::Value;

/// A picture is fetched with its longer side about this many pixels: enough for a tile and for the opened picture.
const SIDE: u64 = 1024;

/// What a document is.
#[derive(Debug)]
pub(super) enum Document {
    /// The pictures of an object.
    Manifest(Vec<Canvas>),
    /// The addresses of other documents.
    Collection(Vec<String>),
}

/// A picture.
#[derive(Debug, PartialEq)]
pub(super) struct Canvas {
    /// Where it can be had, the best address first.
    pub(super) addresses: Vec<String>,
    /// The object's name, and the picture's if it has several.
    pub(super) label: String,
    /// What the object and the picture say of themselves: names and values.
    pub(super) fields: Vec<(String, Vec<String>)>,
}

/// Whether a file begins like a document of the Presentation API.
pub(super) fn is_document(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{') && text.contains("iiif.io/api/presentation")
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// In words that go on after its address.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
        match name_of(&json, "type").trim_start_matches("sc:") {
            "Manifest" => Ok(Self::Manifest(canvases(&json))),
            "Collection" => {
                let lists = ["items", "manifests", "collections", "members"].into_iter();
                let members = lists.flat_map(|list| all(&json[list])).map(|member| id(member).to_owned());
                Ok(Self::Collection(members.filter(|address| !address.is_empty()).collect()))
            }
            "" => Err("is no IIIF document: it has no type".into()),
            other => Err(format!("is a IIIF {other}, neither a manifest nor a collection")),
        }
    }
}

fn canvases(manifest: &Value) -> Vec<Canvas> {
    let sequences = all(&manifest["sequences"]).flat_map(|sequence| all(&sequence["canvases"]));
    let canvases: Vec<&Value> = all(&manifest["items"]).chain(sequences).collect();
    let (object, fields) = (texts(&manifest["label"]).join(", "), fields(manifest));
    let picture = |canvas: &&Value| {
        let addresses = painted(canvas).map(addresses)?;
        let own = texts(&canvas["label"]).join(", ");
        let label = match canvases.len() {
            1 if !object.is_empty() => object.clone(),
            _ if own.is_empty() || own == object => object.clone(),
            _ if object.is_empty() => own,
            _ => format!("{object}, {own}"),
        };
        let mut fields = fields.clone();
        for (name, values) in self::fields(canvas) {
            fields.retain(|(other, _)| *other != name);
            fields.push((name, values));
        }
        Some(Canvas { addresses, label, fields })
    };
    canvases.iter().filter_map(picture).filter(|canvas| !canvas.addresses.is_empty()).collect()
}

/// The picture that a canvas shows: the first of its annotations, and of a choice the first.
fn painted(canvas: &Value) -> Option<&Value> {
    let annotations = all(&canvas["items"]).flat_map(|page| all(&page["items"])).map(|annotation| &annotation["body"]);
    let mut bodies = annotations.chain(all(&canvas["images"]).map(|image| &image["resource"])).flat_map(all);
    bodies.find_map(|body| match name_of(body, "type") {
        "Choice" => all(&body["items"]).next(),
        "oa:Choice" => Some(&body["default"]),
        "Image" | "dctypes:Image" => Some(body),
        _ => None,
    })
}

/// Where a picture can be had at a sensible size, and, behind that, as it is.
fn addresses(body: &Value) -> Vec<String> {
    let service = all(&body["service"]).find(|service| {
        let kind = name_of(service, "type");
        kind.starts_with("ImageService") || profile(service).contains("image")
    });
    let sized = service.and_then(|service| sized(service, body));
    sized.into_iter().chain([id(body).to_owned()]).filter(|address| !address.is_empty()).collect()
}

/// The address of the picture at about [`SIDE`] pixels, from its image service (Image API 1 to 3).
fn sized(service: &Value, body: &Value) -> Option<String> {
    let base = id(service).trim_end_matches('/');
    if base.is_empty() {
        return None;
    }
    let (kind, about) = (name_of(service, "type"), format!("{} {}", service["@context"], profile(service)));
    let version = match kind {
        "ImageService3" => 3,
        "ImageService1" => 1,
        _ if about.contains("image/3") => 3,
        _ if about.contains("image-api/1") || about.contains("image/1") => 1,
        _ => 2,
    };
    let quality = if version == 1 { "native" } else { "default" };
    let number = |of: &Value, name: &str| of[name].as_u64().filter(|pixels| *pixels > 0);
    let measure = |of: &Value| number(of, "width").zip(number(of, "height"));
    let size = if profile(service).contains("level0") {
        // Only what is listed is there.
        let mut sizes: Vec<(u64, u64)> = all(&service["sizes"]).filter_map(measure).collect();
        sizes.sort_unstable_by_key(|(width, height)| width.max(height).to_owned());
        let enough = sizes.iter().find(|(width, height)| *width.max(height) >= SIDE).or(sizes.last())?;
        if version == 3 { format!("{},{}", enough.0, enough.1) } else { format!("{},", enough.0) }
    } else {
        match measure(service).or_else(|| measure(body)) {
            Some((width, height)) if width.max(height) > SIDE => {
                format!("{},", (width * SIDE / width.max(height)).max(1))
            }
            Some(_) if version == 3 => "max".into(),
            Some(_) => "full".into(),
            None => format!("!{SIDE},{SIDE}"),
        }
    };
    Some(format!("{base}/full/{size}/0/{quality}.jpg"))
}

/// What an object or a canvas says of itself.
fn fields(of: &Value) -> Vec<(String, Vec<String>)> {
    let pair = |entry: &Value| (texts(&entry["label"]).join(", "), texts(&entry["value"]));
    let ids = |value: &Value| all(value).map(|one| one.as_str().unwrap_or(id(one)).to_owned()).collect::<Vec<_>>();
    let first = |values: Vec<String>| values.into_iter().take(1).collect();
    let own = [
        ("credit", texts(&of["attribution"])),
        ("rights", [ids(&of["rights"]), ids(&of["license"])].concat()),
        ("date", texts(&of["navDate"])),
        ("link", first([ids(&of["homepage"]), ids(&of["related"])].concat())),
    ];
    let listed = all(&of["metadata"]).chain(all(&of["requiredStatement"])).map(pair);
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for (name, values) in listed.chain(own.map(|(name, values)| (name.to_owned(), values))) {
        let values = values.into_iter().filter(|value| !value.is_empty());
        match fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, all)) => all.extend(values),
            None if !name.is_empty() => fields.push((name, values.collect())),
            None => {}
        }
    }
    fields.retain(|(_, values)| !values.is_empty());
    fields
}

/// The texts of a value in one language: English, none, or the first.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![plain(text)],
        Value::Number(_) | Value::Bool(_) => vec![value.to_string()],
        // Version 2 writes each text with its language beside it.
        Value::Array(list) => {
            let languages = || list.iter().filter_map(|one| one["@language"].as_str());
            let language = languages().find(|language| language.starts_with("en")).or_else(|| languages().next());
            let chosen = list.iter().filter(|one| one["@language"].as_str() == language || one.is_string());
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

/// A text without the few marks of HTML that values may have.
fn plain(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        left.push_str(before);
        match tag.split_once('>') {
            Some((_, after)) if tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') => rest = after,
            _ => {
                left.push('<');
                rest = tag;
            }
        }
    }
    left.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    let plain = entities.into_iter().fold(left, |text, (entity, letter)| text.replace(entity, letter));
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value's members if it is a list, itself if it is anything else, nothing if it is not there.
fn all(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().map(Vec::as_slice);
    list.unwrap_or(std::slice::from_ref(value)).iter().filter(|one| !one.is_null())
}

fn id(of: &Value) -> &str {
    name_of(of, "id")
}

/// A property that version 2 writes with an `@`; the first, if there are several.
fn name_of<'v>(of: &'v Value, name: &str) -> &'v str {
    let named = |name: &str| of.get(name).and_then(|value| all(value).next()).and_then(Value::as_str);
    named(name).or_else(|| named(&format!("@{name}"))).unwrap_or_default()
}

fn profile(service: &Value) -> &str {
    all(&service["profile"]).next().and_then(Value::as_str).unwrap_or_default()
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
        assert_eq!(plain("1 < 2 and <a href='x'>here</a>"), "1 < 2 and here");
    }
}
