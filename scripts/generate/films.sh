#!/usr/bin/env bash
# Writes tests/it/golden/films/: drawn videos of two seconds, the first second blue, the second orange with a white
# square in the upper left corner.
# Usage: scripts/generate/films.sh
# Needs ffmpeg with libx264 and libx265.
set -euo pipefail
mkdir -p "$(dirname "$0")/../../tests/it/golden/films"
cd "$(dirname "$0")/../../tests/it/golden/films"
drawn="color=c=0x2040C0:s=96x64:r=10:d=1[a];color=c=0xF08020:s=96x64:r=10:d=1,drawbox=w=32:h=32:c=white:t=fill[b];[a][b]concat=n=2,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
make() { # NAME, further arguments
  ffmpeg -hide_banner -loglevel error -y -f lavfi -i "$drawn" -bitexact -map_metadata -1 -pix_fmt yuv420p -g 5 \
    -color_primaries bt709 -color_trc bt709 -colorspace bt709 "${@:2}" "$1"
}
make h264.mp4 -c:v libx264 -preset veryslow -threads 1
make h264-first.mov -c:v libx264 -profile:v baseline -movflags +faststart -threads 1
make hevc.mp4 -c:v libx265 -x265-params log-level=error:pools=1:frame-threads=1 -tag:v hvc1
make hevc-10.mov -c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=error:pools=1:frame-threads=1 -tag:v hvc1
make short.mp4 -c:v libx264 -t 0.5 -threads 1
make fragments.mp4 -c:v libx264 -movflags +frag_keyframe+empty_moov -threads 1
make mpeg4.mp4 -c:v mpeg4
# A video of a phone held upright. This option exists in ffmpeg before version 6.
ffmpeg -hide_banner -loglevel error -y -i h264.mp4 -c copy -bitexact -metadata:s:v:0 rotate=90 turned.mp4
