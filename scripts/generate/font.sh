#!/usr/bin/env bash
# Writes src/render/fonts/labels.ttf: a subset of DejaVu Sans Bold 2.37 (Debian's fonts-dejavu-core) with Latin, Greek
# and Cyrillic letters, digits and punctuation, without hints.
# Usage: scripts/generate/font.sh [DejaVuSans-Bold.ttf]
# Needs pyftsubset (from PyPI's fonttools).
set -euo pipefail
cd "$(dirname "$0")/../.."
pyftsubset "${1:-/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf}" --output-file=src/render/fonts/labels.ttf \
  --unicodes=U+20-7E,U+A0-17F,U+218-21B,U+384-3CE,U+400-45F,U+490-491,U+2010-2015,U+2018-201E,U+2026,U+20AC \
  --no-hinting --desubroutinize --layout-features=kern --drop-tables+=GSUB,GDEF --name-IDs=0,1,2,13,14
