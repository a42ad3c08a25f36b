//! A large grid, with its data in files next to the page, in a real browser.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array};
use serde_json::json;

use crate::browser::{Browser, browser};
use crate::page::assert_no_errors;
use crate::page_hostile::hostile;
use crate::sandbox::Sandbox;
use crate::tables::{parquet, text};

const POINTS: usize = 6000;
const ACROSS: usize = 80;

/// Points with hostile names and notes.
fn points() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..POINTS).map(hostile).collect();
    let notes: Vec<String> = (0..POINTS)
        .map(|i| if i == 4321 { "one needle in the haystack".to_owned() } else { hostile(i + POINTS) })
        .collect();
    let kinds: Vec<&str> = (0..POINTS).map(|i| ["<b>noun", "verb", "else"][i % 3]).collect();
    let of = |texts: &[String]| text(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = |of: fn(usize) -> usize| Arc::new(Int32Array::from_iter_values((0..POINTS).map(|i| of(i) as i32)));
    let number = |of: fn(usize) -> f64| Arc::new(Float64Array::from_iter_values((0..POINTS).map(of)));
    let table = parquet(vec![
        ("image", of(&names)),
        ("row", whole(|i| i / ACROSS)),
        ("col", whole(|i| i % ACROSS)),
        ("x", number(|i| (i % 3 * 40) as f64 + (i as f64).sin() * 15.0)),
        ("y", number(|i| (i as f64 * 1.7).cos() * 15.0)),
        ("kind", text(&kinds)),
        ("note", of(&notes)),
    ]);
    sandbox.put("points.parquet", &table);
    sandbox.ok("render --input points.parquet --cell 2 --color-by kind -o points.png");
    let page = sandbox.path("explorer-points/index.html");
    (sandbox, page)
}

/// A grid of twelve pictures, repeated: their thumbnails are linked under the names of many others.
fn pictures(count: usize) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok("run photos --model scattering --cell 8 --large 0 --page -o few.jpg");
    let mut table = "image,row,col,x,y\n".to_owned();
    for i in 0..count {
        let name = blake3::hash(&i.to_le_bytes()).to_string();
        let turned = i as f64 * 2.4;
        let (x, y) = ((i as f64).sqrt() * turned.cos(), (i as f64).sqrt() * turned.sin());
        table += &format!("{name},{},{},{x},{y}\n", i / 70, i % 70);
    }
    let kinds = sandbox.path("cache/thumbs").read_dir().unwrap().map(|kind| kind.unwrap().path());
    for kind in kinds.filter(|kind| kind.to_str().unwrap().contains("-cover-")) {
        let files = walkdir::WalkDir::new(&kind).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
        let files: Vec<PathBuf> = files.map(walkdir::DirEntry::into_path).collect();
        for (i, row) in table.lines().skip(1).enumerate() {
            let file = &files[i % files.len()];
            // The name of a file in the cache is its key and the digest of its bytes.
            let digest = file.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1;
            std::fs::create_dir_all(kind.join(&row[..2])).unwrap();
            std::fs::hard_link(file, kind.join(&row[..2]).join(format!("{}-{digest}", &row[..20]))).unwrap();
        }
    }
    sandbox.put("wall.csv", table.as_bytes());
    sandbox.ok("render --input wall.csv --cell 8 --large 0 -o wall.jpg");
    let page = sandbox.path("explorer-wall/index.html");
    (sandbox, page)
}

