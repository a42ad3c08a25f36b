//! Raw pictures of cameras, read through the JPEG inside, and the files next to them; formats that are recognised but
//! not read.

use image::{ImageFormat, Rgb, RgbImage};
use tsne_grid::artifact::{SkipReason, Time};
use tsne_grid::photo::Format;

use crate::sandbox::Sandbox;

/// A JPEG whose left half is of one colour and whose right half is black.
fn halves(colour: [u8; 3]) -> Vec<u8> {
    let at = |x| if x < 32 { Rgb(colour) } else { Rgb([0; 3]) };
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(64, 32, |x, _| at(x)).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// An entry of a TIFF directory: tag, type (2, 3 or 4), count and value.
type Entry = (u16, u16, u32, u32);

fn directory(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes
}

/// A grey TIFF of 16x8 pixels.
fn scan() -> Vec<u8> {
    let entries = [
        (0x100, 4, 1, 16),
        (0x101, 4, 1, 8),
        (0x102, 3, 1, 8),
        (0x103, 3, 1, 1),
        (0x106, 3, 1, 1),
        (0x111, 4, 1, 200),
        (0x116, 4, 1, 8),
        (0x117, 4, 1, 128),
    ];
    let mut bytes = [b"II*\0\x08\0\0\0", &directory(&entries)[..]].concat();
    bytes.resize(328, 90);
    bytes
}

/// The offset of the JPEG in [`raw`].
const JPEG_AT: u32 = 1024;

/// A raw file: an uncompressed thumbnail of 16x8 grey pixels in the first directory, the sensor's data in a second, and
/// a JPEG in a third, whose entries `of_jpeg` returns for the length of the JPEG; rotated by 90 degrees, with a date.
fn raw(jpeg: &[u8], of_jpeg: impl Fn(u32) -> Vec<Entry>) -> Vec<u8> {
    let (thumbnail, date, list, sensor, inner) = (300, 500, 530, 540, 700);
    let first = [
        (0xFE, 4, 1, 1),
        (0x100, 4, 1, 16),
        (0x101, 4, 1, 8),
        (0x102, 3, 1, 8),
        (0x103, 3, 1, 1),
        (0x106, 3, 1, 1),
        (0x111, 4, 1, thumbnail),
        (0x112, 3, 1, 6),
        (0x116, 4, 1, 8),
        (0x117, 4, 1, 128),
        (0x132, 2, 20, date),
        (0x14A, 4, 2, list),
    ];
    let numbers = [(0xFE, 4, 1, 0), (0x100, 4, 1, 200), (0x101, 4, 1, 100), (0x103, 3, 1, 34713), (0x106, 3, 1, 32803)];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    let parts = [
        (8, directory(&first)),
        (thumbnail, vec![128; 128]),
        (date, b"2021:05:06 07:08:09\0".to_vec()),
        (list, [sensor, inner].map(u32::to_le_bytes).concat()),
        (sensor, directory(&numbers)),
        (inner, directory(&of_jpeg(jpeg.len() as u32))),
        (JPEG_AT, jpeg.to_vec()),
    ];
    for (at, part) in parts {
        assert!(bytes.len() <= at as usize);
        bytes.resize(at as usize, 0);
        bytes.extend(part);
    }
    bytes
}

/// In the form of Nikon's NEF.
fn nef(jpeg: &[u8]) -> Vec<u8> {
    raw(jpeg, |length| vec![(0xFE, 4, 1, 1), (0x103, 3, 1, 6), (0x201, 4, 1, JPEG_AT), (0x202, 4, 1, length)])
}

/// In the form of Adobe's DNG.
fn dng(jpeg: &[u8]) -> Vec<u8> {
    raw(jpeg, |length| {
        vec![(0xFE, 4, 1, 1), (0x103, 3, 1, 7), (0x106, 3, 1, 6), (0x111, 4, 1, JPEG_AT), (0x117, 4, 1, length)]
    })
}

#[test]
fn a_raw_picture_is_read_by_the_jpeg_inside_and_turned_once() {
    let sandbox = Sandbox::with_photos(2);
    sandbox.put("photos/a.nef", &nef(&halves([250, 0, 0])));
    sandbox.put("photos/b.dng", &dng(&halves([0, 250, 0])));
    // A scanner's TIFF is read as a TIFF.
    sandbox.put("photos/c.tif", &scan());
    sandbox.ok("run photos --model scattering --cell 32 --grid 5x1 --fit stretch -o a.png --strict");
    let images = sandbox.images();
    let of = |path: &str| images.iter().find(|row| row.path == path).unwrap();
    for path in ["a.nef", "b.dng"] {
        let row = of(path);
        assert_eq!((row.format, row.width, row.height), (Format::Raw, 32, 64), "{path}");
        assert_eq!(row.taken_at, Some(Time::from_seconds(1_620_284_889).unwrap()), "{path}");
        assert_eq!(row.taken_from.map(|from| from.to_string()).as_deref(), Some("exif"), "{path}");
    }
    assert_eq!(of("c.tif").format, Format::Tiff);
    let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    for (path, channel) in [("a.nef", 0), ("b.dng", 1)] {
        let cell = sandbox.assigned().into_iter().find(|cell| *cell.image == *of(path).image.to_string()).unwrap();
        let at = |y| drawn.get_pixel(cell.col * 32 + 16, cell.row * 32 + y).0;
        assert!(at(8)[channel] > 200 && at(24)[channel] < 50, "{path}: turned right, the left half is above");
    }
}

#[test]
fn a_raw_picture_beside_a_jpeg_is_one_picture() {
    let sandbox = Sandbox::with_photos(3);
    let jpeg = halves([9, 9, 200]);
    for (name, level) in [("pair", 10), ("alone", 60), ("zeros", 110)] {
        sandbox.put(&format!("photos/{name}.NEF"), &nef(&halves([level, 99, 99])));
    }
    sandbox.put("photos/pair.JPG", &jpeg);
    sandbox.put("photos/zeros.JPG", &[0; 4000]);
    sandbox.put("photos/elsewhere/alone.jpg", &halves([1, 1, 90]));
    sandbox.put("photos/about.csv", b"path,caption\npair.NEF,of the raw file\n");
    let paths = || -> Vec<String> {
        let mut paths: Vec<_> =
            sandbox.images().into_iter().map(|row| row.path).filter(|p| !p.ends_with("png")).collect();
        paths.sort();
        paths
    };
    let run = "run photos --model scattering -o a.png";
    let told = sandbox.run(run).stderr;
    assert_eq!(told.matches("raw file").count(), 1, "{told}");
    assert!(told.contains("1 raw file is skipped"), "{told}");
    assert_eq!(paths(), ["alone.NEF", "elsewhere/alone.jpg", "pair.JPG", "zeros.NEF"]);
    let captions: Vec<_> = sandbox.images().into_iter().filter_map(|row| row.caption).collect();
    assert_eq!(captions, ["of the raw file".into()]);
    let skipped = sandbox.skipped();
    let row = skipped.iter().find(|row| row.path == "pair.NEF").unwrap();
    assert_eq!((row.reason, &*row.detail), (SkipReason::NotSelected, "pair.JPG represents it (source.raw = pair)"));
    let zeros = skipped.iter().find(|row| row.path == "zeros.JPG").unwrap();
    assert!(zeros.reason == SkipReason::Undecodable && zeros.detail.contains("zeros"), "{}", zeros.detail);

    sandbox.ok(&format!("{run} --raw all"));
    assert_eq!(paths(), ["alone.NEF", "elsewhere/alone.jpg", "pair.JPG", "pair.NEF", "zeros.NEF"]);
    sandbox.ok(&format!("{run} --raw skip"));
    assert_eq!(paths(), ["elsewhere/alone.jpg", "pair.JPG"]);
    sandbox.ok(&format!("{run} --exclude *.JPG"));
    assert_eq!(paths(), ["alone.NEF", "elsewhere/alone.jpg", "pair.NEF", "zeros.NEF"]);
}

#[test]
fn a_raw_picture_without_a_jpeg_is_named_and_never_its_thumbnail() {
    let sandbox = Sandbox::with_photos(3);
    let jpeg = halves([250, 0, 0]);
    sandbox.put("photos/none.nef", &raw(&jpeg, |_| vec![(0xFE, 4, 1, 1)]));
    sandbox.put("photos/cut.nef", &nef(&jpeg)[..JPEG_AT as usize + 200]);
    sandbox.put("photos/none.raf", &[&b"FUJIFILMCCD-RAW 0201"[..], &[0; 400]].concat());
    sandbox.put("photos/canon.cr3", &[&b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"[..], &[0; 400]].concat());
    let ran = sandbox.run("run photos --model scattering -o a.png --strict");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let mut why: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason, row.detail)).collect();
    why.sort();
    let none = "a raw picture with no JPEG inside; convert it to JPEG first";
    let expected = [
        ("canon.cr3", SkipReason::Unsupported, none),
        ("cut.nef", SkipReason::Undecodable, "the file ends before the picture does"),
        ("none.nef", SkipReason::Unsupported, none),
        ("none.raf", SkipReason::Unsupported, none),
    ];
    assert_eq!(why, expected.map(|(path, reason, why)| (path.to_owned(), reason, why.to_owned())));
}

#[test]
fn pictures_that_are_not_read_are_named_and_films_are_films() {
    let sandbox = Sandbox::with_photos(3);
    let comment = format!("<?xml version='1.0'?><!-- {} --><svg/>", "a long comment ".repeat(20));
    let mut texture = b"\0\0\x02\0\0\0\0\0\0\0\0\0\x60\0\x48\0\x18\0".to_vec();
    texture.resize(18 + 3 * 0x60 * 0x48 + 8, 7);
    texture.extend(b"TRUEVISION-XFILE.\0");
    let pictures: [(&str, &[u8]); 8] = [
        ("a.jxl", b"\xFF\x0A\x10\x10"),
        ("b.jxl", b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl "),
        ("c.jp2", b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14ftypjp2 "),
        ("d.psd", b"8BPS\0\x01\0\0\0\0\0\0"),
        ("e.svg", comment.as_bytes()),
        ("f.ico", b"\0\0\x01\0\x04\0\x10\x10\0\0\0\0\x20\0"),
        ("g.tga", b"\0\0\x02\0\0\0\0\0\0\0\0\0\x60\0\x48\0\x18\0\xF9\x7D"),
        ("texture", &texture),
    ];
    for (name, bytes) in pictures {
        sandbox.put(&format!("photos/{name}"), bytes);
    }
    sandbox.put("photos/old.mov", b"\0\0\x01\0moov\0\0\0\0\0\0\0\0");
    sandbox.put("photos/w.wmv", b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\0\xAA\0\x62\xCE\x6C");
    sandbox.put("photos/zero.heic", &[0; 4000]);
    sandbox.put("photos/empty.heic", b"");
    let run = "run photos --model scattering -o a.png --strict";
    assert_eq!(sandbox.run(run).code, 3);
    for row in sandbox.skipped() {
        let expected = match &*row.path {
            "old.mov" | "w.wmv" => SkipReason::Video,
            "zero.heic" | "empty.heic" => SkipReason::Undecodable,
            // With a JPEG XL decoder, these are truncated files.
            "a.jxl" | "b.jxl" if cfg!(feature = "jxl") => SkipReason::Undecodable,
            _ => SkipReason::Unsupported,
        };
        assert_eq!(row.reason, expected, "{}: {}", row.path, row.detail);
        assert!(expected != SkipReason::Unsupported || row.detail.ends_with(" first"), "{}", row.detail);
    }
    assert_eq!(sandbox.skipped().len(), 12);
    // Videos alone are not a defect.
    for name in pictures.iter().map(|(name, _)| *name).chain(["zero.heic", "empty.heic"]) {
        std::fs::remove_file(sandbox.path(&format!("photos/{name}"))).unwrap();
    }
    assert_eq!(sandbox.run(run).code, 0);
}
