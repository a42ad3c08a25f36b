//! Any bytes, to every reader of what lies beside pictures: they answer, they do not panic, and
//! they say no more than there are bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::config::Kind;
use tsne_grid::source::instagram::{self, Index, Told};
use tsne_grid::source::{instaloader, sidecars, table};

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    match which % 7 {
        0 => index(Index::First, bytes),
        1 => index(Index::Posts { kind: Kind::Post, labelled: false }, bytes),
        2 => index(Index::Posts { kind: Kind::Post, labelled: true }, bytes),
        3 => drop(instaloader::read_metadata(bytes)),
        4 => drop(std::str::from_utf8(bytes).map(|text| (sidecars::read_takeout(text), sidecars::read_gallery_dl(text, true)))),
        5 => assert!(table::read_json(bytes, false).rows.len() <= bytes.len()),
        6 => assert!(table::read_json(bytes, true).rows.len() <= bytes.len()),
        _ => assert!(table::read_csv(bytes).rows.len() <= bytes.len()),
    }
});

fn index(index: Index, bytes: &[u8]) {
    let mut told = 0;
    let _ = instagram::read(index, bytes, |what| {
        told += 1;
        if let Told::Picture { uri, known } = what {
            assert_eq!(known.uri, Some(uri));
            assert_ne!(known.caption.as_deref(), Some(""));
        }
    });
    assert!(told <= bytes.len());
}
