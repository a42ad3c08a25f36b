//! The explorer on a phone and in daily use: gestures, stepping through hits, filters by fields, selections.

use std::path::PathBuf;

use serde_json::json;

use crate::browser::{Browser, browser};
use crate::page::{assert_no_errors, sample_page};
use crate::sandbox::{Sandbox, picture, png};

/// A page of drawn pictures with a table of fields.
#[track_caller]
fn with_fields(pictures: u32) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let mut table = String::from("filename,artist,year,tags,homepage\n");
    for i in 0..pictures {
        sandbox.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
        let (artist, tags) = (["Ada", "Berg", "Mei"][i as usize % 3], ["oil;sea", "ink"][i as usize % 2]);
        let link = if i == 0 { "javascript:alert(1)" } else { "https://museum.example/o/1" };
        table.push_str(&format!("{i:03}.png,{artist},{},{tags},{link}\n", 1800 + i));
    }
    sandbox.put("photos/objects.csv", table.as_bytes());
    sandbox.ok("run photos --model scattering -o grid.jpg");
    let page = sandbox.path("explorer/index.html");
    (sandbox, page)
}

fn swipe(browser: &mut Browser, from: [f64; 2], to: [f64; 2]) {
    browser.touch("touchStart", &[from]);
    for step in 1..=4 {
        let at = |axis: usize| from[axis] + (to[axis] - from[axis]) * f64::from(step) / 4.0;
        browser.touch("touchMove", &[[at(0), at(1)]]);
    }
    browser.touch("touchEnd", &[]);
}

#[test]
fn a_phone_goes_back_swipes_and_pinches_in_the_picture() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(60);
    browser.window(390, 844, true);
    browser.prefer("light", false);
    browser.open(&page, "#layout=map");
    browser.eval("open(3)");
    browser.wait_for("box.open && document.querySelector('#frame img')?.naturalWidth > 0");
    let small = browser.eval(
        "[...document.querySelectorAll('header button, nav button, #close, #next, #slides')].filter((e) => e.offsetWidth > 0 \
         && (e.offsetWidth < 44 || e.offsetHeight < 44)).map((e) => e.id)",
    );
    assert_eq!(small, json!([]), "a finger finds every button");
    swipe(&mut browser, [300.0, 250.0], [90.0, 260.0]);
    browser.wait_for("highlight.focused !== 3");
    browser.touch("touchStart", &[[150.0, 250.0], [240.0, 250.0]]);
    browser.touch("touchMove", &[[100.0, 250.0], [300.0, 250.0]]);
    browser.touch("touchEnd", &[]);
    browser.wait_for("document.querySelector('#frame').firstElementChild.style.transform.includes('scale(2')");
    let nearer = browser.eval("highlight.focused");
    swipe(&mut browser, [300.0, 250.0], [90.0, 260.0]);
    assert_eq!(browser.eval("highlight.focused"), nearer, "a larger picture is pulled and not left");
    browser.key("ArrowRight");
    browser.wait_for("document.querySelector('#frame').firstElementChild.style.transform === ''");
    swipe(&mut browser, [200.0, 150.0], [205.0, 400.0]);
    browser.wait_for("!box.open");
    // The back button closes the box and does not leave the page.
    browser.rest();
    browser.eval("open(5)");
    browser.wait_for("history.state?.box === true");
    browser.eval("history.back()");
    browser.wait_for("!box.open && layout.to.name === 'map'");
    assert_eq!(browser.eval("location.pathname.includes('/explorer/')"), true);
    assert_no_errors(&mut browser);
}

