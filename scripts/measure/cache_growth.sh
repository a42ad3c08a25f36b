#!/usr/bin/env bash
# Measures how a cache grows over 30 runs of +20 and -5 pictures: bytes and files by folder (docs/reliability.md).
# Usage: scripts/measure/cache_growth.sh [RUNS]
# Needs a built program (or TSNE_GRID_BIN).
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${TSNE_GRID_BIN:-$PWD/target/release/tsne-grid}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$bin" sample all --images $((150 + 25 * ${1:-30})) >/dev/null
find all -name '*.jpg' | sort >list
mkdir photos
take() { sed -n "$1,$2p" list | while read -r file; do cp "$file" "photos/$(basename "$file")"; done; }
take 1 100
echo "run pictures tables_kB pictures_kB thumbnails_kB vectors_kB files"
for run in $(seq 1 "${1:-30}"); do
  "$bin" run photos --model scattering -q >/dev/null
  kb() { { du -skc "$@" 2>/dev/null || true; } | tail -1 | cut -f1; }
  tables=$(kb cache/{images,skipped,fields,words,project,assign,groups,neighbours,seams,arrivals} cache/embed/*.parquet)
  echo "$run $(find photos -type f | wc -l) $tables $(kb cache/render) $(kb cache/thumbs) $(kb cache/embed/*/) $(find cache -type f | wc -l)"
  find photos -type f | sort | sed -n 1,5p | xargs rm
  take $((101 + 20 * (run - 1))) $((100 + 20 * run))
done
