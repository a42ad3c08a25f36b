#!/usr/bin/env bash
# Builds the program as a wheel in dist/.
# Usage: scripts/release/wheel.sh [TARGET]    without TARGET for this system, from the build of `cargo run --release`
# Needs python3 with venv. Installs maturin under target/wheel-tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/wheel-tools
[ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet 'maturin>=1.9,<2'; }
scripts/release/licences.py "$@" >target/THIRD-PARTY.txt
rm -rf target/wheels
if [ $# -gt 0 ]; then
  about=(--profile dist --target "$1")
  # The program is static, so it runs with any C library: one wheel serves glibc and musl.
  case $1 in *musl) about+=(--compatibility manylinux2014 musllinux_1_1) ;; esac
else
  about=(--release)
fi
"$tools/bin/maturin" build --locked "${about[@]}" --out target/wheels
mkdir -p dist
cp target/wheels/*.whl dist/
ls -l target/wheels
