//! The explorer in a real, headless browser; skipped, with a message, if there is none.

use std::path::PathBuf;

use serde_json::json;

use crate::browser::{Browser, browser};
use crate::sandbox::Sandbox;

/// A page of drawn pictures, with captions, times and carousels.
#[track_caller]
pub(crate) fn sample_page(images: u32) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("sample photos --images {images}"));
    sandbox.ok("run photos --model scattering --kinds post,story -o grid.jpg");
    let page = sandbox.path("explorer/index.html");
    (sandbox, page)
}

/// Asserts that the page had no error, and requested nothing outside its folder.
#[track_caller]
pub(crate) fn assert_no_errors(browser: &mut Browser) {
    assert_eq!(browser.violations(), Vec::<String>::new());
    let folder = browser.eval("new URL('.', location.href).href").as_str().unwrap().to_owned();
    let originals = browser.eval(
        "all(row).flatMap(({ link, behind }) => [link, ...behind.map(([, , other]) => other)])\
                                  .filter(Boolean).map((link) => new URL(link, location.href).href)",
    );
    let strange: Vec<String> = browser
        .requested()
        .into_iter()
        .filter(|url| !url.starts_with(&folder) && !url.starts_with("about:") || url.contains("/../"))
        // Except the original of an opened picture, to which its link leads.
        .filter(|url| originals.as_array().is_none_or(|all| !all.contains(&json!(url))))
        .collect();
    assert_eq!(strange, Vec::<String>::new(), "nothing from elsewhere");
}

/// The place of a picture in the window.
#[track_caller]
fn place(browser: &mut Browser, i: u64) -> (f64, f64) {
    let place = browser.eval(&format!("toWindow(layout.to.x[{i}], layout.to.y[{i}])"));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

#[test]
fn one_looks_at_pictures_with_the_mouse() {
    let Some(mut browser) = browser() else { return };
    let (sandbox, page) = sample_page(80);
    browser.prefer("light", false);
    browser.open(&page, "");
    assert!(browser.eval("count").as_u64() > Some(60));
    let shot = image::load_from_memory(&browser.screenshot()).unwrap().into_rgb8();
    let colours: std::collections::BTreeSet<[u8; 3]> = shot.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "the wall is seen");
    let captions = browser.eval("all((i) => row(i).caption)");
    let of_many = browser.eval("all((i) => row(i).post).findIndex((post) => post !== null)").as_u64().unwrap();

    let (x, y) = place(&mut browser, of_many);
    browser.mouse("mouseMoved", x, y, json!({}));
    browser.wait_for("!element('card').hidden");
    assert_eq!(json!(browser.text("#card-caption")), captions[of_many as usize]);
    let facts = browser.text("#card-facts");
    assert!(facts.contains("2024") && facts.contains("post") && facts.contains(" in its post"), "{facts}");

    for kind in ["mousePressed", "mouseReleased"] {
        browser.mouse(kind, x, y, json!({"button": "right", "buttons": 2, "clickCount": 1}));
    }
    browser.rest();
    assert_eq!(browser.eval("box.open"), false, "the other button is the browser's");
    browser.click(x, y);
    browser.wait_for("box.open && document.querySelector('#frame img')?.naturalWidth > 128");
    assert_eq!(json!(browser.text("#box-caption")), captions[of_many as usize]);
    assert_eq!(browser.eval("document.querySelectorAll('#alike button').length"), 10);
    assert!(browser.eval("document.querySelectorAll('#siblings button').length").as_u64() >= Some(2));
    browser.click_on("#alike button");
    let nearest = format!("highlight.focused === row({of_many}).nearest[0]");
    browser.wait_for(&nearest);
    let alike = browser.eval("row(highlight.focused).nearest");
    assert_eq!(alike.as_array().unwrap().len(), 10);

    // The link leads to exactly this file.
    let link = browser.eval("document.querySelector('#box-link').href").as_str().unwrap().to_owned();
    let chosen = browser.eval("[row(highlight.focused).path, fileName(highlight.focused)]");
    let file = sandbox.path("photos").join(chosen[0].as_str().unwrap());
    let leads_to = percent_encoding::percent_decode_str(&link).decode_utf8().unwrap();
    assert_eq!(leads_to, format!("file://{}", file.canonicalize().unwrap().display()));
    assert!(blake3::hash(&std::fs::read(file).unwrap()).to_string().starts_with(chosen[1].as_str().unwrap()));
    browser.click_on("#close");
    browser.wait_for("!box.open");
    assert_no_errors(&mut browser);
}

