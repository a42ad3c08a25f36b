#!/usr/bin/env bash
# Simulates power cuts. The cache is on a file system in a file, which is copied while stages run. A copy has what had
# reached the disk by then, and nothing that was still in memory. The copy is mounted (which replays the journal) and
# checked: everything that a stage had reported as done has to be there and intact, and the run has to continue from
# there. The last stage is a run with a page: the run after the cut has to restore every file of the page.
# Usage: scripts/soak/power_cut.sh [CUTS]
# Needs Linux, root, a loop device and mkfs.ext4.
set -euo pipefail
cuts=${1:-30}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${TSNE_GRID_BIN:-$root/target/release/tsne-grid}
work=$(mktemp -d)
mkdir "$work/disk" "$work/copy"
cleanup() {
  umount -l "$work/disk" "$work/copy" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
"$bin" sample photos --images 150 -q >/dev/null
stages=(embed project assign render run)

# Runs one stage after the other; each prints the path of its table when it is done.
stages_in_a_row() {
  for stage in "${stages[@]}"; do
    local output=()
    [ "$stage" != run ] || output=(-o disk/wall.png)
    "$bin" "$stage" photos --model scattering --cache disk/cache "${output[@]}" -q >>done.txt 2>>errors.txt || return 0
  done
}

# First without a cut: how long all stages take, and the page that they write.
truncate -s 48M disk.img
mkfs.ext4 -q -F disk.img
mount -o loop disk.img disk
began=$(date +%s%N)
stages_in_a_row
span=$((($(date +%s%N) - began) / 1000000 * 13 / 10))
cp -r disk/explorer-wall page
umount disk

lost=0 torn=0 reported=0 whole=0 pages=0 bad=0
for ((cut = 1; cut <= cuts; cut++)); do
  rm -f disk.img copy.img again.img done.txt errors.txt
  truncate -s 48M disk.img
  mkfs.ext4 -q -F disk.img
  mount -o loop disk.img disk
  : >done.txt
  stages_in_a_row &
  row=$!
  # Cuts are spread evenly over that time; the last ones are after the end.
  moment=$((span * cut / cuts))
  sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
  program=$(pgrep -P "$row" -x tsne-grid || true)
  [ -z "$program" ] || kill -STOP "$program" 2>/dev/null || true
  cp done.txt reported.txt
  # The kernel may write during the copy: a copy counts only if a second one is equal.
  cp disk.img copy.img
  until cp disk.img again.img && cmp -s copy.img again.img; do mv again.img copy.img; done
  [ -z "$program" ] || kill -KILL "$program" 2>/dev/null || true
  wait "$row" || true
  umount disk
  mount -o loop copy.img copy
  while read -r path; do
    reported=$((reported + 1))
    [ -s "copy/${path#disk/}" ] || { lost=$((lost + 1)); echo "cut $cut: $path was reported and is gone"; }
  done <reported.txt
  [ "$(wc -l <reported.txt)" -lt 5 ] || whole=$((whole + 1))
  # Thumbnails are cheap to make again and are not synced: a damaged one is allowed, if it is noticed.
  "$bin" verify --cache copy/cache >/dev/null 2>verify.txt || true
  if grep 'was damaged' verify.txt | grep -v /thumbs/; then torn=$((torn + 1)); fi
  [ ! -e copy/explorer-wall/index.html ] || pages=$((pages + 1))
  "$bin" run photos --model scattering --cache copy/cache -o copy/wall.png -q >/dev/null 2>>errors.txt
  diff -rq page copy/explorer-wall || { bad=$((bad + 1)); echo "cut $cut: the page is not whole"; }
  "$bin" verify --cache copy/cache >/dev/null
  umount copy
done
echo "$cuts power cuts ($whole after everything, $pages with a page): $reported results had been reported, $lost of them were" \
  "lost; $torn caches had a damaged file; $bad pages stayed torn"
[ $((lost + torn + bad)) -eq 0 ]
