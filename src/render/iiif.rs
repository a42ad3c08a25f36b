//! IIIF: what a wall and its pictures are called for viewers such as Mirador and OpenSeadragon. Image API 3 at level 0
//! (files that lie there, at addresses that say which part of a picture they are) and a Presentation 3 manifest.

use serde_json::{Value, json};

use super::page::visible;

/// The profile of pictures that are files: nothing is made on demand.
const LEVEL: &str = "level0";

/// A picture with its own `info.json`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its address, without a slash at its end.
    pub id: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// The file that is a part of a picture at some scale, below the picture's address: `region` is left, top, width and
/// height in the whole picture's pixels, none for all of it; `size` the width and height of the file.
pub fn file(region: Option<[u32; 4]>, size: (u32, u32)) -> String {
    let region =
        region.map_or("full".to_owned(), |[left, top, width, height]| format!("{left},{top},{width},{height}"));
    format!("{region}/{},{}/0/default.jpg", size.0, size.1)
}

/// The file that is all of a picture, as large as it can be had in one file.
pub const MAX: &str = "full/max/0/default.jpg";

impl Service {
    /// Its `info.json`: all of it can be had in these `sizes`.
    pub fn info(&self, sizes: &[(u32, u32)]) -> Value {
        let size = |&(width, height): &(u32, u32)| json!({"width": width, "height": height});
        json!({
            "@context": "http://iiif.io/api/image/3/context.json", "id": self.id, "type": "ImageService3",
            "protocol": "http://iiif.io/api/image", "profile": LEVEL, "width": self.size.0, "height": self.size.1,
            "sizes": sizes.iter().map(size).collect::<Vec<_>>(),
        })
    }

    /// The `info.json` of one that can also be had in square tiles, `side` pixels each, of itself and of its `halvings`
    /// successive halves. Where it is larger than a tile, `max` is no larger than that.
    pub fn tiled(&self, sizes: &[(u32, u32)], side: u32, halvings: u32) -> Value {
        let mut info = self.info(sizes);
        let factors: Vec<u32> = (0..=halvings).map(|halvings| 1 << halvings).collect();
        info["tiles"] = json!([{"width": side, "height": side, "scaleFactors": factors}]);
        if self.size.0.max(self.size.1) > side {
            info["maxWidth"] = json!(side);
            info["maxHeight"] = json!(side);
        }
        info
    }
}

/// A page of a manifest: one picture.
#[derive(Debug)]
pub struct Canvas {
    /// What it is called in the manifest.
    pub name: String,
    /// What it is called for people.
    pub label: String,
    /// What is said of it; may be empty.
    pub summary: String,
    /// What else is known: names with their values.
    pub metadata: Vec<(String, Vec<String>)>,
    /// Addresses of pages about it, with what they are called.
    pub homepages: Vec<(String, String)>,
    /// The picture.
    pub picture: Service,
}

/// What a manifest is of.
#[derive(Debug)]
pub struct Manifest<'a> {
    /// Its own address.
    pub id: String,
    /// What all of it is called.
    pub label: String,
    /// What is said of it; may be empty.
    pub summary: &'a str,
    /// Address of its page.
    pub homepage: &'a str,
    /// Address, width and height of a JPEG that stands for it.
    pub thumbnail: (String, (u32, u32)),
    /// The pictures.
    pub canvases: Vec<Canvas>,
}

impl Manifest<'_> {
    /// The manifest.
    pub fn json(&self) -> Value {
        let (thumbnail, (width, height)) = &self.thumbnail;
        let mut manifest = json!({
            "@context": "http://iiif.io/api/presentation/3/context.json", "id": self.id, "type": "Manifest",
            "label": words(&self.label), "homepage": [page(self.homepage, &self.label)],
            "thumbnail": [{
                "id": thumbnail, "type": "Image", "format": "image/jpeg", "width": width, "height": height,
            }],
            "items": self.canvases.iter().map(|canvas| canvas.json(&self.id)).collect::<Vec<_>>(),
        });
        say(&mut manifest, self.summary);
        manifest
    }
}

