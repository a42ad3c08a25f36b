#!/usr/bin/env bash
# Runs the stories about files on a file system like those of cameras and memory sticks.
# Usage: scripts/check/disks.sh [exfat|fat], after `cargo test --release --no-run`
# Needs root. For exFAT: a loop device, exfatprogs, FUSE and exfat-fuse. For FAT: dosfstools, and FAT in the kernel or
# a kernel that runs as a program and has it (the package user-mode-linux; kmod loads its modules).
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
story=$(find target/release/deps -name "it-*" -perm -u+x -printf "%T@ %p\n" | sort -n | tail -1 | cut -d " " -f 2)
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

# Boots user-mode Linux with this machine's files as its own, and runs the stories there on the disk.
in_user_mode_linux() {
  local modules
  modules=$(echo /usr/lib/uml/modules/*/kernel/fs)
  cat >"$work/init" <<EOF
#!/bin/bash
export PATH=$PATH HOME=$HOME TMPDIR=$work/disk
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in fat/fat fat/vfat nls/nls_cp437 nls/nls_iso8859-1 nls/nls_ascii; do insmod $modules/\$module.ko; done
mount -t vfat -o utf8 /dev/ubda $work/disk || { echo 1 >$work/status; halt -f; }
cd $PWD
# There, tracing is too slow for a kill at every call, and a browser for its own time limits.
$story --color never ${stories[*]} ${without[*]} --skip killed_at_every --skip a_search_finds
echo \$? >$work/status
umount $work/disk
halt -f
EOF
  chmod +x "$work/init"
  linux.uml quiet mem=6G root=/dev/root rootfstype=hostfs rootflags=/ rw "init=$work/init" "ubda=$work/image" con=null con0=fd:0,fd:1 </dev/null
  return "$(cat "$work/status")"
}

case $kind in
  exfat)
    mkfs.exfat "$work/image" >/dev/null
    loop=$(losetup -f --show "$work/image")
    mount.exfat-fuse "$loop" "$work/disk"
    ;;
  fat)
    mkfs.vfat -F 32 "$work/image" >/dev/null
    if ! mount -o loop,utf8 "$work/image" "$work/disk"; then
      in_user_mode_linux
      exit
    fi
    ;;
esac
TMPDIR=$work/disk "$story" "${stories[@]}" "${without[@]}"
