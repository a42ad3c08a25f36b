//! `sources` reports what is recognised, without writing anything.

use serde_json::json;

use crate::sandbox::{Sandbox, picture, png};

#[test]
fn it_tells_what_a_run_would_make_of_the_sources() {
    let sandbox = Sandbox::with_photos(3);
    sandbox.put(
        "photos/about.csv",
        b"path,caption,date\n000.png,one,2024-01-01T00:00:00Z\n001.png,two,\ngone.png,three,\n",
    );
    sandbox.put("photos/IMG_20190721_230630.png", &png(&picture(9)));
    sandbox.put("photos/002.png.xmp", b"<a exif:DateTimeOriginal='2019-03-01T12:00:00'/>");
    sandbox.put("photos/other.json", b"{\"a\": 1}");
    sandbox.put("photos/notes.md", b"no pictures");
    sandbox.put("photos/video.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    let told = sandbox.json("sources photos");
    assert_eq!(
        told["kinds"],
        json!({"file": {
            "pictures": 4, "dated": {"table-utc": 1, "sidecar": 1, "name": 1}, "undated": 1, "captions": 2
        }})
    );
    assert_eq!(told["indexes"], json!({"table": ["about.csv"], "xmp": ["002.png.xmp"]}));
    assert_eq!(told["ignored"], json!(["other.json"]));
    let left_out: Vec<_> = told["left_out"].as_array().unwrap().iter().map(|group| &group["reason"]).collect();
    assert_eq!(left_out, ["not-an-image", "missing", "video"]);
    assert_eq!((&told["left_out"][0]["count"], &told["left_out"][0]["example"]), (&json!(3), &json!("002.png.xmp")));
    assert!(!sandbox.path("cache").exists(), "nothing is written");

    let text = sandbox.ok("sources photos --until 2020-01-01");
    let expected = "\
file     2 pictures: 2 with a date (1 name, 1 sidecar), 0 without; 0 captions
skipped  3 not-an-image: not a picture (002.png.xmp and others)
skipped  1 missing: no such picture in the sources; listed in about.csv (gone.png)
skipped  1 not-selected: it has no date (001.png)
skipped  1 not-selected: not before source.until = 2020-01-01 (000.png)
skipped  1 video: a video (video.mp4)
read     1 table (about.csv)
read     1 xmp (002.png.xmp)
ignored  1 (other.json)
";
    assert_eq!(text, expected);
    assert_eq!(sandbox.run("sources nowhere").code, 1);
}
