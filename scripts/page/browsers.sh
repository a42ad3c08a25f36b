#!/usr/bin/env bash
# The demo's page, and one of so many pictures that its data are in files, in Chromium and Firefox, from the disk, and under the eyes
# of axe-core: scripts/page/browsers.sh [FOLDER FOR SCREENSHOTS]. What it takes is had from npm and lies under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/page-tools
export NODE_PATH=$PWD/$tools/node_modules PUPPETEER_SKIP_DOWNLOAD=1
[ -d "$NODE_PATH/axe-core" ] || npm install --silent --no-audit --no-fund --prefix "$tools" puppeteer-core@24 axe-core@4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$(realpath "${TSNE_GRID_BIN:-target/release/tsne-grid}")
"$bin" -q demo "$work/demo" >/dev/null
node scripts/page/browsers.mjs "$work/demo/explorer/index.html" "$@"
python3 scripts/explorer_walls.py 5000 "$work/demo/wall.csv" "$work/demo/cache"
(cd "$work/demo" && "$bin" -q render --input wall.csv --large 0 -o wall.jpg >/dev/null)
node scripts/page/browsers.mjs "$work/demo/explorer-wall/index.html"
