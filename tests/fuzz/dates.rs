//! Fuzzes every reader of dates: none may panic, and every date must be in the range that the program accepts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::artifact::{CaptureDate, DateProvider, Time};
use tsne_grid::{photo, source};

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let budget = photo::Budget::new(64 << 20);
    sound(match which % 5 {
        0 => source::filename_date(&text),
        1 => photo::xmp_capture_date(&text).map(|clock| CaptureDate::from_clock(DateProvider::Sidecar, clock)),
        2 => CaptureDate::of_image(bytes, &budget),
        // A block of EXIF, in one segment and in two.
        3 => CaptureDate::of_image(&jpeg(&[bytes]), &budget),
        _ => CaptureDate::of_image(&jpeg(&[&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]]), &budget),
    });
});

fn sound(taken: Option<CaptureDate>) {
    let year = |text: &str| text.parse::<Time>().unwrap();
    // One day more on each side, because the offset from UTC may cross the new year.
    assert!(taken.is_none_or(|taken| (year("1825-12-31")..year("2099-01-02")).contains(&taken.at)), "{taken:?}");
}

fn jpeg(blocks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\xFF\xD8".to_vec();
    for block in blocks {
        bytes.extend(b"\xFF\xE1");
        bytes.extend((block.len() as u16 + 8).to_be_bytes());
        bytes.extend(b"Exif\0\0");
        bytes.extend(*block);
    }
    bytes.extend(b"\xFF\xD9");
    bytes
}
