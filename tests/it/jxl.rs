//! JPEG XL (tests/it/golden/jxl, written by scripts/generate/jxls.sh).

use crate::sandbox::Sandbox;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/it/golden/jxl/{name}.jxl", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_kind_is_in_the_grid_and_what_is_cut_has_a_reason() {
    let sandbox = Sandbox::new();
    for name in ["lossless", "lossy", "alpha", "boxes"] {
        sandbox.put(&format!("photos/{name}.jxl"), &golden(name));
    }
    let whole = golden("lossy");
    sandbox.put("photos/cut.jxl", &whole[..whole.len() / 2]);
    sandbox.put("photos/named.jpg", &[&golden("lossy")[..], &[0; 8]].concat());
    let ran = sandbox.run("run photos --model scattering -o wall.png --strict");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let images = sandbox.images();
    assert_eq!(images.len(), 5);
    assert!(images.iter().all(|row| (row.format.to_string().as_str(), row.width, row.height) == ("jxl", 96, 64)));
    let skipped = sandbox.skipped();
    assert_eq!((skipped[0].path.as_str(), skipped[0].reason.to_string().as_str()), ("cut.jxl", "undecodable"));
}
