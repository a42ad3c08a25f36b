#!/usr/bin/env bash
# The stories about files, on a disk as cameras and sticks have it: scripts/disks.sh [exfat|fat]. Needs root and a loop device;
# exfatprogs, FUSE and exfat-fuse for exFAT; dosfstools and a kernel that knows FAT for FAT. `cargo test --release --no-run` first.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-exfat}
stories=(beside:: columns:: crash:: damage:: duplicates:: exports:: folders:: growth:: incremental:: inputs:: locks:: old_caches::
  preflight:: publish:: remembered:: tables:: versions:: zips::)
# They make links, pipes or names that such a disk has not, or take rights away that it does not know.
without=(--skip links --skip pipes --skip what_is_no_file --skip what_is_damaged_stays --skip names_of_any --skip two_hundred)
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
story=$(find target/release/deps -name 'it-*' -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d ' ' -f 2)
TMPDIR=$work/disk "$story" "${stories[@]}" "${without[@]}"
