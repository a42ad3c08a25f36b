#!/usr/bin/env bash
# Checks the page's style and script with biome (from npm, nothing of it is needed to build or to run). The script's
# files are one script in the browser, so they are linted as one: what one declares another uses.
set -euo pipefail
cd "$(dirname "$0")/.."
biome=(npx --yes @biomejs/biome@2.6.8)
page=src/render/page
"${biome[@]}" format $page
mkdir -p target/page
grep -o '[a-z]*\.js' $page/mod.rs | sed "s|^|$page/|" | xargs cat > target/page/page.js
"${biome[@]}" lint --error-on-warnings target/page/page.js $page/*.css
