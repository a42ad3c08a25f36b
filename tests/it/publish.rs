//! The published folder for a static host: it opens, has no dead links, and IIIF viewers find everything that they
//! request.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::browser::browser;
use crate::page::{assert_no_errors, sample_page};
use crate::sandbox::{Sandbox, run_command};

const HOSTILE: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{script}}, \
                       and so on, as titles of exhibitions go on and on, with a second half that is longer still";
const BASE: &str = "https://example.org/wall/";

/// Every file of a folder, with its bytes.
#[track_caller]
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.map(|entry| (name(entry.path()), std::fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Publishes with a hostile title and description, and with further flags.
#[track_caller]
fn published(sandbox: &Sandbox, more: &str) -> String {
    let mut command = sandbox.command(&format!("publish site {more}"));
    let ran = run_command(command.args(["--title", HOSTILE, "--description", HOSTILE]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn a_published_page_opens_and_leads_nowhere_that_is_not_there() {
    let (sandbox, _) = sample_page(150);
    assert_eq!(published(&sandbox, ""), "site/index.html\n");
    let site = files(&sandbox.path("site"));
    let text = String::from_utf8(site["index.html"].clone()).unwrap();
    let head = text.split_once("<style>").unwrap().0;
    let words = "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;&lt;img src=x onerror=alert(2)&gt; {{script}}";
    let rest = HOSTILE.split_once("{{script}}").unwrap().1;
    for name in ["name=\"description\"", "property=\"og:title\"", "property=\"og:description\""] {
        assert!(head.contains(&format!("<meta {name} content=\"{words}{rest}\">")), "{head}");
    }
    assert!(head.contains("<meta property=\"og:image\" content=\"preview.jpg\">"), "{head}");
    for (name, size) in [("preview.jpg", (1200, 630)), ("icon.png", (180, 180))] {
        assert_eq!(image::load_from_memory(&site[name]).unwrap().into_rgb8().dimensions(), size, "{name}");
    }
    assert!(!site.keys().any(|name| name.starts_with("originals") || name.starts_with("iiif")));

    published(&sandbox, "--originals");
    let with = files(&sandbox.path("site"));
    let copies: Vec<&Vec<u8>> =
        with.iter().filter(|(name, _)| name.starts_with("originals/")).map(|(_, bytes)| bytes).collect();
    let sources = files(&sandbox.path("photos"));
    assert!(copies.len() > 30 && copies.iter().all(|copy| sources.values().any(|source| source == *copy)));
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    for (more, links) in [("--originals", true), ("", false)] {
        published(&sandbox, more);
        browser.open(&sandbox.path("site/index.html"), "");
        assert_eq!((browser.eval("document.title"), browser.text("#title")), (json!(HOSTILE), HOSTILE.to_owned()));
        assert_eq!(browser.text("#about"), HOSTILE);
        let inside = "document.querySelector('search').getBoundingClientRect().right <= innerWidth";
        assert_eq!(browser.eval(inside), true, "a long title leaves room for the bars");
        browser.eval("open(0)");
        browser.wait_for("document.querySelector('#frame img')?.naturalWidth > 0");
        let found = browser.eval("all((i) => row(i).link).filter(Boolean)");
        let found = found.as_array().unwrap();
        assert_eq!(!found.is_empty(), links);
        for link in found {
            let file = sandbox.path("site").join(link.as_str().unwrap());
            assert!(file.is_file(), "{link} is there");
        }
        assert_eq!(browser.eval("element('box-link').hidden"), !links);
        let icon = browser.eval("document.querySelector('link[rel=icon]').getAttribute('href')");
        assert!(sandbox.path("site").join(icon.as_str().unwrap()).is_file());
        browser.rest();
        assert_no_errors(&mut browser);
    }
    assert!(
        sandbox.path("site/originals").read_dir().is_ok_and(|mut all| all.next().is_none()),
        "no copy stays behind"
    );
}

/// The files that an `info.json` promises, with their sizes: the full picture, and its tiles.
#[track_caller]
fn promised(info: &Value) -> Vec<(String, (u32, u32))> {
    let number = |value: &Value| value.as_u64().unwrap() as u32;
    let of = |value: &Value| (number(&value["width"]), number(&value["height"]));
    let (width, height) = of(info);
    let mut files = Vec::new();
    for size in info["sizes"].as_array().unwrap() {
        let (w, h) = of(size);
        files.push((format!("full/{w},{h}/0/default.jpg"), (w, h)));
    }
    // The full picture in one file, no larger than `maxWidth`.
    let most = info["maxWidth"].as_u64().map_or(width.max(height), |most| most as u32);
    let fitted = |side: u32| side * most / width.max(height);
    files.push(("full/max/0/default.jpg".to_owned(), (fitted(width), fitted(height))));
    for tiles in info["tiles"].as_array().unwrap_or(&Vec::new()) {
        let side = number(&tiles["width"]);
        assert_eq!(side, number(&tiles["height"]));
        for factor in tiles["scaleFactors"].as_array().unwrap().iter().map(number) {
            for top in (0..height).step_by((side * factor) as usize) {
                for left in (0..width).step_by((side * factor) as usize) {
                    let (w, h) = ((side * factor).min(width - left), (side * factor).min(height - top));
                    let size = (w.div_ceil(factor), h.div_ceil(factor));
                    files.push((format!("{left},{top},{w},{h}/{},{}/0/default.jpg", size.0, size.1), size));
                }
            }
        }
    }
    files
}

#[test]
fn every_file_that_iiif_promises_is_there_in_its_size() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 150");
    sandbox.ok("run photos --model scattering --kinds post,story -o grid.jpg --page=false");
    published(&sandbox, &format!("--iiif --base-url {BASE}"));
    assert!(!sandbox.path("explorer").exists(), "the page beside the picture was not asked for");
    let site = files(&sandbox.path("site"));
    let manifest = parsed(&site["iiif/manifest.json"]);
    assert_eq!(manifest["@context"], "http://iiif.io/api/presentation/3/context.json");
    assert_eq!((&manifest["id"], &manifest["type"]), (&json!(format!("{BASE}iiif/manifest.json")), &json!("Manifest")));
    assert_eq!((&manifest["label"], &manifest["summary"]), (&json!({"none": [HOSTILE]}), &json!({"none": [HOSTILE]})));
    let local = |address: &Value| address.as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    assert!(site.contains_key(&local(&manifest["thumbnail"][0]["id"])));
    let canvases = manifest["items"].as_array().unwrap();
    assert_eq!(canvases.len(), 1 + sandbox.assigned().len(), "the wall, and each picture");
    let mut tiles = 0;
    for canvas in canvases {
        assert!(
            canvas["label"]["none"][0].is_string() && canvas["homepage"][0]["id"].as_str().unwrap().starts_with(BASE)
        );
        let painting = &canvas["items"][0]["items"][0];
        assert_eq!((&painting["motivation"], &painting["target"]), (&json!("painting"), &canvas["id"]));
        assert!(site.contains_key(&local(&painting["body"]["id"])), "{painting}");
        let service = &painting["body"]["service"][0]["id"];
        let folder = local(service);
        let info = parsed(&site[&format!("{folder}/info.json")]);
        assert_eq!(
            (&info["id"], &info["type"], &info["profile"]),
            (service, &json!("ImageService3"), &json!("level0"))
        );
        assert_eq!((&info["width"], &info["height"]), (&canvas["width"], &canvas["height"]));
        for (name, size) in promised(&info) {
            let bytes = site.get(&format!("{folder}/{name}")).unwrap_or_else(|| panic!("{folder}/{name} is missing"));
            assert_eq!(image::load_from_memory(bytes).unwrap().into_rgb8().dimensions(), size, "{name}");
            tiles += usize::from(!name.starts_with("full"));
        }
    }
    assert!(tiles >= 4, "the wall is larger than a tile");

    published(&sandbox, "");
    let without = files(&sandbox.path("site"));
    assert!(!without.keys().any(|name| name.starts_with("iiif/")), "nothing of it stays behind");
}

#[test]
fn what_a_table_says_goes_into_the_manifest_as_text() {
    let sandbox = Sandbox::with_photos(6);
    let table = "filename,caption,artist,link,year\n\
                 000.png,A storm,<b>Turner</b>,https://example.org/objects/0,1842\n\
                 001.png,,\"<img src=x onerror=alert(1)>\",javascript:alert(2),1890\n";
    sandbox.put("photos/table.csv", table.as_bytes());
    sandbox.ok("run photos --model scattering -o grid.jpg");
    sandbox.ok(&format!("publish site --iiif --base-url {BASE}"));
    let manifest = parsed(&sandbox.read("site/iiif/manifest.json"));
    let canvases = manifest["items"].as_array().unwrap();
    let called = |label: &str| canvases.iter().find(|canvas| canvas["label"]["none"][0] == label).unwrap();
    let storm = called("A storm");
    let of = |canvas: &Value, name: &str| {
        let entries = canvas["metadata"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["label"]["none"][0] == name).map(|entry| entry["value"]["none"].clone())
    };
    // The space at the end makes it clear that the value is not HTML.
    assert_eq!(of(storm, "artist"), Some(json!(["<b>Turner</b> "])));
    assert_eq!(of(storm, "date"), Some(json!(["1842"])));
    assert_eq!(of(storm, "file"), Some(json!(["000.png"])));
    assert_eq!(storm["homepage"][0]["id"], "https://example.org/objects/0");
    let second = called("001.png");
    assert_eq!(of(second, "link"), Some(json!(["javascript:alert(2)"])));
    let pages = second["homepage"].as_array().unwrap();
    assert!(pages.len() == 1 && pages[0]["id"].as_str().unwrap().starts_with(BASE), "{pages:?}");
}

#[test]
fn a_second_time_changes_nothing_and_a_foreign_folder_is_refused() {
    let (sandbox, _) = sample_page(30);
    let line = format!("publish site --originals --iiif --base-url {BASE}");
    let first = sandbox.json(&line);
    assert_eq!(first["published"], "site/index.html");
    let before = files(&sandbox.path("site"));
    let modified = || std::fs::metadata(sandbox.path("site/index.html")).unwrap().modified().unwrap();
    let then = modified();
    let again = sandbox.json(&line);
    assert!(again["stages"].as_array().unwrap().iter().all(|stage| stage["fresh"] == true), "{again}");
    assert_eq!((files(&sandbox.path("site")) == before, modified()), (true, then));
    // A deleted file is written again.
    let lost = before.keys().find(|name| name.starts_with("originals/")).unwrap();
    std::fs::remove_file(sandbox.path("site").join(lost)).unwrap();
    sandbox.ok(&line);
    assert!(files(&sandbox.path("site")) == before);

    sandbox.put("mine/index.html", b"mine");
    for (dir, code, said) in [("mine", 1, "not made by tsne-grid"), ("explorer", 2, "choose another folder")] {
        let ran = sandbox.run(&format!("publish {dir}"));
        assert!(ran.code == code && ran.stderr.contains(said), "{} {}", ran.code, ran.stderr);
    }
    assert_eq!(files(&sandbox.path("mine")).len(), 1);
    assert_eq!(sandbox.run("publish site --iiif").code, 2, "without an address there is no IIIF");
    assert_eq!(sandbox.run("publish site --base-url javascript:alert(1)").code, 2);
}