#[test]
fn pictures_on_the_map_never_cover_each_other_and_none_is_lost() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = sample_page(150);
    browser.prefer("light", false);
    for (width, height, touched) in [(1440, 900, false), (390, 844, true)] {
        browser.window(width, height, touched);
        browser.open(&page, "#layout=map");
        for zoom in [1.0, 2.5, 3.0] {
            browser.eval(&format!("zoomTo(view.scale * {zoom}, windowWidth() / 2, windowHeight() / 2)"));
            browser.rest();
            let seen = "(() => { const { order, shown } = thinned(); return [...order.slice(0, shown)]; })()";
            let covered = browser.eval(&format!(
                "{seen}.flatMap((i, n) => {seen}.slice(n + 1).filter((j) => Math.max(Math.abs(layout.to.x[i] - layout.to.x[j]), \
                 Math.abs(layout.to.y[i] - layout.to.y[j])) * view.scale < tileSide() - 0.01))"
            ));
            assert_eq!(covered, json!([]), "at {zoom} in {width}x{height}");
            let total = browser.eval(&format!(
                "{seen}.length + {seen}.reduce((sum, i) => sum + thinned().behind[thinned().at[i]], 0)"
            ));
            assert_eq!(total, browser.eval("count"), "each is seen or counted");
        }
        browser.eval("showAll()");
        browser.rest();
        let fills = "Math.max(layout.to.width * view.scale / windowWidth(), layout.to.height * view.scale / windowHeight()) > 0.6";
        assert_eq!(browser.eval(fills), true, "the map takes the window's shape");
    }
    assert_no_errors(&mut browser);
}

#[test]
fn a_search_goes_where_it_finds_and_walks_through_the_hits() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = with_fields(60);
    browser.prefer("light", false);
    browser.open(&page, "");
    assert!(browser.eval("element('search').title").as_str().unwrap().contains("fields"), "it says what is searched");
    browser.click_on("#search");
    browser.type_text("BERG");
    browser.wait_for("highlight.lit !== null");
    assert_eq!(browser.text("#count"), "20 of 60");
    browser.key("Enter");
    browser.wait_for("hits.at === 0");
    browser.key("Enter");
    browser.wait_for("hits.at === 1 && highlight.focused === hits.all[1]");
    assert_eq!(browser.text("#count"), "2 of 20");
    browser.click_on("#earlier");
    browser.wait_for("hits.at === 0");
    browser.click_on("#reset");
    browser.wait_for("highlight.lit === null");
    browser.click_on("#search");
    browser.type_text("zzzz");
    browser.wait_for("highlight.lit !== null");
    assert_eq!(browser.text("#count"), "nothing found");
    browser.click_on("#reset");
    browser.click_on("#search");
    browser.type_text("001.png");
    browser.wait_for("view.scale > 100 && pictureAt(windowWidth() / 2, windowHeight() / 2 + 40) === hits.all[0]");
    assert_no_errors(&mut browser);
}

#[test]
fn fields_filter_colour_and_lead_on() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = with_fields(60);
    browser.prefer("light", false);
    browser.open(&page, "");
    browser.click_on("#more");
    let names = browser.eval("facets().map(({ name }) => name).sort()");
    assert_eq!(names, json!(["artist", "homepage", "tags", "year"]));
    browser.eval("[...document.querySelectorAll('#facets details')].forEach((d) => { d.open = true; })");
    let field = |name: &str| {
        format!("[...document.querySelectorAll('#facets details')].find((d) => d.innerText.startsWith('{name}'))")
    };
    browser.eval(&format!("{}.querySelector('input').click()", field("artist")));
    browser.wait_for("highlight.lit?.reduce((a, b) => a + b) === 20");
    let tags = browser.eval(&format!("{}.innerText", field("tags")));
    assert!(tags.as_str().is_some_and(|tags| tags.contains("ink") && tags.contains("10")), "what each leaves: {tags}");
    browser.eval(
        "(() => { const from = document.querySelector('.between input'); from.value = 1830; \
         from.dispatchEvent(new Event('change')); })()",
    );
    browser.wait_for("highlight.lit?.reduce((a, b) => a + b) === 10");
    browser.click_on("#look");
    browser.eval("(() => { element('tint').value = 'artist'; element('tint').dispatchEvent(new Event('change')); })()");
    assert_eq!(browser.eval("document.querySelectorAll('#tint-list li').length"), 3);
    browser.wait_for("location.hash.includes('is.artist=') && location.hash.includes('between.year=') && location.hash.includes('colour=artist')");
    let link = browser.eval("location.hash");
    browser.open(&page, link.as_str().unwrap());
    assert_eq!(browser.eval("[highlight.lit.reduce((a, b) => a + b), tint.name]"), json!([10, "artist"]));
    // Web addresses become links; anything else is text.
    let first = browser.eval("all((i) => row(i).path).indexOf('000.png')");
    for (picture, links) in [(first.clone(), 0), (json!(if first == 0 { 1 } else { 0 }), 1)] {
        browser.eval(&format!("open({picture})"));
        assert_eq!(browser.eval("document.querySelectorAll('#box-facts a').length"), links);
    }
    assert!(browser.text("#box-facts").contains("homepage"));
    assert_no_errors(&mut browser);
}

