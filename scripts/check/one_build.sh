#!/usr/bin/env bash
# Checks that `cargo run` and `cargo test` share one build of every dependency, and prints what is compiled twice.
# Usage: scripts/check/one_build.sh
# Needs python3.
set -euo pipefail
cd "$(dirname "$0")/../.."
graph() { RUSTC_BOOTSTRAP=1 cargo "$@" --release -Zunstable-options --unit-graph; }
python3 - <(graph build) <(graph test --no-run) <<'PY'
import json, sys

def units(path):
    return {(u["pkg_id"].split("#")[-1], u["mode"], u["platform"], tuple(sorted(u["features"]))) for u in json.load(open(path))["units"]}

twice = {unit[0] for unit in units(sys.argv[1]) - units(sys.argv[2])}
twice = sorted(name for name in twice if not name.startswith("tsne-grid@"))
print("compiled twice:", ", ".join(twice) if twice else "nothing")
sys.exit(bool(twice))
PY
