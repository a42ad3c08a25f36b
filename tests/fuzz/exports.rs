//! Fuzzes every reader of metadata files (indexes, sidecars, tables): none may panic, and none may return more entries
//! than there are bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::config::PictureKind;
use tsne_grid::source::instagram::{self, Index, IndexItem};
use tsne_grid::source::{instaloader, sidecars, table};

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    match which % 8 {
        0 => index(Index::Generation1, bytes),
        1 => index(Index::Posts { kind: PictureKind::Post, labelled: false }, bytes),
        2 => index(Index::Posts { kind: PictureKind::Post, labelled: true }, bytes),
        3 => drop(instaloader::read_metadata(bytes)),
        4 => drop(
            std::str::from_utf8(bytes)
                .map(|text| (sidecars::read_takeout(text), sidecars::read_gallery_dl(text, true))),
        ),
        5 => assert!(table::read_json(bytes, false).rows.len() <= bytes.len()),
        6 => assert!(table::read_json(bytes, true).rows.len() <= bytes.len()),
        _ => assert!(table::read_csv(bytes).rows.len() <= bytes.len()),
    }
});

fn index(index: Index, bytes: &[u8]) {
    let mut count = 0;
    let _ = instagram::read(index, bytes, |what| {
        count += 1;
        if let IndexItem::Medium { uri, metadata } = what {
            assert_eq!(metadata.uri, Some(uri));
            assert_ne!(metadata.caption.as_deref(), Some(""));
        }
    });
    assert!(count <= bytes.len());
}