#[test]
fn one_goes_about_with_the_keyboard_alone() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(80);
    browser.prefer("dark", false);
    browser.open(&page, "");
    browser.key("ArrowRight");
    browser.rest();
    let first = browser.eval("highlight.focused").as_u64().unwrap();
    assert!(browser.text("#said").contains("row "), "said aloud");
    browser.key("ArrowRight");
    browser.rest();
    assert_eq!(browser.eval("highlight.focused"), first + 1, "the next cell");
    browser.key("ArrowUp");
    browser.key("ArrowLeft");
    browser.rest();
    assert_eq!(
        browser.eval(&format!("columns.cells[{first}] - columns.cells[highlight.focused] === wall.columns")),
        true,
        "the one above"
    );
    browser.key("Enter");
    browser.wait_for("box.open");
    let opened = browser.eval("highlight.focused").as_u64().unwrap();
    browser.key("ArrowRight");
    browser.wait_for(&format!("highlight.focused === {opened} + 1"));
    assert_eq!(browser.text("#box-said"), browser.text("#said"), "said aloud in the box as well");
    // The button of a similar picture is pressed and disappears; keys still work.
    browser.eval("document.querySelector('#alike button').focus()");
    browser.key("Enter");
    browser.wait_for(&format!("highlight.focused === row({opened} + 1).nearest[0]"));
    let alike = browser.eval("highlight.focused");
    let leftmost = browser.eval("columnOf(highlight.focused) === 0") == true;
    browser.key(if leftmost { "ArrowRight" } else { "ArrowLeft" });
    browser.wait_for(&format!("highlight.focused !== {alike}"));
    browser.key("Escape");
    browser.wait_for("!box.open && document.activeElement === canvas");
    browser.rest();
    browser.key("+");
    browser.rest();
    let near = browser.eval("view.scale").as_f64().unwrap();
    browser.key("0");
    browser.rest();
    assert!(browser.eval("view.scale").as_f64().unwrap() < near);
    browser.click_on("[data-layout=time]");
    browser.rest();
    for (key, name) in [("m", "map"), ("t", "time"), ("g", "grid")] {
        browser.key(key);
        browser.rest();
        assert_eq!(browser.eval("layout.to.name"), name);
        assert_eq!(browser.eval("document.querySelector('[aria-checked=true]').dataset.layout"), name);
    }
    browser.key("/");
    browser.wait_for("document.activeElement.id === 'search'");
    browser.type_text("m");
    assert_eq!(browser.eval("layout.to.name"), "grid", "a letter in a field is a letter");
    let names = browser.eval(
        "[...document.querySelectorAll('button, input, canvas[tabindex], dialog')].filter((e) => !e.hidden && \
         !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length || e.id === 'box')).map((e) => e.id)",
    );
    assert_eq!(names, json!([]), "everything that can be reached has a name");
    assert_no_errors(&mut browser);
}

