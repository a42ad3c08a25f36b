//! The explorer in a real browser, without a window; skipped, with a line that says so, where there is
//! none.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::browser::{Browser, browser};
use crate::driver::{Story, encoded, picture, put};
use image::ImageFormat;

/// A page of drawn pictures, with captions, times and carousels.
fn explored(images: u32) -> (Story, PathBuf) {
    let story = Story::new();
    story.ok(&format!("sample photos --images {images}"));
    story.ok("run photos --model scattering --kinds post,story -o grid.jpg");
    let page = story.path("explorer/index.html");
    (story, page)
}

fn assert_well(browser: &mut Browser) {
    assert_eq!(browser.trapped(), Vec::<String>::new());
    let strange: Vec<String> = browser
        .requested()
        .into_iter()
        .filter(|url| !url.starts_with("file:///") && !url.starts_with("about:") && !url.starts_with("blob:"))
        .collect();
    assert_eq!(strange, Vec::<String>::new(), "no network");
}

/// Where a picture is in the window.
fn place(browser: &mut Browser, i: u64) -> (f64, f64) {
    let place = browser.eval(&format!("toWindow(layout.to.x[{i}], layout.to.y[{i}])"));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

#[test]
fn one_looks_at_pictures_with_the_mouse() {
    let Some(mut browser) = browser() else { return };
    let (story, page) = explored(80);
    browser.prefer("light", false);
    browser.open(&page, "");
    assert!(browser.eval("count").as_u64() > Some(60));
    let shot = image::load_from_memory(&browser.screenshot()).unwrap().into_rgb8();
    let colours: std::collections::BTreeSet<[u8; 3]> = shot.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "the wall is seen");
    let captions = browser.eval("block('texts').caption");
    let of_many = browser.eval("block('facts').post.findIndex((post) => post !== null)").as_u64().unwrap();

    let (x, y) = place(&mut browser, of_many);
    browser.mouse("mouseMoved", x, y, json!({}));
    browser.wait_for("!card.hidden");
    assert_eq!(json!(browser.text("#card-caption")), captions[of_many as usize]);
    let facts = browser.text("#card-facts");
    assert!(facts.contains("2024") && facts.contains("post") && facts.contains(" in its post"), "{facts}");

    browser.click(x, y);
    browser.wait_for("box.open && document.querySelector('#frame img')?.naturalWidth > 128");
    assert_eq!(json!(browser.text("#box-caption")), captions[of_many as usize]);
    assert_eq!(browser.eval("document.querySelectorAll('#alike button').length"), 10);
    assert!(browser.eval("document.querySelectorAll('#siblings button').length").as_u64() >= Some(2));
    browser.click_on("#alike button");
    let nearest = format!("chosen === block('likeness').nearest[{of_many}][0]");
    browser.wait_for(&nearest);
    let alike = browser.eval("block('likeness').nearest[chosen]");
    assert_eq!(alike.as_array().unwrap().len(), 10);

    // The link leads to the very file.
    let link = browser.eval("document.querySelector('#box-link').href").as_str().unwrap().to_owned();
    let chosen = browser.eval("[block('texts').path[chosen], block('facts').name[chosen]]");
    let file = story.path("photos").join(chosen[0].as_str().unwrap());
    assert_eq!(link, format!("file://{}", file.canonicalize().unwrap().display()));
    assert!(blake3::hash(&std::fs::read(file).unwrap()).to_string().starts_with(chosen[1].as_str().unwrap()));
    browser.click_on("#close");
    browser.wait_for("!box.open");
    assert_well(&mut browser);
}

