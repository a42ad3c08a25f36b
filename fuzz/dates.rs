//! Any bytes, to every reader of dates: they answer, they do not panic, and no date is one that no camera has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::artifact::{Taken, Time, Witness};
use tsne_grid::{photo, source};

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let budget = photo::Budget::new(64 << 20);
    sound(match which % 5 {
        0 => source::taken_by_name(&text),
        1 => photo::taken_beside(&text).map(|clock| Taken::of_clock(Witness::Sidecar, clock)),
        2 => Taken::inside(bytes, &budget),
        // A block of EXIF, whole and in two segments.
        3 => Taken::inside(&jpeg(&[bytes]), &budget),
        _ => Taken::inside(&jpeg(&[&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]]), &budget),
    });
});

fn sound(taken: Option<Taken>) {
    let year = |text: &str| text.parse::<Time>().unwrap();
    // A day of slack, as the offset may lead over the new year.
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
