#!/usr/bin/env bash
# Runs the tests of the kernels, convolutions and vision transformers, at every level of vector instructions that the
# CPU has, under AddressSanitizer and under valgrind. These modules use nothing else of this project, so they are built
# here as a small crate of their own.
# Usage: scripts/check/sanitise.sh
# Needs valgrind. RUSTC_BOOTSTRAP makes stable Rust accept the sanitiser's flag.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
crate=$(mktemp -d)
trap 'rm -rf "$crate"' EXIT
cp "$root/Cargo.lock" "$crate"
cat > "$crate/Cargo.toml" <<TOML
[package]
name = "conv"
edition = "2024"
[lib]
path = "lib.rs"
[dependencies]
rayon = "1"
thiserror = "2"
[dev-dependencies]
proptest = { version = "1", default-features = false, features = ["std"] }
[profile.release]
debug = "line-tables-only"
debug-assertions = true
TOML
cat > "$crate/lib.rs" <<RS
#[path = "$root/src/model/kernels/mod.rs"]
mod kernels;
#[path = "$root/src/model/conv/mod.rs"]
pub mod conv;
#[allow(dead_code)]
#[path = "$root/src/model/vit/mod.rs"]
mod vit;
RS
cd "$crate"
target=$(rustc -vV | sed -n 's/host: //p')
echo "== AddressSanitizer"
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" cargo test --release --lib --target "$target" -- --test-threads 1
echo "== valgrind"
cargo test --release --lib --no-run
# This test passes through a trunk thirty times, which takes too long under valgrind.
valgrind --error-exitcode=1 --quiet "$(find target/release/deps -name 'conv-*' -perm -u+x)" --test-threads 1 --skip bytes_depend