#[test]
fn one_goes_about_with_the_keyboard_alone() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = explored(80);
    browser.prefer("dark", false);
    browser.open(&page, "");
    browser.key("Tab");
    browser.wait_for("document.activeElement === canvas");
    browser.key("ArrowRight");
    browser.rest();
    let first = browser.eval("chosen").as_u64().unwrap();
    assert!(browser.text("#said").contains("row "), "said aloud");
    browser.key("ArrowRight");
    browser.rest();
    assert_eq!(browser.eval("chosen"), first + 1, "the next cell");
    browser.key("ArrowUp");
    browser.key("ArrowLeft");
    browser.rest();
    assert_eq!(
        browser.eval(&format!("wall.cells[{first}] - wall.cells[chosen] === wall.columns")),
        true,
        "the one above"
    );
    browser.key("Enter");
    browser.wait_for("box.open");
    let opened = browser.eval("chosen").as_u64().unwrap();
    browser.key("ArrowRight");
    browser.wait_for(&format!("chosen === {opened} + 1"));
    browser.key("Escape");
    browser.wait_for("!box.open && document.activeElement === canvas");
    browser.rest();
    browser.key("+");
    browser.rest();
    let near = browser.eval("view.scale").as_f64().unwrap();
    browser.key("0");
    browser.rest();
    assert!(browser.eval("view.scale").as_f64().unwrap() < near);
    for (key, name) in [("m", "map"), ("t", "time"), ("g", "grid")] {
        browser.key(key);
        browser.rest();
        assert_eq!(browser.eval("layout.to.name"), name);
        assert_eq!(browser.eval("document.querySelector('[aria-checked=true]').dataset.layout"), name);
    }
    browser.key("/");
    browser.wait_for("document.activeElement.id === 'search'");
    let names = browser.eval(
        "[...document.querySelectorAll('button, input, canvas[tabindex], dialog')].filter((e) => !e.hidden && \
         !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length || e.id === 'box')).map((e) => e.id)",
    );
    assert_eq!(names, json!([]), "everything that can be reached has a name");
    assert_well(&mut browser);
}

#[test]
fn one_searches_filters_and_links_to_a_place() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = explored(120);
    browser.prefer("light", false);
    browser.open(&page, "");
    let word = browser.eval("block('texts').caption.find((text) => /\\p{L}{5}/u.test(text)).match(/\\p{L}{5,}/u)[0]");
    let word = word.as_str().unwrap().to_uppercase();
    browser.click_on("#search");
    browser.type_text(&word);
    browser.wait_for("lit !== null");
    let fits = "block('texts').caption.map((text, i) => \
                (text + block('texts').path[i]).toLowerCase().includes(looking.text.toLowerCase()) ? 1 : 0)";
    assert_eq!(browser.eval("[...lit]"), browser.eval(fits));
    let hits = browser.eval("lit.reduce((a, b) => a + b)").as_u64().unwrap();
    assert!(hits > 0 && browser.text("#count").starts_with(&hits.to_string()));

    browser.click_on("#more");
    browser.click_on("#kinds input[value=story]");
    browser.wait_for("looking.kinds !== null");
    assert_eq!(
        browser.eval("[...lit].every((on, i) => !on || block('facts').kinds[block('facts').kind[i]] === 'post')"),
        true
    );
    browser.eval("element('from').value = 3; element('from').dispatchEvent(new Event('input'))");
    let early = "[...lit].every((on, i) => !on || block('facts').time[i] >= looking.from)";
    assert_eq!(browser.eval(&format!("looking.from > 0 && {early}")), true);
    browser.click_on("#seams");
    browser.eval("zoomBy(2, 300, 300)");
    browser.rest();

    browser.wait_for("location.hash.includes('zoom=') && location.hash.includes('seams=1')");
    let state = "[layout.to.name, view.scale.toFixed(1), looking.text, [...lit].join(''), shows.seams]";
    let (before, link) = (browser.eval(state), browser.eval("location.hash"));
    browser.open(&page, link.as_str().unwrap());
    assert_eq!(browser.eval(state), before, "the link leads to the same view");
    browser.eval("location.hash = '#layout=map&zoom=nonsense&picture=none&kinds=%3Cscript%3E'");
    browser.wait_for("layout.to.name === 'map'");
    assert_well(&mut browser);
}

