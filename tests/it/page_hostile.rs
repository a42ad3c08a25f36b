//! Hostile captions and file names, on a page in a real browser.

use image::ImageFormat;
use serde_json::json;

use crate::browser::browser;
use crate::page::assert_no_errors;
use crate::sandbox::{Sandbox, encoded, picture};

/// Strings from known attacks on pages. They can also be file names, without `/` and `..`.
pub(crate) fn hostile(i: usize) -> String {
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
    let sandbox = Sandbox::new();
    let mut posts = Vec::new();
    for i in 0..PICTURES {
        // A hostile name, and five more hostile strings as the caption.
        let name = format!("media/posts/{}.png", hostile(i).replace('/', "\u{2215}").replace("..", "\u{2025}"));
        let mut tiny = picture(i as u32);
        tiny = image::imageops::crop_imm(&tiny, 0, 0, 12, 10).to_image();
        tiny.put_pixel(0, 0, image::Rgb([(i % 256) as u8, (i / 256) as u8, 7]));
        sandbox.put(&format!("export/{name}"), &encoded(&tiny, ImageFormat::Png));
        let caption: Vec<String> = (1..6).map(|k| hostile(i + k * PICTURES)).collect();
        let mangled = |text: &str| text.bytes().map(char::from).collect::<String>();
        posts.push(json!({"media": [{"uri": mangled(&name), "creation_timestamp": 1_700_000_000 + i * 90_000,
            "title": mangled(&caption.join("\n"))}]}));
    }
    sandbox.put("export/your_instagram_activity/media/posts_1.json", &serde_json::to_vec(&posts).unwrap());
    sandbox.ok("run export --model scattering --iterations 30 -q -o grid.jpg");
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "");
    assert_eq!(browser.eval("count"), PICTURES);
    let elements = "document.querySelectorAll('*').length - document.querySelectorAll('.strip *, #frame *, #kinds *, #box-facts *').length";
    let before = browser.eval(elements);
    browser.eval("box.showModal()");
    // A hundred at a time, because the wait for a response is limited.
    for first in (0..PICTURES).step_by(100) {
        let last = first + 100;
        browser.eval(&format!("for (let i = {first}; i < {last}; i += 1) {{ open(i); showCard(i, 200, 200); }}"));
    }
    browser.eval(
        "setQuery({ text: '<script>', kinds: null, from: null, to: null }); focusPicture(3); \
         for (const name of ['map', 'time', 'grid']) chooseLayout(name);",
    );
    browser.rest();
    assert_eq!(browser.eval(elements), before, "no string became an element");
    let captions = browser.eval("all((i) => row(i).caption)");
    let captions: std::collections::BTreeSet<&str> =
        captions.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let shown = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    for i in 0..PICTURES {
        let caption: Vec<String> = (1..6).map(|k| hostile(i + k * PICTURES)).collect();
        let caption: String = caption.join("\n").chars().map(shown).collect();
        assert!(captions.contains(caption.as_str()), "{caption:?}");
    }
    let links = browser.eval("all((i) => new URL(row(i).link, location.href).protocol)");
    assert!(links.as_array().unwrap().iter().all(|protocol| protocol == "file:"), "no link is anything else");
    assert_no_errors(&mut browser);
}
