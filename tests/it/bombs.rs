//! Pictures that claim to be enormous, or that decompress to enormous sizes. Each is skipped with its own reason, eight
//! at a time, within 2 GB of address space.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use image::ImageFormat;

use crate::sandbox::{Sandbox, encoded, picture, png, run_command};

const RUN: &str = "run photos --model scattering -o out.png";

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
}

pub(crate) fn header(width: u32, height: u32, depth: u8, colour: u8, interlace: u8) -> Vec<u8> {
    let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, interlace]].concat();
    chunk(b"IHDR", &data)
}

/// A PNG with these chunks.
pub(crate) fn png_of(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

/// `count` zeros, deflated to about a thousandth of their size.
fn zeros(count: usize) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0; 1 << 16];
    for from in (0..count).step_by(block.len()) {
        out.write_all(&block[..block.len().min(count - from)]).unwrap();
    }
    out.finish().unwrap()
}

/// An intact picture of one pixel with an additional chunk before its data.
fn png_with(extra: Vec<u8>) -> Vec<u8> {
    png_of(&[header(1, 1, 8, 2, 0), extra, chunk(b"IDAT", &zlib(&[0, 9, 9, 9])), chunk(b"IEND", b"")])
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

/// A GIF with one frame on a canvas of another size.
fn gif(canvas: (u16, u16), frame: (u16, u16)) -> Vec<u8> {
    let size = |(w, h): (u16, u16)| [w.to_le_bytes(), h.to_le_bytes()].concat();
    let mut bytes = [&b"GIF89a"[..], &size(canvas), b"\x80\0\0", &[0, 0, 0, 255, 255, 255]].concat();
    bytes.extend([&b","[..], &[0; 4], &size(frame), b"\0", b"\x02\x02\x4c\x01\0", b";"].concat());
    bytes
}

/// A small TIFF with these tags (tag, type, count, value).
fn tiff(tags: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in tags {
        bytes
            .extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    bytes.extend([0; 64]);
    bytes
}

fn bmp(width: i32, height: i32, bits: u16) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    bytes.extend([0_u32, 0, 54, 40].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend([1_u16, bits].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend([0; 24]);
    bytes
}

/// The header of a JPEG of this size, and an empty scan.
fn jpeg(frame: u8, precision: u8, width: u16, height: u16) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let sof = [0xFF, frame, 0, 11, precision, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0];
    let quantization = [&b"\xff\xdb\0\x43\0"[..], &[1; 64]].concat();
    [&b"\xff\xd8"[..], &quantization, &sof, b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9"].concat()
}

/// The header of a lossless WebP that claims this size.
fn webp(width: u32, height: u32) -> Vec<u8> {
    let bits = (width - 1) | (height - 1) << 14;
    let mut bytes = b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f".to_vec();
    bytes.extend(bits.to_le_bytes());
    bytes.extend([0; 15]);
    bytes
}

/// Every bomb with the reasons that are acceptable for it.
fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let bomb = zeros(400 << 20);
    let profile = [&b"icc\0\0"[..], &bomb].concat();
    let text = [&b"Comment\0\0"[..], &bomb].concat();
    let international = [&b"Comment\0\x01\0\0\0"[..], &bomb].concat();
    let idat = chunk(b"IDAT", &bomb);
    let (sound, end) = (encoded(&picture(3), ImageFormat::Jpeg), chunk(b"IEND", b""));
    vec![
        ("png-60000.png", png_of(&[header(60_000, 60_000, 8, 2, 0), idat.clone(), end.clone()]), "too-large"),
        ("png-60000-1bit.png", png_of(&[header(60_000, 60_000, 1, 0, 0), idat.clone(), end.clone()]), "too-large"),
        ("png-16bit.png", png_of(&[header(15_900, 15_900, 16, 6, 1), idat.clone(), end.clone()]), "too-large"),
        ("png-max.png", png_of(&[header(0x7fff_ffff, 0x7fff_ffff, 16, 6, 0), idat.clone()]), "too-large"),
        ("png-zero.png", png_of(&[header(0, 5, 8, 2, 0), end.clone()]), "undecodable"),
        ("png-more-than-it-says.png", png_of(&[header(2, 2, 8, 2, 0), idat, end]), "placed"),
        ("png-iccp.png", png_with(chunk(b"iCCP", &profile)), "placed"),
        ("png-ztxt.png", png_with(chunk(b"zTXt", &text)), "placed"),
        ("png-itxt.png", png_with(chunk(b"iTXt", &international)), "placed"),
        ("png-many-ztxt.png", png_with(chunk(b"zTXt", &text).repeat(20)), "placed"),
        ("png-cut.png", png(&picture(4))[..80].to_vec(), "undecodable"),
        ("gif-canvas.gif", gif((65_535, 65_535), (1, 1)), "too-large"),
        ("gif-frame.gif", gif((1, 1), (65_535, 65_535)), "too-large"),
        ("gif-15-bytes.gif", b"GIF89a\xff\xff\xff\xff\0\0\0;".to_vec(), "undecodable"),
        ("jpeg-65500.jpg", jpeg(0xC0, 8, 65_500, 65_500), "too-large"),
        ("jpeg-progressive.jpg", jpeg(0xC2, 8, 15_900, 15_900), "too-large"),
        ("jpeg-12bit.jpg", jpeg(0xC1, 12, 8, 8), "unsupported"),
        ("jpeg-arithmetic.jpg", jpeg(0xC9, 8, 8, 8), "unsupported"),
        ("jpeg-lossless.jpg", jpeg(0xC3, 8, 8, 8), "unsupported"),
        ("jpeg-no-height.jpg", jpeg(0xC0, 8, 8, 0), "undecodable"),
        ("jpeg-cut.jpg", sound[..sound.len() * 2 / 3].to_vec(), "damaged"),
        ("jpeg-stub.jpg", sound[..30].to_vec(), "undecodable"),
        ("bmp-huge.bmp", bmp(60_000, 60_000, 24), "too-large"),
        ("bmp-short.bmp", bmp(2_000, 2_000, 24), "undecodable"),
        ("bmp-negative.bmp", bmp(-5, i32::MIN, 24), "undecodable"),
        (
            "tiff-strip.tif",
            tiff(&[(256, 4, 1, 10), (257, 4, 1, 10), (273, 4, u32::MAX, 8), (279, 4, u32::MAX, 8)]),
            "unsupported",
        ),
        (
            "tiff-huge.tif",
            tiff(&[
                (256, 4, 1, 60_000),
                (257, 4, 1, 60_000),
                (258, 3, 1, 8),
                (262, 3, 1, 1),
                (273, 4, 1, 8),
                (278, 4, 1, 60_000),
                (279, 4, 1, u32::MAX),
            ]),
            "too-large",
        ),
        ("tiff-loop.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0".to_vec(), "undecodable"),
        ("webp-16383.webp", webp(16_383, 16_383), "too-large"),
        ("webp-stub.webp", webp(100, 100), "undecodable"),
    ]
}

#[test]
fn bombs_are_skipped_with_their_reasons_within_two_gigabytes() {
    let sandbox = Sandbox::with_photos(8);
    let bombs = bombs();
    for (name, bytes, _) in &bombs {
        sandbox.put(&format!("photos/{name}"), bytes);
    }
    let began = Instant::now();
    let ran = run_command(&mut sandbox.with_limits("ulimit -v 2000000", &format!("{RUN} --threads 8")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let mut fates: BTreeMap<String, (String, String)> =
        sandbox.skipped().into_iter().map(|row| (row.path, (row.reason.to_string(), row.detail))).collect();
    for row in sandbox.images() {
        let fate = if row.damage.is_some() { "damaged" } else { "placed" };
        fates.insert(row.path, (fate.to_owned(), String::new()));
    }
    let wrong: Vec<_> = bombs.iter().filter(|(name, _, right)| fates[*name].0 != *right).collect();
    let shown: Vec<_> = wrong.iter().map(|(name, _, right)| (name, right, &fates[*name])).collect();
    assert!(wrong.is_empty(), "{shown:#?}");
    assert!(fates.values().all(|(_, detail)| detail.len() <= 220 && !detail.contains('\n')), "{fates:?}");
    assert_eq!(fates.len(), 8 + bombs.len(), "every input is accounted for");
}

/// Large files wait for each other too. These files are sparse: holes after the first bytes of a picture.
#[test]
fn large_files_share_the_memory() {
    const LARGE: u64 = 240 << 20;
    let sandbox = Sandbox::with_photos(8);
    for i in 0..10 {
        sandbox.put(&format!("photos/large-{i}.png"), &png(&picture(20)));
        let large = sandbox.path(&format!("photos/large-{i}.png"));
        std::fs::File::options().write(true).open(large).unwrap().set_len(LARGE + i).unwrap();
    }
    let ran = run_command(&mut sandbox.with_limits("ulimit -v 2000000", &format!("{RUN} --threads 8")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.images().len(), 18, "what follows the end of a picture is nobody's business: {}", ran.stderr);
}

/// The user can change the limits, and the message says with which setting.
#[test]
fn limits_can_be_set() {
    let sandbox = Sandbox::with_photos(6);
    sandbox
        .put("photos/wide.png", &png(&image::RgbImage::from_fn(1300, 1000, |x, y| image::Rgb([x as u8, y as u8, 9]))));
    sandbox.put("photos/long.png", &[png(&picture(40)), vec![0; 3 << 20]].concat());
    let said = |flags: &str| {
        // The record of a decoded picture outlives a change of the limits, so each case starts without a cache.
        let _ = std::fs::remove_dir_all(sandbox.path("cache"));
        sandbox.ok(&format!("{RUN} {flags}"));
        let rows = sandbox.skipped().into_iter().map(|row| format!("{} {}: {}", row.path, row.reason, row.detail));
        rows.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said(""), "");
    let wide = "wide.png too-large: a picture of 1300x1000 pixels; the limit is 1 megapixels (limits.max_pixels)";
    assert_eq!(said("--max-pixels 1"), wide);
    assert_eq!(said("--max-file 2"), "long.png too-large: a file of 3 MB; the limit is 2 MB (limits.max_file)");
    let memory = said("--memory 4");
    assert!(memory.contains("the budget is 4 MB (limits.memory)"), "{memory}");
    assert!(memory.contains("long.png too-large: a file of 3 MB; the limit is 2 MB (limits.memory)"), "{memory}");
    sandbox.put("pipeline.toml", b"[limits]\nmax_pixels = 0\n");
    let ran = sandbox.run(RUN);
    assert!(ran.code == 2 && ran.stderr.contains("limits.max_pixels is 0; it can be 1 to"), "{}", ran.stderr);
}

/// Large but correct pictures wait for each other, so that memory does not hold all of them at once.
#[test]
fn large_pictures_share_the_memory() {
    let sandbox = Sandbox::new();
    let flat = png_of(&[header(6_000, 5_000, 8, 2, 0), chunk(b"IDAT", &zeros(18_001 * 5_000)), chunk(b"IEND", b"")]);
    for i in 0..8_u8 {
        // Another byte at the end makes each a different file.
        sandbox.put(&format!("photos/{i}.png"), &[&flat[..], &[i]].concat());
    }
    let ran = run_command(&mut sandbox.with_limits("ulimit -v 2000000", &format!("{RUN} --threads 8")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.images().len(), 8, "{}", ran.stderr);
}
