#!/usr/bin/env bash
# Tests the explorer in Chromium and Firefox, and its accessibility with axe-core. Two pages are opened from disk: that
# of the demo, and one with so many pictures that its data are separate files.
# Usage: scripts/check/browsers.sh [FOLDER FOR SCREENSHOTS]
# Needs chromium, firefox-esr, npm, python3, and a built program. Installs puppeteer-core and axe-core from npm under
# target/page-tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/page-tools
export NODE_PATH=$PWD/$tools/node_modules PUPPETEER_SKIP_DOWNLOAD=1
[ -d "$NODE_PATH/axe-core" ] || npm install --silent --no-audit --no-fund --prefix "$tools" puppeteer-core@24 axe-core@4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$(realpath "${TSNE_GRID_BIN:-target/release/tsne-grid}")
"$bin" -q demo "$work/demo" >/dev/null
node scripts/check/browsers.mjs "$work/demo/explorer/index.html" "$@"
python3 scripts/measure/explorer_tables.py 5000 "$work/demo/wall.csv" "$work/demo/cache"
(cd "$work/demo" && "$bin" -q render --input wall.csv --large 0 -o wall.jpg >/dev/null)
node scripts/check/browsers.mjs "$work/demo/explorer-wall/index.html"
