#!/usr/bin/env bash
# Runs the unit tests as a Windows program, under wine. (The stories in tests/it need a Unix.)
# Usage: scripts/check/windows.sh [FILTER…]
# Needs mingw's gcc, wine64, and the target x86_64-pc-windows-gnu (`rustup target add x86_64-pc-windows-gnu`).
set -euo pipefail
cd "$(dirname "$0")/../.."
target=x86_64-pc-windows-gnu
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
export WINEPREFIX=${WINEPREFIX:-$PWD/target/wine} WINEDEBUG=${WINEDEBUG:--all}
cargo test --locked --target "$target" --lib --no-run --config profile.test.debug=0
tests=$(find "target/$target/debug/deps" -name "tsne_grid-*.exe" -printf "%T@ %p\n" | sort -n | tail -1 | cut -d " " -f 2)
# The standard library takes random numbers from this DLL, which wine has only from version 9 on.
library=$(dirname "$tests")/bcryptprimitives.dll
x86_64-w64-mingw32-gcc -shared -x c -o "$library" - -ladvapi32 <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
C
"$wine" "$tests" "$@"