#[test]
fn a_phone_pinches_and_taps() {
    let Some(mut browser) = browser() else { return };
    let (_story, page) = explored(80);
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
    let tap = |browser: &mut Browser| {
        browser.touch("touchStart", &[[195.0, 420.0]]);
        browser.touch("touchEnd", &[]);
    };
    tap(&mut browser);
    browser.wait_for("chosen >= 0 && !card.hidden");
    tap(&mut browser);
    browser.wait_for("box.open");
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= 390"), true, "nothing sticks out");
    assert_eq!(browser.eval("element('box').getBoundingClientRect().width"), 390);
    assert_well(&mut browser);
}

#[test]
fn a_path_with_spaces_and_hashes_opens() {
    let Some(mut browser) = browser() else { return };
    let story = Story::with_photos(12);
    let odd = story.path("my #1 pictures 100%?");
    let mut command = story.command("run photos --model scattering -o");
    assert!(command.arg(odd.join("wall & co.jpg")).status().unwrap().success());
    browser.open(&odd.join("explorer-wall & co/index.html"), "#layout=map");
    assert_eq!(browser.eval("[...sheets.values()].every((entry) => entry.bitmap)"), true);
    browser.eval("open(0)");
    browser.wait_for("document.querySelector('#frame img')?.naturalWidth > 0");
    assert_well(&mut browser);
}

/// Strings that have undone a page before, and are a file's name too once `/` is gone.
fn hostile(i: usize) -> String {
    let tricks = [
        "</script><script>alert({i})</script>",
        "<img src=x onerror=alert({i})>",
        "\"><svg onload=alert({i})>",
        "'onmouseover='alert({i})",
        "javascript:alert({i})",
        "<!--<script>{i}",
        "]]>{i}<![CDATA[",
        "{{script}} {{wall}} {i}",
        "${alert({i})}`",
        "\\u003cscript>alert({i})",
        "&lt;script&gt;alert({i})&amp;",
        "<style>*{display:none}</style>{i}",
        "<base href=https:example.org>{i}",
        "<meta http-equiv=refresh content=0>{i}",
        "<iframe srcdoc=\"<script>parent.alert({i})\">",
        "\u{202e}gpj.{i}\u{202c}",
        "\u{1b}[2J\u{1b}]0;{i}\u{7}",
        "\u{feff}\u{200b}{i}\u{2028}\u{2029}",
        "__proto__{i}",
        "constructor.prototype {i}",
        "%3Cscript%3Ealert({i})%3C%2Fscript%3E",
        "..\\..\\{i}\\etc",
        "<a href=\"javascript:print()\">{i}",
        "<form action=javascript:alert({i})><button autofocus>",
        "data:text;html,<script>alert({i})</script>",
        "#layout=map&picture={i}",
        "\"};alert({i});{\"",
        "-->{i}<script src=data:,alert({i})>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert({i})&gt;\">",
        "🏴\u{e0067}\u{e0062}{i}👩‍👩‍👧",
    ];
    format!("{i}{}", tricks[i % tricks.len()].replace("{i}", &i.to_string()))
}

