//! Any bytes as a picture: never a panic that is not caught, never more memory than the budget says, never a picture of
//! another size than its header promised.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsne_grid::photo;

fuzz_target!(init: {
    // What the library catches and reports as a bad file is no finding.
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
            let (facts, damage) = probed.expect("what decodes can be probed");
            assert_eq!(facts, decoded.facts);
            assert_eq!(damage, decoded.damage);
            assert_eq!(decoded.pixels.dimensions(), (facts.width, facts.height));
            photo::square(&decoded.pixels, 16);
            for fit in [photo::TileFit::Cover, photo::TileFit::Stretch] {
                assert_eq!(photo::tile(&decoded.pixels, 16, fit).dimensions(), (16, 16));
            }
            let (width, height) = photo::tile(&decoded.pixels, 16, photo::TileFit::Contain).dimensions();
            assert!(width.max(height) == 16 && width.min(height) > 0);
            photo::crop_middle(&decoded.pixels, 20, 16, photo::Filter::Bicubic);
            // It holds a part of the budget.
            drop(decoded);
            let small = photo::decode_small(bytes, &budget).expect("what decodes whole comes small");
            assert_eq!((small.facts, small.damage), (facts, damage));
        }
        Err(no) => assert!(no.detail.len() <= 800 && !no.detail.contains('\n'), "{no}"),
    }
    // As a film, by its table.
    let table = bytes.windows(4).position(|kind| kind == b"moov").map(|at| &bytes[at + 4..]);
    if let Some(Ok(still)) = table.map(photo::Still::find) {
        let place = still.place.start as usize..still.place.end as usize;
        if let Some(frame) = bytes.get(place) {
            let packed = still.packed(frame);
            let probed = photo::probe(&packed, &budget);
            if let Ok(decoded) = photo::decode(&packed, &budget) {
                assert_eq!(probed.expect("what decodes can be probed").0, decoded.facts);
            }
        }
    }
    assert!(!photo::in_decoder());
});
