//! Capture dates: which origin is trusted, and the selection by date.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat};

use crate::browser::browser;
use crate::sandbox::{Sandbox, encoded, picture, png, zip_of};

const RUN: &str = "run photos --model scattering --perplexity 2 --cell 16 -o wall.png";

/// A block of EXIF with the capture date and, unless it is empty, its offset from UTC.
fn exif(taken: &str, offset: &str) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, at: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &at.to_le_bytes()].concat()
    };
    let outer = [&[1, 0][..], &entry(0x8769, 4, 1, 26), &[0; 4]].concat();
    let inner = [&[2, 0][..], &entry(0x9003, 2, 20, 56), &entry(0x9011, 2, 7, 76), &[0; 4]].concat();
    let text = format!("{taken}\0{offset:6}\0");
    [b"II*\0\x08\0\0\0", &outer[..], &inner, text.as_bytes()].concat()
}

/// The `i`-th picture as a JPEG with a block of EXIF.
fn jpeg(i: u32, exif: Vec<u8>) -> Vec<u8> {
    let (picture, mut bytes) = (picture(i), Vec::new());
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Path, seconds and origin of the pictures in the grid; 0 and an empty text for a picture without a date.
fn dates(sandbox: &Sandbox) -> BTreeMap<String, (i64, String)> {
    let of = |row: tsne_grid::artifact::rows::ImageRow| {
        let from = row.taken_from.map(|from| from.to_string());
        (row.path, (row.taken_at.map_or(0, |time| time.seconds()), from.unwrap_or_default()))
    };
    sandbox.images().into_iter().map(of).collect()
}

/// The skipped inputs with their details.
fn left_out(sandbox: &Sandbox) -> Vec<(String, String)> {
    sandbox.skipped().into_iter().map(|row| (row.path, format!("{}: {}", row.reason, row.detail))).collect()
}

const NOON: i64 = 1_551_441_600;

#[test]
fn every_picture_has_the_date_of_whom_is_trusted_most() {
    let sandbox = Sandbox::new();
    let taken = "2019:03:01 12:00:00";
    let xmp = |text: &str| format!("<x:xmpmeta><rdf:Description {text}/></x:xmpmeta>").into_bytes();
    for (name, bytes) in [
        ("photos/camera.jpg", jpeg(0, exif(taken, "+02:00"))),
        ("photos/wall.jpg", jpeg(1, exif(taken, ""))),
        ("photos/IMG_20190721_230630.jpg", jpeg(2, exif(taken, ""))),
        ("photos/IMG_20190301_120000.jpg", jpeg(3, exif("0000:00:00 00:00:00", ""))),
        ("photos/PXL_20190301_120000123.jpg", encoded(&picture(4), ImageFormat::Jpeg)),
        ("photos/IMG-20240214-WA0007.jpg", encoded(&picture(5), ImageFormat::Jpeg)),
        ("photos/a.png", png(&picture(6))),
        ("photos/a.png.xmp", xmp("exif:DateTimeOriginal='2019-03-01T13:00:00+01:00'")),
        ("photos/b.png", png(&picture(7))),
        ("photos/b.xmp", xmp("photoshop:DateCreated='2019-03-01T12:00:00' xmp:ModifyDate='2024-01-01'")),
        ("photos/c.jpg", jpeg(8, exif(taken, ""))),
        ("photos/c.xmp", xmp("exif:DateTimeOriginal='2001-01-01T00:00:00'")),
        ("photos/told.jpg", jpeg(9, exif("2001:01:01 00:00:00", ""))),
        ("photos/about.csv", b"path,taken_at\ntold.jpg,2019-03-01T12:00:00Z\n".to_vec()),
        ("photos/12345678.png", png(&picture(10))),
    ] {
        sandbox.put(name, &bytes);
    }
    sandbox.ok("embed photos --model scattering");
    let found = dates(&sandbox);
    let expected = [
        ("12345678.png", 0, ""),
        ("IMG-20240214-WA0007.jpg", 1_707_868_800, "name"),
        ("IMG_20190301_120000.jpg", NOON, "name"),
        ("IMG_20190721_230630.jpg", NOON, "exif"),
        ("PXL_20190301_120000123.jpg", NOON, "name-utc"),
        ("a.png", NOON, "sidecar-utc"),
        ("b.png", NOON, "sidecar"),
        ("c.jpg", NOON, "exif"),
        ("camera.jpg", NOON - 7200, "exif-utc"),
        ("told.jpg", NOON, "table-utc"),
        ("wall.jpg", NOON, "exif"),
    ];
    let expected = expected.map(|(path, time, from)| (path.to_owned(), (time, from.to_owned())));
    assert_eq!(found, expected.into());
}

#[test]
fn what_any_copy_of_a_picture_is_dated_by_is_known_of_the_first() {
    let sandbox = Sandbox::new();
    for (name, i) in [("1.png", 0), ("IMG_20200101_000000.png", 0), ("z.png", 0), ("x.png", 1)] {
        sandbox.put(&format!("photos/{name}"), &png(&picture(i)));
    }
    sandbox.put("photos/z.xmp", b"<a exif:DateTimeOriginal='2019-03-01T12:00:00'/>");
    sandbox.ok("embed photos --model scattering");
    let found = dates(&sandbox);
    assert_eq!(found["1.png"], (NOON, "sidecar".into()));
    assert_eq!(found["IMG_20200101_000000.png"].1, "name");
    assert_eq!((found["z.png"].1.as_str(), found["x.png"].1.as_str()), ("sidecar", ""));
}

/// Three pictures of 2019, two of 2024 and one without a date; some of them cannot be decoded.
fn years(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let broken = |taken: &str| {
        let mut bytes = jpeg(77, exif(taken, ""));
        let at = bytes.windows(2).position(|two| two == b"\xFF\xC0").unwrap();
        // A frame without components has no pixels, so decoding fails.
        bytes[at + 9] = 0;
        bytes
    };
    let files = [
        ("a.jpg", jpeg(0, exif("2019:03:01 12:00:00", ""))),
        ("b.jpg", jpeg(1, exif("2019:12:31 23:30:00", "-01:00"))),
        ("c-broken.jpg", broken("2019:03:02 12:00:00")),
        ("d.jpg", jpeg(3, exif("2024:03:01 12:00:00", ""))),
        ("IMG_20240505_120000.png", png(&picture(4))),
        ("e.png", png(&picture(5))),
        ("f-broken.jpg", broken("2024:03:02 12:00:00")),
    ];
    files.into_iter().map(|(name, bytes)| (format!("{prefix}{name}"), bytes)).collect()
}

#[test]
fn what_lies_outside_of_the_days_is_never_decoded() {
    let before_2020 = "not-selected: not before source.until = 2020-01-01".to_owned();
    let outside = |name: &str| (name.to_owned(), before_2020.clone());
    let old = [
        outside("IMG_20240505_120000.png"),
        // Half an hour before midnight by the clock, but in the new year in UTC.
        outside("b.jpg"),
    ];
    for zipped in [false, true] {
        let sandbox = Sandbox::new();
        let run = if zipped { RUN.replace("photos", "photos.zip") } else { RUN.to_owned() };
        if zipped {
            let files = years("");
            let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
            sandbox.put("photos.zip", &zip_of(&files));
        } else {
            years("photos/").iter().for_each(|(name, bytes)| sandbox.put(name, bytes));
        }
        let until = format!("{run} --until 2020-01-01");
        let status = sandbox.json(&format!("{until} --dry-run"))["preflight"].clone();
        let counts = sandbox.json(&until)["counts"].clone();
        assert_eq!((&counts["embedded"], &status["new"]), (&1.into(), &1.into()), "{counts} {status}");
        assert_eq!((&counts["skipped"], &counts["defective"]), (&6.into(), &1.into()));
        assert_eq!(status["left_out"]["not-selected"], 5);
        let first = left_out(&sandbox);
        assert!(old.iter().all(|row| first.contains(row)), "{first:?}");
        assert!(first.contains(&outside("d.jpg")) && first.contains(&outside("f-broken.jpg")));
        assert!(first.contains(&("e.png".into(), "not-selected: it has no date".into())));
        assert!(first.iter().any(|(path, why)| path == "c-broken.jpg" && why.starts_with("undecodable")), "{first:?}");
        assert_eq!(sandbox.run(&until.replacen("run", "status --check", 1)).code, 0);

        // The other pictures are only embedded when they are selected. What was learned of them does not change a
        // selection.
        assert_eq!(sandbox.json(&run)["counts"]["embedded"], 4);
        assert_eq!(sandbox.json(&until)["counts"]["embedded"], 0);
        assert_eq!(left_out(&sandbox), first);
        assert_eq!(dates(&sandbox).keys().collect::<Vec<_>>(), ["a.jpg"]);
        let since = format!("{run} --since 2020-01-01 --until 2024-04-01");
        assert_eq!(sandbox.json(&since)["counts"]["pictures"], 2);
        assert_eq!(dates(&sandbox).keys().collect::<Vec<_>>(), ["b.jpg", "d.jpg"]);
        assert!(sandbox.stages_run(&since).is_empty());
    }
}

#[test]
fn an_index_and_a_table_decide_before_a_picture_is_read() {
    let sandbox = Sandbox::with_photos(3);
    sandbox.put("photos/about.csv", b"path,date\n000.png,2019-01-01\n001.png,2024-01-01\nfilm.mp4,2019-01-01\n");
    sandbox.put("photos/film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    sandbox.put("photos/VID_20190101_120000.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    sandbox.put("photos/notes.txt", b"of the holiday");
    sandbox.ok("embed photos --model scattering --since 2020-01-01");
    let before = "not-selected: before source.since = 2020-01-01";
    let expected = [
        ("000.png", before),
        ("002.png", "not-selected: it has no date"),
        ("VID_20190101_120000.mp4", before),
        ("film.mp4", before),
        ("notes.txt", "not-an-image: not a picture"),
    ];
    assert_eq!(left_out(&sandbox), expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
}

#[test]
fn a_date_that_is_found_later_embeds_nothing_again() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    sandbox.put("photos/000.xmp", b"<a exif:DateTimeOriginal='2019-03-01T12:00:00'/>");
    std::fs::remove_dir_all(sandbox.path("cache/seen")).unwrap();
    let made = sandbox.json(RUN);
    assert_eq!((&made["counts"]["embedded"], &made["embed"]["fresh"]), (&0.into(), &true.into()));
    assert_eq!((&made["images"]["fresh"], &made["assign"]["fresh"]), (&false.into(), &true.into()));
    assert_eq!(dates(&sandbox)["000.png"], (NOON, "sidecar".into()));
}

#[test]
fn the_files_own_time_counts_only_when_it_is_asked_for() {
    let sandbox = Sandbox::with_photos(3);
    sandbox.put("photos/IMG_20190721_230630.png", &png(&picture(9)));
    for name in ["000.png", "IMG_20190721_230630.png"] {
        let file = std::fs::File::options().write(true).open(sandbox.path(&format!("photos/{name}"))).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOON as u64)).unwrap();
    }
    sandbox.ok(RUN);
    assert_eq!(dates(&sandbox)["000.png"], (0, String::new()));
    let made = sandbox.json(&format!("{RUN} --dates mtime"));
    assert_eq!((&made["counts"]["embedded"], &made["embed"]["fresh"]), (&0.into(), &true.into()));
    let found = dates(&sandbox);
    assert_eq!(
        (found["000.png"].clone(), found["IMG_20190721_230630.png"].1.as_str()),
        ((NOON, "mtime-utc".into()), "name")
    );
    assert_eq!(sandbox.json(&format!("{RUN} --dates mtime --until 2019-04-01"))["counts"]["pictures"], 1);

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let noon = zip::DateTime::from_date_and_time(2019, 3, 1, 12, 0, 0).unwrap();
    for (i, time) in [noon, zip::DateTime::default()].into_iter().enumerate() {
        let options = zip::write::SimpleFileOptions::default().last_modified_time(time);
        zip.start_file(format!("{i}.png"), options).unwrap();
        std::io::Write::write_all(&mut zip, &png(&picture(i as u32))).unwrap();
    }
    sandbox.put("all.zip", zip.finish().unwrap().get_ref());
    sandbox.ok("embed all.zip --model scattering --dates mtime");
    let found: Vec<_> = dates(&sandbox).into_values().collect();
    assert_eq!(found, [(NOON, "mtime".into()), (0, String::new())]);
}

#[test]
fn frames_and_the_page_follow_what_the_cameras_say() {
    let sandbox = Sandbox::new();
    for i in 0..4 {
        sandbox.put(&format!("photos/{i}.jpg"), &jpeg(i, exif(&format!("2019:0{}:01 12:00:00", 1 + i / 2), "")));
    }
    sandbox.ok(&format!("{RUN} --frames frames"));
    let table = String::from_utf8(sandbox.read("frames/frames.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "a line for each month under that of names: {table}");
    let Some(mut browser) = browser() else { return };
    browser.open(&sandbox.path("explorer-wall/index.html"), "");
    browser.click_on("[data-layout=time]");
    browser.wait_for("layout.to.name === 'time'");
    assert_eq!(browser.eval("document.getElementById('times').hidden"), false, "the slider is there");
}
