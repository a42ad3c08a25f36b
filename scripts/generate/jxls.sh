#!/usr/bin/env bash
# Writes tests/it/golden/jxl/: four quarters of one colour each; in one file the second quarter is transparent.
# Usage: scripts/generate/jxls.sh
# Needs cjxl.
set -euo pipefail
mkdir -p "$(dirname "$0")/../../tests/it/golden/jxl"
cd "$(dirname "$0")/../../tests/it/golden/jxl"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quarters() { # TUPLE DEPTH
  printf 'P7\nWIDTH 96\nHEIGHT 64\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n' "$2" "$1"
  local with=$([ "$2" = 4 ] && echo '\xff') without=$([ "$2" = 4 ] && echo '\x00')
  for y in $(seq 64); do
    for x in $(seq 96); do
      if [ "$y" -le 32 ]; then
        if [ "$x" -le 48 ]; then printf "\xc8\x3c\x3c$with"; else printf "\x3c\xaa\x3c$without"; fi
      elif [ "$x" -le 48 ]; then printf "\x3c\x3c\xc8$with"; else printf "\xe6\xdc\xd2$with"; fi
    done
  done
}
quarters RGB 3 >"$work/rgb.pam"
quarters RGB_ALPHA 4 >"$work/rgba.pam"
cjxl "$work/rgb.pam" lossy.jxl -d 1 --quiet
cjxl "$work/rgb.pam" lossless.jxl -d 0 --quiet
cjxl "$work/rgba.pam" alpha.jxl -d 0 --quiet
cjxl "$work/rgb.pam" boxes.jxl -d 1 --container=1 --quiet