#[test]
fn six_thousand_hostile_strings_stay_text() {
    const PICTURES: usize = 1000;
    let Some(mut browser) = browser() else { return };
    let story = Story::new();
    let mut posts = Vec::new();
    for i in 0..PICTURES {
        // A name of its own, and five more strings as the caption.
        let name = format!("media/posts/{}.png", hostile(i).replace('/', "\u{2215}"));
        let mut tiny = picture(i as u32);
        tiny = image::imageops::crop_imm(&tiny, 0, 0, 12, 10).to_image();
        tiny.put_pixel(0, 0, image::Rgb([(i % 256) as u8, (i / 256) as u8, 7]));
        story.put(&format!("export/{name}"), &encoded(&tiny, ImageFormat::Png));
        let caption: Vec<String> = (1..6).map(|k| hostile(i + k * PICTURES)).collect();
        let mangled = |text: &str| text.bytes().map(char::from).collect::<String>();
        posts.push(json!({"media": [{"uri": mangled(&name), "creation_timestamp": 1_700_000_000 + i * 90_000,
            "title": mangled(&caption.join("\n"))}]}));
    }
    story.put("export/your_instagram_activity/media/posts_1.json", &serde_json::to_vec(&posts).unwrap());
    story.ok("run export --model scattering --iterations 30 -q -o grid.jpg");
    browser.prefer("light", false);
    browser.open(&story.path("explorer/index.html"), "");
    assert_eq!(browser.eval("count"), PICTURES);
    let elements =
        "document.querySelectorAll('*').length - document.querySelectorAll('.strip *, #frame *, #kinds *').length";
    let before = browser.eval(elements);
    browser.eval(
        "box.showModal(); for (let i = 0; i < count; i += 1) { fillBox(i); showCard(i, 200, 200); } \
         looking.text = '<script>'; look(); choose(3); for (const name of ['map', 'time', 'grid']) chooseLayout(name);",
    );
    browser.rest();
    assert_eq!(browser.eval(elements), before, "no string became an element");
    let captions = browser.eval("block('texts').caption");
    let captions: std::collections::BTreeSet<&str> =
        captions.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let shown = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    for i in 0..PICTURES {
        let caption: Vec<String> = (1..6).map(|k| hostile(i + k * PICTURES)).collect();
        let caption: String = caption.join("\n").chars().map(shown).collect();
        assert!(captions.contains(caption.as_str()), "{caption:?}");
    }
    let links = browser.eval("block('texts').link.map((link) => new URL(link, location.href).protocol)");
    assert!(links.as_array().unwrap().iter().all(|protocol| protocol == "file:"), "no link is anything else");
    assert_well(&mut browser);
}

/// Pictures of the page for whoever wants to look at them: `PAGE_SHOTS=folder cargo test -- --ignored shots`.
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

/// Frame times and first paint: `PAGE=…/explorer/index.html cargo test --release -- --ignored pace --nocapture`.
#[test]
#[ignore = "measures"]
fn pace() {
    let Some(page) = std::env::var_os("PAGE").map(PathBuf::from) else { return };
    let mut browser = browser().unwrap();
    browser.prefer("light", true);
    browser.open(&page, "");
    let mut out = std::io::stderr();
    let (count, painted) = (browser.eval("count"), browser.eval("painted").as_f64().unwrap());
    writeln!(out, "{count} pictures, first paint {painted:.0} ms").unwrap();
    for name in ["grid", "map", "time"] {
        browser.eval(&format!("chooseLayout('{name}')"));
        browser.rest();
        for zoom in [1.0, 3.0, 12.0] {
            browser.eval(&format!(
                "Object.assign(view, wholeView(layout.to)); view.scale *= {zoom}; goal.scale = view.scale; redraw()"
            ));
            browser.rest();
            let times = browser.eval(
                "new Promise((done) => { const times = []; let last = 0; let drawn = 0; \
                 const step = (now) => { if (last) times.push(now - last); last = now; \
                 const n = times.length; if (n === 180) { times.sort((a, b) => a - b); \
                 done([times[90], times[171], times.filter((t) => t > 20).length]); return; } \
                 panBy(Math.cos(n / 20) * 12, Math.sin(n / 20) * 12); requestAnimationFrame(step); }; \
                 requestAnimationFrame(step); })",
            );
            let of = |k: usize| times[k].as_f64().unwrap();
            let (median, late, slow) = (of(0), of(1), of(2));
            writeln!(out, "{name:5} x{zoom:<4} median {median:.1} ms, 95 % {late:.1} ms, {slow} of 180 over 20 ms")
                .unwrap();
        }
    }
}
