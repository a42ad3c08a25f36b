#!/usr/bin/env bash
# Runs the recipes of README.md and docs/models.md (DuckDB, pandas, make, CI, shell) on a sample, and checks what --json
# prints against its schema.
# Usage: scripts/check/recipes.sh
# Needs a built program (or TSNE_GRID_BIN) and python3 with venv. Installs duckdb, jsonschema, pandas and pyarrow into
# TSNE_GRID_VENV, by default ~/.cache/tsne-grid-recipes.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
bin=${TSNE_GRID_BIN:-$root/target/release/tsne-grid}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${TSNE_GRID_VENV:-$HOME/.cache/tsne-grid-recipes}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import duckdb, jsonschema, pandas, pyarrow' 2>/dev/null ||
  "$venv/bin/pip" install -q duckdb jsonschema pandas pyarrow
cd "$work"
"$bin" sample photos --images 60 >/dev/null
"$bin" run photos --model efficientnet-lite0 --quiet >/dev/null
PATH="$(dirname "$bin"):$PATH"
"$venv/bin/python" "$root/scripts/check/recipes.py" cache "$root/README.md" "$root/docs/models.md"
(mkdir json && cd json && "$venv/bin/python" "$root/scripts/check/json_schema.py" "$bin" ../photos)
# The steps of the CI recipe, except for checking out and installing.
awk '/^```yaml$/{on=1; next} /^```$/{on=0} on' "$root/README.md" | sed -n 's/^.*run: \(tsne-grid .*\)$/\1/p' >ci.sh
[ "$(wc -l <ci.sh)" -ge 4 ]
(mkdir ci && cd ci && cp -r ../photos . && PATH="$(dirname "$bin"):$PATH" bash -eux ../ci.sh)
awk '/^```make$/{on=1; next} /^```$/{on=0} on' "$root/README.md" >Makefile
make -s wall.png && test -s wall.png
before=$(stat -c %y wall.png)
make -s wall.png
[ "$before" = "$(stat -c %y wall.png)" ] || { echo "make did it again"; exit 1; }
rm "$(find photos -name '*.jpg' | sort | head -1)"
make -s wall.png
[ "$before" != "$(stat -c %y wall.png)" ] || { echo "make did not notice a missing picture"; exit 1; }
echo "recipes: all ran"
