//! The appearance of the page in a real browser.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::Float64Array;
use image::RgbImage;

use crate::browser::{Browser, browser};
use crate::page::{assert_no_errors, sample_page};
use crate::sandbox::{Sandbox, picture, png, put};
use crate::tables::{parquet, text};

#[track_caller]
fn seen(browser: &mut Browser) -> RgbImage {
    image::load_from_memory(&browser.screenshot()).unwrap().into_rgb8()
}

/// The number of pixels that changed.
fn changed(before: &RgbImage, after: &RgbImage) -> usize {
    before.pixels().zip(after.pixels()).filter(|(a, b)| a != b).count()
}

#[test]
fn it_is_dark_or_light_and_still_for_those_who_ask() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(40);
    let mut corners = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme, false);
        browser.open(&page, "");
        // The background next to the pictures, and the colour of a heading.
        corners.push(seen(&mut browser).get_pixel(4, 400).0.map(u32::from).iter().sum::<u32>());
        let style = "getComputedStyle(document.querySelector('h1')).color.match(/[0-9]+/g).slice(0, 3).map(Number)";
        let ink: u64 = browser.eval(style).as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).sum();
        assert_eq!(ink < 200, scheme == "light", "{scheme}: ink {ink}");
    }
    assert!(corners[0] > 690 && corners[1] < 90, "{corners:?}");
    let shares = "new Promise((done) => { const shares = []; chooseLayout(layout.to.name === 'map' ? 'grid' : 'map'); \
                  const step = () => { shares.push(layout.progress); \
                  if (layout.progress < 1) requestAnimationFrame(step); else done(shares); }; requestAnimationFrame(step); })";
    let between = |browser: &mut Browser| {
        let shares = browser.eval(shares);
        shares.as_array().unwrap().iter().filter(|share| (0.01..0.99).contains(&share.as_f64().unwrap())).count()
    };
    assert_eq!(between(&mut browser), 0, "nothing moves");
    browser.prefer("dark", true);
    assert!(between(&mut browser) > 3, "pictures glide");
    assert_no_errors(&mut browser);
}

/// For all pictures with a date, in the order of the dates: the label below the grid that is nearest.
const COLUMNS: &str = "all((i) => i).filter((i) => !Number.isNaN(timeOf(i)))\
    .sort((a, b) => timeOf(a) - timeOf(b))\
    .map((i) => layout.to.labels.map((label) => Math.abs(label.x - layout.to.x[i])))\
    .map((far) => far.indexOf(Math.min(...far)))";

#[test]
fn time_runs_from_left_to_right() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(90);
    browser.prefer("light", false);
    browser.open(&page, "#layout=time");
    let columns = browser.eval(COLUMNS);
    let columns: Vec<u64> = columns.as_array().unwrap().iter().map(|column| column.as_u64().unwrap()).collect();
    assert!(columns.is_sorted() && columns.first() < columns.last(), "{columns:?}");
    let places = "new Set([...layout.to.x.keys()].map((i) => `${layout.to.x[i]} ${layout.to.y[i]}`)).size === count";
    assert_eq!(browser.eval(places), true, "no picture covers another");
    assert_eq!(browser.eval("layout.to.labels.length > 2 && layout.to.labels.every((label) => label.text)"), true);
    assert_no_errors(&mut browser);
}

/// One camera with a wrong clock does not hide the pictures of all others.
#[test]
fn a_date_that_is_far_off_costs_one_gap() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::with_photos(12);
    let date = |i: usize| match i {
        0 => "1970-01-01".to_owned(),
        11 => "9999-12-31".to_owned(),
        i => format!("2024-03-{:02}", 1 + i / 2),
    };
    let rows: String = (0..12).map(|i| format!("{i:03}.png,Straße {i},{}\n", date(i))).collect();
    sandbox.put("photos.csv", format!("path,caption,date\n{rows}").as_bytes());
    sandbox.ok("run photos --model scattering -o grid.jpg");
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "#layout=time");
    let labels = browser.eval("layout.to.labels.map((label) => label.text)");
    assert_eq!(labels, serde_json::json!(["Jan", "1970", "⋯", "Mar", "2024", "⋯", "Dec", "9999"]));
    assert_eq!(browser.eval(COLUMNS), serde_json::json!([0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 6]));
    assert!(browser.eval("layout.to.width").as_f64() < Some(30.0), "all of it is seen");
    // The slider has one stop for each date with pictures: 1970, six days in March, 9999.
    browser.click_on("#more");
    assert_eq!(browser.eval("element('to').max"), "8");
    browser.eval("element('from').value = 1; element('from').dispatchEvent(new Event('input'))");
    browser.eval("element('to').value = 7; element('to').dispatchEvent(new Event('input'))");
    assert_eq!(browser.eval("highlight.lit.reduce((a, b) => a + b)"), 10);
    browser.wait_for("location.hash.includes('to=')");
    let link = browser.eval("location.hash");
    browser.open(&sandbox.path("explorer/index.html"), link.as_str().unwrap());
    assert_eq!(browser.eval("highlight.lit.reduce((a, b) => a + b)"), 10);
    // Each handle pushes the other, and one period stays between them at both ends.
    for (id, to, expected) in [("to", 0, "0 1"), ("from", 8, "7 8"), ("to", 8, "7 8"), ("from", 0, "0 8")] {
        browser.eval(&format!("element('{id}').value = {to}; element('{id}').dispatchEvent(new Event('input'))"));
        assert_eq!(browser.eval("`${element('from').value} ${element('to').value}`"), expected, "{id} to {to}");
    }
    for link in ["#to=-5", "#from=1e15", "#from=1e15&to=-1e15"] {
        browser.open(&sandbox.path("explorer/index.html"), link);
        assert!(browser.eval("highlight.lit.reduce((a, b) => a + b)").as_u64() <= Some(1), "{link}");
    }
    browser.eval("setQuery({ text: 'STRASSE 7', kinds: null, from: null, to: null })");
    assert_eq!(browser.eval("highlight.lit.reduce((a, b) => a + b)"), 1);
    assert_no_errors(&mut browser);
}

