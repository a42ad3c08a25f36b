#!/usr/bin/env bash
# Tries built files like a new user: a wheel in a fresh virtual environment, an archive in an empty root folder, both
# without network if the system allows that.
# Usage: scripts/release/try.sh FILE…    wheels and archives for this machine's kind of CPU
set -euo pipefail
alone=(unshare --user --map-root-user --net)
"${alone[@]}" true 2>/dev/null || { alone=() && echo "NOT CHECKED: that no network is needed (it cannot be taken away here)"; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for file in "$@"; do
  case $file in
    *.whl)
      python3 -m venv "$place/v"
      "$place/v/bin/pip" install --quiet --no-index --force-reinstall "$file"
      began=$SECONDS
      (cd "$place" && "${alone[@]}" "$place/v/bin/tsne-grid" demo wheel)
      demo=$place/wheel
      ;;
    *.tar.gz)
      root=$place/root
      mkdir -p "$root/proc" "$root/tmp"
      tar -C "$root" --strip-components 1 -xzf "$file"
      for part in LICENSE THIRD-PARTY.txt man/tsne-grid.1 completions/tsne-grid.bash; do [ -s "$root/$part" ]; done
      began=$SECONDS
      "${alone[@]}" chroot "$root" /tsne-grid demo demo
      demo=$root/demo
      ;;
    *) continue ;;
  esac
  [ -s "$demo/grid.jpg" ] && [ -s "$demo/explorer/index.html" ]
  echo "OK: $(basename "$file"): $(($(stat -c %s "$file") / 1000)) kB, demo in $((SECONDS - began)) s"
done
