#!/usr/bin/env bash
# Measures the explorer: time and memory to write the page, its bytes, and in headless Chromium (no graphics card: the
# CPU draws the pixels) the first paint, the times between frames while the map is dragged and while pictures glide, and
# memory.
# Usage: scripts/measure/explorer.sh [COUNT…]        default: 10000 100000 1000000
# Up to 100,000 items are pictures: some hundred drawn ones, repeated. More are points without pictures. If
# `embedding-atlas` (PyPI) is installed, its page of the same points is measured too.
# Needs chromium, npm, python3 and GNU time. Installs puppeteer-core from npm under target/page-tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- 10000 100000 1000000
tools=target/page-tools
export NODE_PATH=$PWD/$tools/node_modules PUPPETEER_SKIP_DOWNLOAD=1
[ -d "$NODE_PATH/puppeteer-core" ] || npm install --silent --no-audit --no-fund --prefix "$tools" puppeteer-core@24 axe-core@4
[ -n "${TSNE_GRID_BIN:-}" ] || cargo build --release --quiet
bin=$(realpath "${TSNE_GRID_BIN:-target/release/tsne-grid}")
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin" -q sample "$work/export" --images 400 >/dev/null
(cd "$work" && "$bin" -q run export --model scattering --cell 8 --page --large 0 -o few.jpg >/dev/null)
for count in "$@"; do
  folder=$work/$count
  mkdir "$folder"
  if [ "$count" -le 100000 ]; then
    cp -al "$work/cache" "$folder/cache"
    python3 scripts/measure/explorer_tables.py "$count" "$folder/wall.csv" "$folder/cache"
    cell=8
  else
    python3 scripts/measure/explorer_tables.py "$count" "$folder/wall.csv"
    cell=4
  fi
  echo "== $count"
  (cd "$folder" && /usr/bin/time -f "written in %e s (%U s of processors), %M kB of memory" \
    "$bin" -q render --input wall.csv --large 0 --cell $cell -o grid.jpg 2>&1 >/dev/null | tail -1)
  du -cb "$folder"/explorer/sheets-* | tail -1 | awk -v n="$count" '{ printf "sheets %.1f MB, %.2f kB each\n", $1 / 1e6, $1 / n / 1000 }'
  du -b "$folder"/explorer/index.html | awk '{ printf "page %.2f MB\n", $1 / 1e6 }'
  for kind in columns rough rows facets words found; do
    du -cb "$folder"/explorer/data-*/$kind-* | tail -1 | awk -v kind=$kind '{ printf "%s %.1f MB\n", kind, $1 / 1e6 }'
  done
  node scripts/measure/explorer.mjs "$folder/explorer/index.html"
  if command -v embedding-atlas >/dev/null; then
    echo "-- Embedding Atlas"
    embedding-atlas "$folder/wall.csv" --x x --y y --text note --export-application "$folder/atlas" >/dev/null 2>&1
    (cd "$folder/atlas" && exec python3 -m http.server 8765 >/dev/null 2>&1) &
    server=$!
    sleep 1
    node scripts/measure/explorer.mjs http://localhost:8765/ || true
    kill $server
  fi
  cd "$here"
  rm -rf "$folder"
done
