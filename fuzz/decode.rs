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
        }
        Err(no) => assert!(no.detail.len() <= 800 && !no.detail.contains('\n'), "{no}"),
    }
    assert!(!photo::in_decoder());
});
