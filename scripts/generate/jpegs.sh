#!/usr/bin/env bash
# Writes tests/it/golden/jpeg/: one drawn picture in the kinds of JPEG that no encoder of the tests can write.
# Usage: scripts/generate/jpegs.sh
# Needs cjpeg.
set -euo pipefail
cd "$(dirname "$0")/../../tests/it/golden/jpeg"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Waves in three colours: no block is flat, and each colour has its own edges.
awk 'BEGIN { print "P3 100 75 255"; for (y = 0; y < 75; y++) for (x = 0; x < 100; x++)
  printf "%d %d %d\n", 128 + 100 * sin(x / 5), 128 + 90 * sin((x + 2 * y) / 9), 128 + 110 * sin(y / 4 + x / 30) }' >"$work/picture.ppm"
printf '0;\n1;\n2;\n' >"$work/scans"
make() { cjpeg -quality 85 "${@:2}" -outfile "$1" "$work/picture.ppm"; }
make baseline.jpg -sample 2x2
make restarts.jpg -sample 2x2 -restart 3B
make progressive.jpg -sample 2x2 -progressive
make scans.jpg -sample 2x2 -scans "$work/scans"
make scans-1x2.jpg -sample 1x2 -scans "$work/scans"
make finer-colour.jpg -sample 1x1,2x1,2x1
# The usual kinds, which the program also decodes at smaller sizes.
make sampled-1x1.jpg -sample 1x1
make sampled-2x1.jpg -sample 2x1
make sampled-1x2.jpg -sample 1x2
make sampled-4x1.jpg -sample 4x1
make gray.jpg -grayscale
make rgb.jpg -rgb
