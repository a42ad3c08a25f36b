//! HEIC, as phones and programs write it (tests/it/golden/heic, written by scripts/generate/heics.py).

use image::{Rgb, RgbImage};

use crate::sandbox::Sandbox;

const CELL: u32 = 64;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/it/golden/heic/{name}.heic", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The colours of the four quarters, upright.
const QUARTERS: [[u8; 3]; 4] = [[200, 60, 60], [60, 170, 60], [60, 60, 200], [230, 220, 210]];

/// The colours that the grid shows at the centres of the quarters of each picture.
fn quarters(sandbox: &Sandbox) -> Vec<(String, [Rgb<u8>; 4])> {
    sandbox.ok(&format!("run photos --model scattering --fit stretch --cell {CELL} --gap 0 -o wall.png"));
    let wall: RgbImage = image::open(sandbox.path("wall.png")).unwrap().into_rgb8();
    let cells = sandbox.assigned();
    let colours = |image: &str| {
        let cell = cells.iter().find(|cell| *cell.image == *image).unwrap();
        [(1, 1), (3, 1), (1, 3), (3, 3)]
            .map(|(x, y)| *wall.get_pixel(cell.col * CELL + CELL * x / 4, cell.row * CELL + CELL * y / 4))
    };
    sandbox.images().iter().map(|row| (row.path.clone(), colours(&row.image))).collect()
}

#[test]
fn every_kind_shows_the_same_upright_picture() {
    let sandbox = Sandbox::new();
    let small = [
        "no-matrix",
        "bt709",
        "nothing",
        "ten-bit",
        "twelve-bit",
        "alpha",
        "display-p3",
        "turned-3",
        "turned-5",
        "turned-6",
    ];
    let large = ["grid", "grid-turned"];
    for name in small.iter().chain(&large) {
        sandbox.put(&format!("photos/{name}.HEIC"), &golden(name));
    }
    // A HEIC with another suffix, as programs rename them.
    sandbox.put("photos/named.jpg", &[&golden("bt709")[..], &[0; 8]].concat());
    let shown = quarters(&sandbox);
    assert_eq!(shown.len(), small.len() + large.len() + 1);
    for (name, colours) in shown {
        for (quarter, (there, mut wanted)) in colours.iter().zip(QUARTERS).enumerate() {
            if name.starts_with("alpha") && quarter == 1 {
                wanted = [255; 3];
            }
            assert!((0..3).all(|c| there.0[c].abs_diff(wanted[c]) <= 4), "{name}, {quarter}: {there:?} for {wanted:?}");
        }
    }
    for row in sandbox.images() {
        let size = if row.path.starts_with("grid") { (192, 128) } else { (96, 64) };
        assert_eq!((row.width, row.height, row.format.to_string().as_str()), (size.0, size.1, "heic"), "{}", row.path);
        let taken = row.taken_at.map(|time| time.seconds()).zip(row.taken_from.map(|from| from.to_string()));
        let wanted = match &row.path {
            path if path.contains("turned") => Some((1_551_441_600, "exif")),
            path if path.starts_with("alpha") => Some((1_622_865_782, "xmp")),
            _ => None,
        };
        assert_eq!(taken, wanted.map(|(seconds, from)| (seconds, from.to_owned())), "{}", row.path);
    }
}

#[test]
fn what_is_cut_broken_or_of_another_kind_has_a_reason() {
    let sandbox = Sandbox::with_photos(3);
    let whole = golden("grid");
    let other = {
        let mut bytes = golden("bt709");
        // An item with another codec: AV1 in boxes of the brand of HEIC.
        let at = bytes.windows(4).position(|kind| kind == b"hvc1").unwrap();
        bytes[at..at + 4].copy_from_slice(b"av01");
        bytes
    };
    for (name, bytes) in [
        ("cut.heic", &whole[..whole.len() - 40]),
        ("head.heic", &whole[..64]),
        ("zero.heic", &[0; 4000]),
        ("behind.heif", &[&whole[..64], &[0; 4000]].concat()),
        ("other.hif", &other),
        ("empty.heic", b""),
    ] {
        sandbox.put(&format!("photos/{name}"), bytes);
    }
    sandbox.put("photos/too-large.heic", &{
        let mut bytes = whole.clone();
        // The size of the grid, 192 by 128, in its description.
        let at = bytes.windows(4).position(|size| size == [0, 192, 0, 128]).unwrap();
        bytes[at..at + 4].copy_from_slice(&[0x3F, 0xFF, 0x3F, 0xFF]);
        bytes
    });
    let ran = sandbox.run("embed photos --model scattering --strict");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let reasons: Vec<(String, String)> =
        sandbox.skipped().into_iter().map(|row| (row.path, format!("{}: {}", row.reason, row.detail))).collect();
    let of = |name: &str| &reasons.iter().find(|(path, _)| path == name).unwrap().1;
    assert_eq!(of("cut.heic"), "undecodable: the file ends before the picture does");
    assert_eq!(of("zero.heic"), "undecodable: named like a picture, but begins with nothing but zeros; copy it again");
    assert_eq!(of("empty.heic"), "undecodable: an empty file");
    assert!(of("head.heic").starts_with("undecodable: "), "{}", of("head.heic"));
    assert!(of("behind.heif").starts_with("undecodable: "), "{}", of("behind.heif"));
    assert!(of("other.hif").starts_with("unsupported: a HEIF picture of an unsupported kind"), "{}", of("other.hif"));
    assert!(of("too-large.heic").starts_with("too-large: "), "{}", of("too-large.heic"));
    assert_eq!(reasons.len(), 7);
}
