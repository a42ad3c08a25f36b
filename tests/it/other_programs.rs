//! Pictures as other programs write them: each must look as it does elsewhere.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::rotate270;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use tiff::encoder::colortype::RGB8;
use tiff::encoder::{TiffEncoder, TiffKindBig};

use crate::sandbox::{Sandbox, png};

const CELL: u32 = 64;

/// Four quarters of one colour each, upright.
fn quarters() -> RgbImage {
    const COLOURS: [[u8; 3]; 4] = [[200, 60, 60], [60, 170, 60], [60, 60, 200], [230, 220, 210]];
    RgbImage::from_fn(96, 64, |x, y| Rgb(COLOURS[(x / 48 + 2 * (y / 32)) as usize]))
}

/// A block of EXIF with one tag, the orientation ("turn right"), stored with this type of number.
fn exif(kind: u8) -> Vec<u8> {
    [&b"II*\0\x08\0\0\0\x01\0\x12\x01"[..], &[kind, 0, 1, 0, 0, 0, 6, 0, 0, 0], &[0; 4]].concat()
}

fn jpeg(picture: &RgbImage, exif: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn webp(picture: &RgbImage, exif: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Adds a chunk after the pixels of a PNG.
fn png_with(picture: &RgbImage, kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = png(picture);
    let at = bytes.len() - 12;
    let mut chunk = (body.len() as u32).to_be_bytes().to_vec();
    chunk.extend([kind, body].concat());
    // Decoders do not check the checksum of such a chunk.
    chunk.extend([0; 4]);
    bytes.splice(at..at, chunk);
    bytes
}

#[test]
fn pictures_are_upright_however_that_is_written() {
    let turned = rotate270(&quarters());
    let hexadecimal: String = exif(3).iter().map(|byte| format!("{byte:02x}")).collect();
    let magick = format!("Raw profile type exif\0\nexif\n      26\n{hexadecimal}\n");
    let xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>";
    let unkept = {
        let mut bytes = webp(&turned, &exif(3));
        // The header announces XMP, but there is none.
        bytes[20] |= 0x04;
        bytes
    };
    let files = [
        ("upright.png", png(&quarters())),
        ("slong.jpg", jpeg(&turned, exif(9))),
        ("long.jpg", jpeg(&turned, exif(4))),
        ("prefix.webp", webp(&turned, &[b"Exif\0\0", &exif(3)[..]].concat())),
        ("unkept.webp", unkept),
        ("behind.png", png_with(&turned, b"eXIf", &exif(3))),
        ("magick.png", png_with(&turned, b"tEXt", magick.as_bytes())),
        ("xmp.png", png_with(&turned, b"iTXt", xmp)),
    ];
    let sandbox = Sandbox::new();
    files.iter().for_each(|(name, bytes)| sandbox.put(&format!("photos/{name}"), bytes));
    let tiles = tiles(&sandbox);
    assert_eq!(tiles.len(), files.len());
    for (name, tile) in tiles {
        assert_same(&name, &tile, &quarters());
    }
    assert!(sandbox.images().iter().all(|row| (row.width, row.height) == (96, 64)));
}

/// The colours that a grid shows of each picture.
fn tiles(sandbox: &Sandbox) -> Vec<(String, RgbImage)> {
    sandbox.ok(&format!("run photos --model scattering --fit stretch --cell {CELL} --gap 0 -o wall.png"));
    let wall = image::open(sandbox.path("wall.png")).unwrap().into_rgb8();
    let cells = sandbox.assigned();
    let tile = |image: &str| {
        let cell = cells.iter().find(|cell| *cell.image == *image).unwrap();
        image::imageops::crop_imm(&wall, cell.col * CELL, cell.row * CELL, CELL, CELL).to_image()
    };
    sandbox.images().iter().map(|row| (row.path.clone(), tile(&row.image))).collect()
}

/// Asserts that the centres of the four quarters are close to those of `upright`.
fn assert_same(name: &str, tile: &RgbImage, upright: &RgbImage) {
    for (x, y) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
        let at = |picture: &RgbImage| picture.get_pixel(picture.width() * x / 4, picture.height() * y / 4).0;
        let (there, wanted) = (at(tile), at(upright));
        assert!((0..3).all(|c| there[c].abs_diff(wanted[c]) < 12), "{name} at {x}, {y}: {there:?} for {wanted:?}");
    }
}

#[test]
fn every_kind_of_jpeg_shows_the_same() {
    let sandbox = Sandbox::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/jpeg");
    for kind in ["baseline", "restarts", "progressive", "scans", "scans-1x2", "finer-colour"] {
        sandbox.put(&format!("photos/{kind}.jpg"), &std::fs::read(format!("{golden}/{kind}.jpg")).unwrap());
    }
    let tiles = tiles(&sandbox);
    let baseline = &tiles.iter().find(|(name, _)| name == "baseline.jpg").unwrap().1;
    for (name, tile) in &tiles {
        let off: u64 = tile.iter().zip(baseline.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(off / (tile.len() as u64) < 4, "{name}: {off}");
    }
    assert!(sandbox.images().iter().all(|row| row.damage.is_none()));
}

#[test]
fn a_jpeg_that_is_broken_in_the_middle_is_called_damaged() {
    let sandbox = Sandbox::with_photos(3);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/jpeg");
    for kind in ["baseline", "restarts", "progressive", "scans"] {
        let bytes = std::fs::read(format!("{golden}/{kind}.jpg")).unwrap();
        let at = bytes.len() * 2 / 3;
        sandbox.put(&format!("photos/{kind}-gone.jpg"), &[&bytes[..at], &bytes[at + 100..]].concat());
        sandbox.put(&format!("photos/{kind}-half.jpg"), &[&bytes[..at], &[0xFF, 0xD9]].concat());
        // A missing end marker alone is not damage.
        sandbox.put(&format!("photos/{kind}.jpg"), &bytes[..bytes.len() - 2]);
    }
    sandbox.ok("embed photos --model scattering");
    for row in sandbox.images() {
        let is_broken = row.path.contains('-') || row.path == "progressive.jpg";
        assert_eq!(row.damage.is_some(), is_broken, "{}: {:?}", row.path, row.damage);
    }
    let strict = sandbox.run("embed photos --model scattering --strict");
    assert_eq!(strict.code, 3);
    assert!(strict.stderr.contains("its data is broken"), "{}", strict.stderr);
}

#[test]
fn a_large_tiff_is_one_and_palettes_have_colours() {
    let picture = quarters();
    let mut big = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::<_, TiffKindBig>::new_generic(&mut big).unwrap();
    encoder.write_image::<RGB8>(picture.width(), picture.height(), &picture).unwrap();
    let sandbox = Sandbox::new();
    sandbox.put("photos/big.tif", big.get_ref());
    sandbox.put("photos/palette.tif", &palette());
    sandbox.put("photos/upright.png", &png(&picture));
    for (name, tile) in tiles(&sandbox) {
        assert_same(&name, &tile, &picture);
    }
    assert_eq!(sandbox.images()[0].format.to_string(), "tiff");
}

/// The same picture with a palette.
fn palette() -> Vec<u8> {
    let picture = quarters();
    let number = |x: u32, y: u32| (x / 48 + 2 * (y / 32)) as u8;
    let pixels: Vec<u8> = (0..64).flat_map(|y| (0..96).map(move |x| number(x, y))).collect();
    let mut map = vec![0_u16; 3 * 256];
    for n in 0..4 {
        let colour = picture.get_pixel(48 * (n % 2), 32 * (n / 2)).0;
        (0..3).for_each(|channel| map[channel * 256 + n as usize] = u16::from(colour[channel]) * 257);
    }
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut image = encoder.new_image::<tiff::encoder::colortype::Gray8>(96, 64).unwrap();
    image.encoder().write_tag(tiff::tags::Tag::PhotometricInterpretation, 3_u16).unwrap();
    image.encoder().write_tag(tiff::tags::Tag::ColorMap, &map[..]).unwrap();
    image.write_data(&pixels).unwrap();
    bytes.into_inner()
}
