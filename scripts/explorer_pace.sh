#!/usr/bin/env bash
# What the explorer takes: time to write the page, bytes per picture, first paint, and the times between frames while the
# wall is dragged, in Chromium without a window (no graphics card: pixels are drawn by the processor).
#     scripts/explorer_pace.sh [PICTURES…]        default: 10000 20000 50000
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 10000 20000 50000
cargo build --release --quiet
bin=$PWD/target/release/tsne-grid
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for count in "$@"; do
  folder=$work/$count
  "$bin" sample "$folder/export" --images "$count" -q >/dev/null
  cd "$folder"
  run="export --model scattering --iterations 250 -o grid.jpg -q"
  "$bin" run $run --page=false >/dev/null
  begin=$(date +%s.%N)
  "$bin" run $run >/dev/null
  written=$(date +%s.%N)
  "$bin" run $run >/dev/null
  fresh=$(date +%s.%N)
  cd - >/dev/null
  echo "== $count drawn pictures"
  echo "$begin $written $fresh" | awk '{ printf "page written in %.1f s, a run with the page fresh %.1f s\n", $2 - $1, $3 - $2 }'
  for part in "" sheets-* large-*; do
    du -cb "$folder"/explorer/$part | tail -1 | awk -v n="$count" -v part="${part:-all}" '{ printf "%-9s %.1f kB a picture\n", part, $1 / n / 1000 }'
  done
  PAGE="$folder/explorer/index.html" cargo test --release --quiet --test it -- --ignored --nocapture page_looks::pace 2>&1 | grep -E 'paint|median'
  rm -rf "$folder"
done
