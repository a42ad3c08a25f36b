#!/usr/bin/env bash
# Packs the program as an archive for one system: dist/tsne-grid-VERSION-TARGET.tar.gz (.zip for Windows) with the
# program, completions, manual page and licences, and a file with its checksum.
# Usage: scripts/release/package.sh [TARGET]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-x86_64-unknown-linux-musl}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=tsne-grid-$version-$target
suffix=
case $target in *windows*) suffix=.exe ;; esac

cargo build --profile dist --locked --bin tsne-grid --target "$target"
program=target/$target/dist/tsne-grid$suffix
scripts/release/licences.py "$target" >target/THIRD-PARTY.txt

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
folder=$staged/$name
mkdir -p "$folder/completions" "$folder/man"
cp "$program" README.md CHANGELOG.md LICENSE LICENSE-MIT LICENSE-APACHE target/THIRD-PARTY.txt "$folder"
"$program" man >"$folder/man/tsne-grid.1"
for shell in bash zsh fish powershell elvish; do "$program" completions "$shell" >"$folder/completions/tsne-grid.$shell"; done

mkdir -p dist
if [ -n "$suffix" ]; then
  archive=$name.zip
  rm -f "dist/$archive"
  (cd "$staged" && python3 -m zipfile -c "$OLDPWD/dist/$archive" "$name")
else
  archive=$name.tar.gz
  # The same commit gives the same archive: sorted names, one time, no owner.
  tar --version | grep -q GNU && same=(--sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)") || same=()
  tar -C "$staged" "${same[@]}" -cf - "$name" | gzip -9n >"dist/$archive"
fi
(cd dist && { command -v sha256sum >/dev/null && sha256sum "$archive" || shasum -a 256 "$archive"; } >"$archive.sha256")
ls -l "dist/$archive" "$program"
