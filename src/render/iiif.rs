//! IIIF, for viewers such as Mirador and OpenSeadragon: the paths and `info.json` files of Image API 3 at level 0
//! (static files whose paths name the part of the image that they show), and a Presentation API 3 manifest.

use serde_json::{Value, json};

use super::page::replace_controls;

/// The profile of a service that only has static files: nothing is computed on demand.
const PROFILE: &str = "level0";

/// An image with its own `info.json`.
#[derive(Clone, Debug)]
pub struct ImageService {
    /// Its address, without a slash at the end.
    pub id: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// The path, below the image's address, of the file with a part of the image at some scale. `region` is left, top,
/// width and height in pixels of the full image, `None` for all of it. `size` is width and height of the file.
pub fn image_path(region: Option<[u32; 4]>, size: (u32, u32)) -> String {
    let region =
        region.map_or("full".to_owned(), |[left, top, width, height]| format!("{left},{top},{width},{height}"));
    format!("{region}/{},{}/0/default.jpg", size.0, size.1)
}

/// The path of the whole image, at the largest size that exists as one file.
pub const FULL_IMAGE: &str = "full/max/0/default.jpg";

impl ImageService {
    /// Its `info.json`, with the `sizes` in which the whole image exists.
    pub fn info(&self, sizes: &[(u32, u32)]) -> Value {
        let size = |&(width, height): &(u32, u32)| json!({"width": width, "height": height});
        json!({
            "@context": "http://iiif.io/api/image/3/context.json", "id": self.id, "type": "ImageService3",
            "protocol": "http://iiif.io/api/image", "profile": PROFILE, "width": self.size.0, "height": self.size.1,
            "sizes": sizes.iter().map(size).collect::<Vec<_>>(),
        })
    }