impl Canvas {
    fn json(&self, manifest: &str) -> Value {
        let (id, Service { id: picture, size: (width, height) }) =
            (format!("{manifest}/canvas/{}", self.name), &self.picture);
        let body = json!({
            "id": format!("{picture}/{MAX}"), "type": "Image", "format": "image/jpeg", "width": width,
            "height": height, "service": [{"id": picture, "type": "ImageService3", "profile": LEVEL}],
        });
        let painting = json!({
            "id": format!("{id}/painting"), "type": "Annotation", "motivation": "painting", "target": id, "body": body,
        });
        let mut canvas = json!({
            "id": id, "type": "Canvas", "label": words(&self.label), "width": width, "height": height,
            "items": [{"id": format!("{id}/page"), "type": "AnnotationPage", "items": [painting]}],
        });
        say(&mut canvas, &self.summary);
        if !self.metadata.is_empty() {
            let entry = |(name, values): &(String, Vec<String>)| {
                let values: Vec<String> = values.iter().map(|value| plain(value)).collect();
                json!({"label": words(name), "value": {"none": values}})
            };
            canvas["metadata"] = self.metadata.iter().map(entry).collect();
        }
        if !self.homepages.is_empty() {
            canvas["homepage"] = self.homepages.iter().map(|(address, label)| page(address, label)).collect();
        }
        canvas
    }
}

fn say(of: &mut Value, summary: &str) {
    if !summary.is_empty() {
        of["summary"] = words(summary);
    }
}

fn page(address: &str, label: &str) -> Value {
    json!({"id": address, "type": "Text", "format": "text/html", "label": words(label)})
}

/// Text in no language that is known.
fn words(text: &str) -> Value {
    json!({"none": [plain(text)]})
}

/// Viewers take what begins with `<` and ends with `>` for HTML. The standard's way to say that it is text is a space
/// at its end.
fn plain(text: &str) -> String {
    let text = visible(text);
    let text = text.trim();
    if text.starts_with('<') && text.ends_with('>') { format!("{text} ") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_what_they_show() {
        assert_eq!(file(Some([1024, 0, 976, 512]), (488, 256)), "1024,0,976,512/488,256/0/default.jpg");
        assert_eq!(file(None, (30, 20)), "full/30,20/0/default.jpg");
        let service = Service { id: "https://example.org/a".into(), size: (2000, 900) };
        let info = service.tiled(&[(1024, 461)], 1024, 1);
        assert_eq!(info["tiles"], json!([{"width": 1024, "height": 1024, "scaleFactors": [1, 2]}]));
        assert_eq!((&info["maxWidth"], &info["sizes"]), (&json!(1024), &json!([{"width": 1024, "height": 461}])));
        let small = Service { size: (1024, 900), ..service };
        assert_eq!(small.tiled(&[(1024, 900)], 1024, 0)["maxWidth"], Value::Null);
    }

    #[test]
    fn words_of_others_are_no_html() {
        let canvas = Canvas {
            name: "n".into(),
            label: "<b onclick=x>a</b>".into(),
            summary: String::new(),
            metadata: vec![("tags".into(), vec!["<i>".into(), "b\u{7}".into()])],
            homepages: Vec::new(),
            picture: Service { id: "p".into(), size: (3, 2) },
        };
        let json = canvas.json("m");
        assert_eq!(json["label"], json!({"none": ["<b onclick=x>a</b> "]}));
        assert_eq!(json["metadata"][0], json!({"label": {"none": ["tags"]}, "value": {"none": ["<i> ", "b\u{fffd}"]}}));
        assert_eq!((&json["homepage"], &json["summary"]), (&Value::Null, &Value::Null));
        assert_eq!(json["items"][0]["items"][0]["target"], json["id"]);
    }
}
