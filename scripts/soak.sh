#!/usr/bin/env bash
# The long versions of the promises in docs/reliability.md: faults by the hundred. Needs strace; for disks of their own
# and for power cuts also the superuser.
# Usage: scripts/soak.sh [NAME…]: only the tests whose names contain one of these.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --test it -- --ignored --nocapture --test-threads 2 "$@"
[ $# -gt 0 ] || scripts/power_cut.sh 100