#[test]
fn on_a_large_wall_one_meets_what_one_sees() {
    const PICTURES: usize = 4200;
    let (_story, page) = pictures(PICTURES);
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    browser.open(&page, "");
    assert_eq!(browser.eval("[count, wall.folder !== null, wall.dots]"), json!([PICTURES, true, false]));
    let seen =
        "(() => { const all = []; eachVisible((i, px, py) => { all.push([i, pictureAt(px, py)]); }); return all; })()";
    for layout in ["grid", "map"] {
        browser.eval(&format!("chooseLayout('{layout}')"));
        browser.rest();
        let mut before = PICTURES + 1;
        for _ in 0..3 {
            let met = browser.eval(seen);
            let met = met.as_array().unwrap();
            assert!(!met.is_empty() && met.iter().all(|pair| pair[0] == pair[1]), "{layout}");
            assert!(layout == "map" || met.len() < before, "fewer are in the window from nearer");
            before = met.len();
            browser.eval("zoomBy(3)");
            browser.rest();
        }
        browser.eval("jumpTo(wholeView(layout.to))");
        browser.rest();
    }
    let total = browser.eval("thinned().shown + thinned().behind.reduce((sum, n) => sum + n, 0)");
    assert_eq!(total, json!(PICTURES), "each is seen or counted");
    assert_eq!(browser.eval("thinned().shown < count / 2"), true, "there is no room for all");
    // The arrow of an opened picture leads to the next picture on the map, from left to right.
    browser.eval("open(100)");
    browser.wait_for("box.open && highlight.focused === 100");
    browser.click_on("#next");
    browser.wait_for("highlight.focused !== 100");
    assert_eq!(
        browser.eval(
            "all((i) => layout.to.x[i]).filter((x) => x > layout.to.x[100] && x < layout.to.x[highlight.focused]).length"
        ),
        0
    );
    assert_no_errors(&mut browser);
}

/// The data files that the page requested.
fn asked(browser: &Browser) -> Vec<String> {
    let names = browser.requested().into_iter().filter(|url| url.ends_with(".js"));
    names.map(|url| url.rsplit('/').next().unwrap().trim_end_matches(".js").to_owned()).collect()
}

#[test]
fn a_large_wall_reads_what_it_is_asked_for() {
    let (sandbox, page) = points();
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(!html.contains("needle") && html.len() < 250_000, "{} bytes, however many points", html.len());
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    browser.open(&page, "");
    browser.wait_for("document.querySelectorAll('script[src]').length === 0");
    assert_eq!(asked(&browser), ["columns-0", "facets-0", "rough-0"], "nothing of single points");
    assert_eq!(browser.eval("[count, layout.to.name]"), json!([POINTS, "grid"]));

    browser.eval("open(4321)");
    browser.wait_for("box.open");
    assert!(browser.text("#box-facts").contains("one needle in the haystack"));
    assert_eq!(asked(&browser)[3..], ["rows-4"]);
    browser.eval("box.close()");

    browser.click_on("#search");
    browser.type_text("Needle HAY");
    browser.wait_for("element('count').textContent.startsWith('1 of')");
    assert_eq!(browser.eval("hits.all"), json!([4321]));
    let read = asked(&browser);
    assert!(read.contains(&"words-0".to_owned()) && read.iter().any(|name| name.starts_with("found-")), "{read:?}");
    assert!(!read.contains(&"rows-0".to_owned()), "no text was read for that: {read:?}");
    browser.key("Enter");
    browser.wait_for("highlight.focused === 4321 && element('said').textContent.length > 0");

    // A filter on the map by a column; its address restores it.
    browser.eval("setQuery({ pairs: [['is.kind', 'verb']] })");
    assert_eq!(browser.eval("highlight.lit.reduce((sum, on) => sum + on, 0)"), json!(POINTS / 3));
    browser.eval("chooseLayout('map')");
    browser.rest();
    // Points without pictures are dots, and all fit.
    let seen = "(() => { let n = 0; eachVisible(() => { n += 1; }); return n; })()";
    assert_eq!(browser.eval(&format!("[wall.dots, tileSide() < 15, {seen}]")), json!([true, true, POINTS]));
    browser.wait_for("location.hash.includes('is.kind=verb') && location.hash.includes('picture=4321')");
    let link = browser.eval("location.hash").as_str().unwrap().to_owned();
    browser.open(&page, &link);
    let state = "[layout.to.name, highlight.focused, highlight.lit.reduce((sum, on) => sum + on, 0)]";
    assert_eq!(browser.eval(state), json!(["map", 4321, POINTS / 3]));

    // If a data file is lost, only its content is missing.
    let data = browser.eval("wall.folder").as_str().unwrap().to_owned();
    std::fs::remove_file(sandbox.path("explorer-points").join(data).join("rows-2.js")).unwrap();
    browser.eval("open(2500)");
    browser.wait_for("box.open");
    assert_eq!(browser.eval("box.getAttribute('aria-label')"), "Picture 2501");
    let lost = browser.violations();
    assert!(lost.len() == 1 && lost[0].contains("rows-2.js"), "{lost:?}");
}

