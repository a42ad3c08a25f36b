//! Fuzzes the decoders: no panic may escape, memory must stay within the budget, and a picture must have the size that
//! its header promised.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::photo;

fuzz_target!(init: {
    // A panic in a decoder is caught and reported as a bad file, so it is not a finding.
    std::panic::set_hook(Box::new(|info| {
        if !photo::in_decoder() {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
}, |bytes: &[u8]| {
    let budget = photo::Budget::new(64 << 20);
    let probed = photo::probe(bytes, &budget);
    match photo::decode(bytes, &budget) {
        Ok(decoded) => {
            let (header, damage) = probed.expect("what decodes can be probed");
            assert_eq!(header, decoded.header);
            assert_eq!(damage, decoded.damage);
            assert_eq!(decoded.pixels.dimensions(), (header.width, header.height));
            photo::square(&decoded.pixels, 16, photo::Filter::Bicubic);
            for fit in [photo::TileFit::Cover, photo::TileFit::Stretch] {
                assert_eq!(photo::tile(&decoded.pixels, 16, fit).dimensions(), (16, 16));
            }
            let (width, height) = photo::tile(&decoded.pixels, 16, photo::TileFit::Contain).dimensions();
            assert!(width.max(height) == 16 && width.min(height) > 0);
            photo::crop_middle(&decoded.pixels, 20, 16, photo::Filter::Bicubic);
            // It holds a part of the budget, for which `decode_small` would wait.
            drop(decoded);
            let small = photo::decode_small(bytes, &budget).expect("what decodes whole comes small");
            assert_eq!((small.header, small.damage), (header, damage));
        }
        Err(no) => assert!(no.detail.len() <= 800 && !no.detail.contains('\n'), "{no}"),
    }
    // The same bytes as a video: its header table, then the frame that the table names.
    let table = bytes.windows(4).position(|kind| kind == b"moov").map(|at| &bytes[at + 4..]);
    if let Some(Ok(still)) = table.map(photo::Still::find) {
        let place = still.byte_range.start as usize..still.byte_range.end as usize;
        if let Some(frame) = bytes.get(place) {
            let packed = still.packed(frame);
            let probed = photo::probe(&packed, &budget);
            if let Ok(decoded) = photo::decode(&packed, &budget) {
                assert_eq!(probed.expect("what decodes can be probed").0, decoded.header);
            }
        }
    }
    assert!(!photo::in_decoder());
});
