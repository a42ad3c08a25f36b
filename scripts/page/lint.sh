#!/usr/bin/env bash
# Checks the page's style and script with biome (from npm, nothing of it is needed to build or to run). Each file of the
# script is linted for itself: it knows no name of another but `page`, through which they give to each other.
set -euo pipefail
cd "$(dirname "$0")/../.."
biome=(npx --yes @biomejs/biome@2.6.8)
page=src/render/page
"${biome[@]}" format $page
"${biome[@]}" lint --error-on-warnings $page/*.js $page/*.css
