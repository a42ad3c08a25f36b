#!/usr/bin/env bash
# Checks the format and the code of the page's styles and scripts with biome, which npx downloads; building and running
# the program do not need it. Each script is linted on its own: the only name that scripts share is `page`, through
# which they export to each other.
# Usage: scripts/check/page_lint.sh
# Needs npx.
set -euo pipefail
cd "$(dirname "$0")/../../src/render/page"
biome=(npx --yes @biomejs/biome@2.6.8)
"${biome[@]}" format .
"${biome[@]}" lint --error-on-warnings ./*.js ./*.css
