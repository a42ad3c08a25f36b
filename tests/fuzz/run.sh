#!/usr/bin/env bash
# Fuzzes the readers of exports and tables, of dates, or of pictures.
# Usage: tests/fuzz/run.sh exports|dates|decode [SECONDS]    default: 600
# Works with stable Rust. Only tsne-grid and the fuzz target are instrumented. The corpus is stored in
# tests/fuzz/corpus/, inputs that fail in tests/fuzz/artifacts/.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?exports, dates or decode}
mkdir -p corpus/exports corpus/dates corpus/decode artifacts
sample() { printf '%b' "$2" > "corpus/exports/seed-$1"; }
sample g1 '\x00{"photos":[{"caption":"\\u00c3\\u00b6","taken_at":"2019-03-01T12:00:00","path":"photos/201903/a.jpg"}],"direct":[{"path":"x"}]}'
sample g2 '\x01[{"media":[{"uri":"media/posts/a.jpg","creation_timestamp":5,"title":"x"}]},{"title":"t","creation_timestamp":9,"media":[{"uri":"b.jpg"},{"uri":"c.mp4","thumbnail":{"uri":"d.jpg"}}]}]'
sample g4 '\x01{"ig_stories":[{"uri":"media/stories/a.jpg","creation_timestamp":5,"title":""}],"more":{"a":[1.5e3,null,true]}}'
sample g5 '\x02[{"timestamp":9,"media":[],"label_values":[{"label":"Caption","value":"v"},{"label":"M","media":[{"uri":"a.jpg"}]}]}]'
sample instaloader '\x03{"node":{"taken_at_timestamp":5,"edge_media_to_caption":{"edges":[{"node":{"text":"hi"}}]}},"instaloader":{"node_type":"StoryItem"}}'
sample json '\x05[{"path":"a/1.jpg","caption":"x","taken_at":1551398400,"kind":"story","post":"p","carousel_index":1}]'
sample csv '\x07path;caption;taken_at\na.jpg;"x; ""y""";2024-12-31T18:00:00+01:00\n'
date() { printf '%b' "$2" > "corpus/dates/seed-$1"; }
date camera '\x00IMG_20190721_230630.jpg'
date google '\x00PXL_20210101_123456789.jpg'
date program '\x00Screenshot 2024-05-06 at 7.08.09 PM.png'
date telegram '\x00photo_1@06-05-2024_07-08-09.jpg'
date burst '\x00000IMG_00000_BURST20190721230630123_COVER.jpg'
date xmp "\\x01<a exif:DateTimeOriginal='2024-05-06T07:08:09.5+02:00'><photoshop:DateCreated>2024-05-06</photoshop:DateCreated></a>"
exif='\x2a\x00\x08\x00\x00\x00\x02\x00\x32\x01\x02\x00\x14\x00\x00\x00\x4a\x00\x00\x00\x69\x87\x04\x00\x01\x00\x00\x00\x26\x00\x00\x00\x00\x00\x00\x00'
exif+='\x02\x00\x03\x90\x02\x00\x14\x00\x00\x00\x4a\x00\x00\x00\x11\x90\x02\x00\x07\x00\x00\x00\x5e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x002024:05:06 07:08:09\x00+02:00\x00'
date tiff "\\x02II$exif"
date jpeg "\\x03II$exif"
date segments "\\x04II$exif"
# A picture of 3 x 2 pixels in each format.
picture() { base64 -d <<< "$2" > "corpus/decode/seed-$1"; }
picture png iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAQMAAACnuvRZAAAABlBMVEX/AAAAAP9sof2OAAAADElEQVQIW2NgYHgAAADkAOEHFmAjAAAAAElFTkSuQmCC
picture gif R0lGODlhAwACAPAAAP8AAAAA/yH5BAAAAAAALAAAAAADAAIAAAIDhIMFADs=
picture webp UklGRjoAAABXRUJQVlA4IC4AAADwAQCdASoDAAIAAsBMJaACdLoAAwkG+4AA/vWjIsNov4oLhFi3v4czrtKjAAAA
picture bmp Qk2iAAAAAAAAAIoAAAB8AAAAAwAAAAIAAAABABgAAAAAABgAAAAAAAAAAAAAAAAAAAAAAAAAAAD/AAD/AAD/AAAAAAAA/0JHUnMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAA/wAA/wAA/wAAAAAAAAD/AAD/AAD/AAAA
picture jpg /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAACAAMDAREAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAABf/EABgQAAIDAAAAAAAAAAAAAAAAAAACElKR/8QAFQEBAQAAAAAAAAAAAAAAAAAAAQX/xAAaEQABBQEAAAAAAAAAAAAAAAABAAMTUpEU/9oADAMBAAIRAxEAPwAOb2bS9zs0GBE7tjq//9k=
# The golden pictures and videos of the tests are seeds too.
cp ../it/golden/{heic,films,jpeg,jxl}/* corpus/decode/
export RUSTC_WRAPPER="$PWD/instrument.sh"
cargo build --release
exec "${CARGO_TARGET_DIR:-target}/release/$target" -max_total_time="${2:-600}" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix=artifacts/ "corpus/$target"
