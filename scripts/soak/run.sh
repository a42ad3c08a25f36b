#!/usr/bin/env bash
# Runs the long versions of the tests behind docs/reliability.md: hundreds of faults, and power cuts.
# Usage: scripts/soak/run.sh [NAME…]    with names, only the tests whose names contain one of these, and no power cuts
# Needs strace; root for separate disks and for power cuts.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo test --release --test it -- --ignored --nocapture --test-threads 2 "$@"
[ $# -gt 0 ] || scripts/soak/power_cut.sh 100