#[test]
fn pictures_are_selected_and_taken_along() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = with_fields(60);
    browser.prefer("light", false);
    browser.open(&page, "");
    let middle = browser.eval("toWindow(3, 3)");
    let (x, y) = (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
    let side = 1.5 * browser.eval("view.scale").as_f64().unwrap();
    browser.click_on("#select");
    browser.wait_for("lasso.on && !element('selection').hidden");
    browser.mouse("mousePressed", x - side, y - side, json!({"button": "left", "buttons": 1, "clickCount": 1}));
    for (dx, dy) in [(0.0, -1.2), (1.0, -1.0), (1.2, 0.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        browser.mouse("mouseMoved", x + dx * side, y + dy * side, json!({"button": "left", "buttons": 1}));
    }
    browser.mouse("mouseReleased", x - side, y - side, json!({"button": "left", "clickCount": 1}));
    browser.wait_for("selected.size >= 6 && selected.size <= 12");
    let chosen = browser.eval("selected.size").as_u64().unwrap();
    browser.click_on("#copy");
    browser.wait_for("element('selected').textContent.endsWith('paths copied')");
    browser.click_on("#only");
    browser.wait_for("element('selection').hidden && location.hash.includes('only=')");
    assert_eq!(browser.eval("highlight.lit.reduce((a, b) => a + b)"), chosen);
    let link = browser.eval("location.hash");
    browser.open(&page, link.as_str().unwrap());
    assert_eq!(browser.eval("highlight.lit.reduce((a, b) => a + b)"), chosen, "the address shows only these");
    assert_no_errors(&mut browser);
}

#[test]
fn what_is_open_closes_and_what_lacks_says_so() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok("run photos --model scattering -o grid.jpg");
    let page = sandbox.path("explorer/index.html");
    browser.prefer("dark", false);
    browser.open(&page, "");
    browser.key("?");
    browser.wait_for("element('keys-box').open");
    browser.key("Escape");
    browser.wait_for("!element('keys-box').open");
    browser.click_on("#look");
    browser.wait_for("!element('looks').hidden");
    browser.key("Escape");
    browser.wait_for("element('looks').hidden");
    browser.click_on("#look");
    let (x, y) = (300.0, 400.0);
    browser.click(x, y);
    browser.wait_for("element('looks').hidden");
    assert_eq!(browser.eval("box.open"), false, "the press beside a panel only closes it");
    browser.key("t");
    browser.wait_for("element('remark').textContent.includes('has a date')");
    assert_eq!(browser.eval("layout.to.name"), "grid");
    browser.eval("open(0)");
    browser.key("s");
    browser.wait_for("element('slides').getAttribute('aria-pressed') === 'true'");
    browser.wait_for("highlight.focused !== 0");
    browser.key("Escape");
    browser.wait_for("!box.open && element('slides').getAttribute('aria-pressed') === 'false'");
    assert_no_errors(&mut browser);
}

#[test]
fn the_page_shows_how_the_wall_grew() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::with_photos(40);
    sandbox.ok("run photos --model scattering -o grid.jpg");
    let page = sandbox.path("explorer/index.html");
    browser.prefer("light", true);
    browser.open(&page, "");
    assert_eq!(browser.eval("element('grew').hidden"), true, "a first wall grew from none");
    for i in 40..48 {
        sandbox.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
    }
    sandbox.ok("run photos --model scattering -o grid.jpg");
    assert!(sandbox.stages_run("run photos --model scattering -o grid.jpg").is_empty());
    browser.open(&page, "");
    let old = browser.eval("columns.before.filter((cell) => cell >= 0).length");
    assert_eq!(old, 40);
    browser.click_on("#look");
    browser.click_on("#grew");
    browser.wait_for("layout.from.name === 'before' && layout.progress > 0 && layout.progress < 1");
    browser.wait_for("layout.progress === 1");
    assert_eq!(browser.eval("layout.to.name"), "grid");
    assert_no_errors(&mut browser);
}