#[test]
fn one_searches_filters_and_links_to_a_place() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(120);
    browser.prefer("light", false);
    browser.open(&page, "");
    let word =
        browser.eval("all((i) => row(i).caption).find((text) => /\\p{L}{5}/u.test(text)).match(/\\p{L}{5,}/u)[0]");
    let word = word.as_str().unwrap().to_uppercase();
    browser.click_on("#search");
    browser.type_text(&word);
    browser.wait_for("highlight.lit !== null");
    let fits = "all((i) => (row(i).caption + row(i).path).toLowerCase().includes(query.text.toLowerCase()) ? 1 : 0)";
    assert_eq!(browser.eval("[...highlight.lit]"), browser.eval(fits));
    let hits = browser.eval("highlight.lit.reduce((a, b) => a + b)").as_u64().unwrap();
    assert!(hits > 0 && browser.text("#count").starts_with(&hits.to_string()));

    browser.click_on("#more");
    browser.click_on("#kinds input[value=story]");
    browser.wait_for("query.kinds !== null");
    assert_eq!(browser.eval("[...highlight.lit].every((on, i) => !on || kindOf(i) === 'post')"), true);
    browser.eval("element('from').value = 3; element('from').dispatchEvent(new Event('input'))");
    let early = "[...highlight.lit].every((on, i) => !on || timeOf(i) >= query.from)";
    assert_eq!(browser.eval(&format!("query.from > 0 && {early}")), true);
    browser.click_on("#look");
    browser.click_on("#seams");
    browser.eval("zoomBy(2, 300, 300)");
    browser.rest();

    browser.wait_for("location.hash.includes('zoom=') && location.hash.includes('seams=1')");
    let state = "[layout.to.name, view.scale.toFixed(1), query.text, [...highlight.lit].join(''), overlays.seams]";
    // After a pause in typing the view moves to the hits, and the address follows the view. Both have to be at rest.
    let view_and_link = format!("[{state}, location.hash]");
    let mut before = browser.eval(&view_and_link);
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
        browser.rest();
        let now = browser.eval(&view_and_link);
        if now == before {
            break;
        }
        before = now;
    }
    browser.open(&page, before[1].as_str().unwrap());
    assert_eq!(browser.eval(state), before[0], "the link leads to the same view");
    browser.eval("location.hash = '#layout=map&zoom=nonsense&picture=none&kinds=%3Cscript%3E'");
    browser.wait_for("layout.to.name === 'map'");
    assert_no_errors(&mut browser);
}

#[test]
fn a_phone_pinches_and_taps() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(80);
    browser.window(390, 844, true);
    browser.prefer("dark", false);
    browser.open(&page, "");
    let before = browser.eval("view.scale").as_f64().unwrap();
    browser.touch("touchStart", &[[150.0, 400.0], [240.0, 400.0]]);
    for step in 1..=6 {
        let by = f64::from(step) * 15.0;
        browser.touch("touchMove", &[[150.0 - by, 400.0], [240.0 + by, 400.0]]);
    }
    browser.touch("touchEnd", &[]);
    browser.rest();
    let ratio = browser.eval("view.scale").as_f64().unwrap() / before;
    assert!((1.8..4.0).contains(&ratio), "{ratio}");
    browser.touch("touchStart", &[[195.0, 420.0]]);
    browser.touch("touchEnd", &[]);
    browser.wait_for("box.open");
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= 390"), true, "nothing sticks out");
    assert_eq!(browser.eval("element('box').getBoundingClientRect().width"), 390);
    // On the smallest screens, where the bars need three rows, the panel does not cover the search.
    browser.window(320, 568, true);
    browser.open(&page, "");
    browser.eval("element('more').click()");
    let below = "element('panel').getBoundingClientRect().top >= element('search').getBoundingClientRect().bottom \
                 && element('panel').getBoundingClientRect().bottom <= 568";
    assert_eq!(browser.eval(below), true);
    assert_no_errors(&mut browser);
}

#[test]
fn a_path_with_spaces_and_hashes_opens() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::with_photos(12);
    let odd = sandbox.path("my #1 pictures 100%?");
    let mut command = sandbox.command("run photos --model scattering -o");
    assert!(command.arg(odd.join("wall & co.jpg")).status().unwrap().success());
    browser.open(&odd.join("explorer-wall & co/index.html"), "#layout=map");
    let sharp = "loadedSheet(levelFor(view.scale * devicePixelRatio), 0, 0) instanceof ImageBitmap";
    assert_eq!(browser.eval(sharp), true);
    browser.eval("open(0)");
    browser.wait_for("document.querySelector('#frame img')?.naturalWidth > 0");
    assert_no_errors(&mut browser);
}
