#!/usr/bin/env bash
# The stories about files, on a disk as cameras and sticks have it: scripts/disks.sh [exfat|fat]. Needs root and a loop device;
# exfatprogs, FUSE and exfat-fuse for exFAT; dosfstools and a kernel that knows FAT for FAT. `cargo test --release --no-run` first.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-exfat}
stories=(beside:: columns:: crash:: damage:: duplicates:: exports:: folders:: growth:: incremental:: inputs:: locks:: old_caches::
  preflight:: publish:: remembered:: tables:: versions:: zips::)
# These make links, pipes, names, rights or files of 15 TB that such a disk has not (a browser's profile has links, too), or want
# standard error without the line that says what the disk has not.
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
