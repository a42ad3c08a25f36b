#!/usr/bin/env bash
# Runs the stories about files on a file system like those of cameras and memory sticks.
# Usage: scripts/check/disks.sh [exfat|fat], after `cargo test --release --no-run`
# Needs root and a loop device; for exFAT exfatprogs, FUSE and exfat-fuse; for FAT dosfstools and FAT in the kernel.
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=${1:-exfat}
stories=(render_outputs:: columns:: crash:: damage:: duplicates:: exports:: folders:: growth:: incremental:: inputs:: locks:: old_caches::
  preflight:: publish:: saved_request:: tables:: versions:: zips::)
# These stories need links, pipes, names, permissions or files of 15 TB that such a file system does not support (a
# browser's profile has links, too), or expect standard error without the line about what the disk cannot do.
without=()
for what in links pipe what_is_no_file what_is_damaged_stays names_of_any two_hundred traps may_not_be_read markers_that sources_that_are_no_files \
  enormous old_wall a_published_page the_page_counts a_run_says tables_of_older_and_newer; do without+=(--skip "$what"); done
work=$(mktemp -d)
loop=
clean() {
  mountpoint -q "$work/disk" && umount "$work/disk"
  [ -z "$loop" ] || losetup -d "$loop"
  rm -rf "$work"
}
trap clean EXIT
mkdir "$work/disk"
truncate -s 3G "$work/image"
case $kind in
  exfat)
    mkfs.exfat "$work/image" >/dev/null
    loop=$(losetup -f --show "$work/image")
    mount.exfat-fuse "$loop" "$work/disk"
    ;;
  fat)
    mkfs.vfat -F 32 "$work/image" >/dev/null
    mount -o loop "$work/image" "$work/disk"
    ;;
esac
story=$(find target/release/deps -name "it-*" -perm -u+x -printf "%T@ %p\n" | sort -n | tail -1 | cut -d " " -f 2)
TMPDIR=$work/disk "$story" "${stories[@]}" "${without[@]}"