    /// The `info.json` of an image that also exists as square tiles of `side` pixels, at its own scale and at
    /// `halvings` successive halves. If the image is larger than a tile, the size `max` is limited to that of a tile.
    pub fn tiled_info(&self, sizes: &[(u32, u32)], side: u32, halvings: u32) -> Value {
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

/// A canvas of a manifest, which shows one image.
#[derive(Debug)]
pub struct ManifestCanvas {
    /// Its name in the identifiers of the manifest.
    pub name: String,
    /// The label that viewers show.
    pub label: String,
    /// A description; may be empty.
    pub summary: String,
    /// Further metadata: names with their values.
    pub metadata: Vec<(String, Vec<String>)>,
    /// Addresses and labels of web pages about it.
    pub homepages: Vec<(String, String)>,
    /// The image.
    pub picture: ImageService,
}

/// The content of a manifest.
#[derive(Debug)]
pub struct Manifest<'a> {
    /// The address of the manifest itself.
    pub id: String,
    /// The title.
    pub label: String,
    /// A description; may be empty.
    pub summary: &'a str,
    /// Address of the explorer.
    pub homepage: &'a str,
    /// Address, and width and height, of a JPEG that represents the whole.
    pub thumbnail: (String, (u32, u32)),
    /// The canvases.
    pub canvases: Vec<ManifestCanvas>,
}

impl Manifest<'_> {
    /// The manifest as the JSON that the Presentation API 3 defines.
    pub fn json(&self) -> Value {
        let (thumbnail, (width, height)) = &self.thumbnail;
        let mut manifest = json!({
            "@context": "http://iiif.io/api/presentation/3/context.json", "id": self.id, "type": "Manifest",
            "label": language_map(&self.label), "homepage": [web_page(self.homepage, &self.label)],
            "thumbnail": [{
                "id": thumbnail, "type": "Image", "format": "image/jpeg", "width": width, "height": height,
            }],
            "items": self.canvases.iter().map(|canvas| canvas.json(&self.id)).collect::<Vec<_>>(),
        });
        set_summary(&mut manifest, self.summary);
        manifest
    }
}

impl ManifestCanvas {
    fn json(&self, manifest: &str) -> Value {
        let (id, ImageService { id: picture, size: (width, height) }) =
            (format!("{manifest}/canvas/{}", self.name), &self.picture);
        let body = json!({
            "id": format!("{picture}/{FULL_IMAGE}"), "type": "Image", "format": "image/jpeg", "width": width,
            "height": height, "service": [{"id": picture, "type": "ImageService3", "profile": PROFILE}],
        });
        let painting = json!({
            "id": format!("{id}/painting"), "type": "Annotation", "motivation": "painting", "target": id, "body": body,
        });
        let mut canvas = json!({
            "id": id, "type": "Canvas", "label": language_map(&self.label), "width": width, "height": height,
            "items": [{"id": format!("{id}/page"), "type": "AnnotationPage", "items": [painting]}],
        });
        set_summary(&mut canvas, &self.summary);
        if !self.metadata.is_empty() {
            let entry = |(name, values): &(String, Vec<String>)| {
                let values: Vec<String> = values.iter().map(|value| plain_text(value)).collect();
                json!({"label": language_map(name), "value": {"none": values}})
            };
            canvas["metadata"] = self.metadata.iter().map(entry).collect();
        }
        if !self.homepages.is_empty() {
            canvas["homepage"] = self.homepages.iter().map(|(address, label)| web_page(address, label)).collect();
        }
        canvas
    }
}

fn set_summary(object: &mut Value, summary: &str) {
    if !summary.is_empty() {
        object["summary"] = language_map(summary);
    }
}

/// A web page as the value of `homepage`.
fn web_page(address: &str, label: &str) -> Value {
    json!({"id": address, "type": "Text", "format": "text/html", "label": language_map(label)})
}

/// Text as a language map of the Presentation API; `none` stands for an unknown language.
fn language_map(text: &str) -> Value {
    json!({"none": [plain_text(text)]})
}

/// Text that viewers do not take for HTML. They take text that begins with `<` and ends with `>` for it; a space at the
/// end is the standard's way to mark it as plain text.
fn plain_text(text: &str) -> String {
    let text = replace_controls(text);
    let text = text.trim();
    if text.starts_with('<') && text.ends_with('>') { format!("{text} ") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_what_they_show() {
        assert_eq!(image_path(Some([1024, 0, 976, 512]), (488, 256)), "1024,0,976,512/488,256/0/default.jpg");
        assert_eq!(image_path(None, (30, 20)), "full/30,20/0/default.jpg");
        let service = ImageService { id: "https://example.org/a".into(), size: (2000, 900) };
        let info = service.tiled_info(&[(1024, 461)], 1024, 1);
        assert_eq!(info["tiles"], json!([{"width": 1024, "height": 1024, "scaleFactors": [1, 2]}]));
        assert_eq!((&info["maxWidth"], &info["sizes"]), (&json!(1024), &json!([{"width": 1024, "height": 461}])));
        let small = ImageService { size: (1024, 900), ..service };
        assert_eq!(small.tiled_info(&[(1024, 900)], 1024, 0)["maxWidth"], Value::Null);
    }

    #[test]
    fn words_of_others_are_no_html() {
        let canvas = ManifestCanvas {
            name: "n".into(),
            label: "<b onclick=x>a</b>".into(),
            summary: String::new(),
            metadata: vec![("tags".into(), vec!["<i>".into(), "b\u{7}".into()])],
            homepages: Vec::new(),
            picture: ImageService { id: "p".into(), size: (3, 2) },
        };
        let json = canvas.json("m");
        assert_eq!(json["label"], json!({"none": ["<b onclick=x>a</b> "]}));
        assert_eq!(json["metadata"][0], json!({"label": {"none": ["tags"]}, "value": {"none": ["<i> ", "b\u{fffd}"]}}));
        assert_eq!((&json["homepage"], &json["summary"]), (&Value::Null, &Value::Null));
        assert_eq!(json["items"][0]["items"][0]["target"], json["id"]);
    }
}