#[test]
fn what_tiles_say_stays_text_and_no_other_script_runs() {
    let (sandbox, page) = points();
    sandbox.put("explorer-points/mine.js", b"trapped.push('a foreign script')");
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    browser.open(&page, "");
    let elements =
        "document.querySelectorAll('*').length - document.querySelectorAll('.strip *, #frame *, #box-facts *').length";
    let before = browser.eval(elements);
    browser.eval("new Promise((then) => withRows(all((i) => i), () => then(true)))");
    browser.eval("box.showModal()");
    for first in (0..POINTS).step_by(1500) {
        let last = first + 1500;
        browser.eval(&format!("for (let i = {first}; i < {last}; i += 3) {{ open(i); showCard(i, 200, 200); }}"));
    }
    browser.rest();
    assert_eq!(browser.eval(elements), before, "no string became an element");
    let shown = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let of = |i: usize| hostile(i).chars().map(shown).collect::<String>();
    let known = browser.eval("all((i) => [row(i).path, row(i).fields.find(([name]) => name === 'note')[1]])");
    for (i, known) in known.as_array().unwrap().iter().enumerate().filter(|(i, _)| *i != 4321) {
        assert_eq!(known, &json!([of(i), of(i + POINTS)]));
    }
    // Only the page's own script can load scripts, and only its data.
    let refused =
        |what: &str| format!("(() => {{ try {{ {what}; return 'done'; }} catch {{ return 'refused'; }} }})()");
    for what in [
        "document.createElement('script').src = 'mine.js'",
        "trustedTypes.createPolicy('other', {})",
        "trustedTypes.createPolicy('tiles', { createScriptURL: (url) => url })",
        "document.body.innerHTML = '<script src=\"mine.js\"></script>'",
        "withChunks(['../mine'], () => {})",
    ] {
        assert_eq!(browser.eval(&refused(what)), "refused", "{what}");
    }
    let foreign = browser.violations().into_iter().filter(|said| said.contains("a foreign script")).count();
    assert_eq!(foreign, 0);
}

#[test]
fn many_glide_as_dots_and_come_to_rest_as_tiles() {
    let (_story, page) = points();
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", true);
    browser.open(&page, "");
    browser.wait_for("dotsOn(document.createElement('canvas'), 1, '#fff', null, 1) !== null");
    // The moving pictures have the pixels of the sheets: three colours, except for JPEG artifacts.
    let colours = "new Promise((done) => { const seen = []; chooseLayout(layout.to.name === 'map' ? 'grid' : 'map'); \
                   const step = () => { if (layout.progress > 0.4 && layout.progress < 0.9) { \
                   const { data } = moving.getContext('2d').getImageData(0, 0, moving.width, moving.height); \
                   const all = new Set(new Uint32Array(data.buffer)); seen.push(all.size); } \
                   if (layout.progress < 1) requestAnimationFrame(step); else done(seen); }; requestAnimationFrame(step); })";
    for _ in 0..2 {
        let seen = browser.eval(colours);
        let seen = seen.as_array().unwrap();
        assert!(!seen.is_empty() && seen.iter().all(|n| (4..400).contains(&n.as_u64().unwrap())), "{seen:?}");
        browser.rest();
    }
    assert_no_errors(&mut browser);
}