#[test]
fn seams_new_pictures_and_the_overview_are_drawn() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::with_photos(30);
    let run = "run photos --model scattering -o grid.jpg";
    sandbox.ok(run);
    for i in 0..3 {
        sandbox.put(&format!("photos/new-{i}.png"), &png(&picture(50 + i)));
    }
    sandbox.ok(run);
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "");
    let plain = seen(&mut browser);
    assert_eq!(browser.eval("element('overview').hidden"), true, "everything is seen");
    browser.click_on("#look");
    assert_eq!(browser.text("#new-text"), "Outline new pictures (3)");
    let with_panel = seen(&mut browser);
    assert!(changed(&plain, &with_panel) > 1000);
    let mut before = with_panel;
    for what in ["new", "seams"] {
        browser.click_on(&format!("#{what}"));
        browser.rest();
        let after = seen(&mut browser);
        assert!(changed(&before, &after) > 1000, "{what}");
        before = after;
    }
    let orange = seen(&mut browser).pixels().filter(|pixel| pixel.0 == [255, 122, 0]).count();
    assert!(orange > 500, "{orange}");
    browser.eval("zoomBy(6)");
    browser.rest();
    assert_eq!(browser.eval("element('overview').hidden"), false);
    let before = browser.eval("[view.x, view.y]");
    browser.click_on("#overview");
    browser.rest();
    assert_ne!(browser.eval("[view.x, view.y]"), before);
    assert_no_errors(&mut browser);
}

#[test]
fn colours_of_a_column_have_a_legend_and_names() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::new();
    let count = 60;
    let names: Vec<String> = (0..count).map(|i| format!("../../../../word{i}")).collect();
    let kinds: Vec<&str> = (0..count).map(|i| ["<b>noun", "verb"][i % 2]).collect();
    let numbers = |of: fn(usize) -> f64| Arc::new(Float64Array::from_iter_values((0..count).map(of)));
    let table = parquet(vec![
        ("image", text(&names.iter().map(String::as_str).collect::<Vec<_>>())),
        ("x", numbers(|i| (i % 2 * 20 + i % 7) as f64)),
        ("y", numbers(|i| (i % 11) as f64)),
        ("kind", text(&kinds)),
        ("size", numbers(|i| i as f64 / 4.0)),
    ]);
    sandbox.put("words.parquet", &table);
    let render = "render --input words.parquet --style scatter -o words.png --color-by";
    sandbox.ok(&format!("{render} kind"));
    browser.prefer("light", false);
    let page = sandbox.path("explorer-words/index.html");
    browser.open(&page, "");
    assert_eq!(browser.text("#legend-title"), "kind");
    assert_eq!(browser.text("#legend-list"), "<b>nounverb");
    assert_eq!(browser.eval("layout.to.labels.map((label) => label.text).join()"), "<b>noun,verb");
    let noun = browser.eval("wall.legend.entries[0][1]").as_str().unwrap().to_owned();
    let part = |at: usize| u8::from_str_radix(&noun[at..at + 2], 16).unwrap();
    let noun = [part(1), part(3), part(5)];
    let drawn = seen(&mut browser).pixels().filter(|p| (0..3).all(|c| p.0[c].abs_diff(noun[c]) < 12)).count();
    assert!(drawn > 1000, "points have their colour: {drawn}");
    // Names of a user's own are not used as digests in addresses.
    let names = "[wall.large, all(fileName).every((name, i) => name === String(i))]";
    assert_eq!(browser.eval(names), serde_json::json!([null, true]));
    browser.eval("open(0)");
    browser.wait_for("document.querySelector('#frame canvas') !== null");
    browser.eval("box.close()");
    assert!(browser.text("#said").contains("kind <b>noun"), "{}", browser.text("#said"));
    sandbox.ok(&format!("{render} size"));
    browser.open(&page, "");
    assert_eq!(browser.text("#legend-title"), "size");
    assert_eq!(browser.eval("layout.to.labels.length"), 0);
    assert_no_errors(&mut browser);
}

/// Screenshots of the page for review: `PAGE_SHOTS=folder cargo test -- --ignored shots`.
#[test]
#[ignore = "makes pictures to look at"]
fn shots() {
    let Some(folder) = std::env::var_os("PAGE_SHOTS").map(PathBuf::from) else { return };
    let Some(page) = std::env::var_os("PAGE").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let mut browser = browser().unwrap();
    for (size, (width, height, touched)) in [("desktop", (1280, 800, false)), ("phone", (390, 844, true))] {
        for scheme in ["light", "dark"] {
            browser.window(width, height, touched);
            browser.prefer(scheme, false);
            for (name, fragment, then) in [
                ("grid", "", ""),
                ("map", "#layout=map", ""),
                ("time", "#layout=time", ""),
                ("search", "#search=a", "element('more').click()"),
                ("seams", "#seams=1&x=6&y=5&zoom=90", ""),
                ("lightbox", "", "open(Math.floor(count / 2))"),
            ] {
                browser.open(&page, fragment);
                browser.eval(then);
                browser.wait_for("[...document.images].every((image) => image.complete)");
                browser.rest();
                put(&folder.join(format!("{size}-{scheme}-{name}.png")), &browser.screenshot());
            }
        }
    }
}
