#!/usr/bin/env bash
# Builds a container image of the static program from the archives in dist/.
# Usage: scripts/release/image.sh NAME [--push]    for x86-64 and ARM, with docker
#        scripts/release/image.sh --try            for this machine's CPU, with buildah; draws the demo offline
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
unpack() {
  mkdir "$context/$1"
  tar -C "$context/$1" --strip-components 1 -xzf "dist/tsne-grid-$version-$2-unknown-linux-musl.tar.gz"
}

if [ "$1" != --try ]; then
  unpack amd64 x86_64
  unpack arm64 aarch64
  docker buildx build --platform linux/amd64,linux/arm64 --file scripts/release/Dockerfile --tag "$1:$version" --tag "$1:latest" "${@:2}" "$context"
  exit
fi
machine=$(uname -m)
case $machine in x86_64) kind=amd64 ;; aarch64) kind=arm64 ;; esac
unpack "$kind" "$machine"
build() { buildah --root "$context/images" --runroot "$context/run" --storage-driver vfs "$@"; }
image=$(build bud --quiet --platform "linux/$kind" --file scripts/release/Dockerfile "$context")
box=$(build from "$image")
root=$(build mount "$box")
[ "$(build inspect --format '{{.OCIv1.Config.Entrypoint}}' "$box")" = "[/tsne-grid]" ]
mkdir -p "$root/proc" "$root/tmp"
alone=(unshare --user --map-root-user --net)
"${alone[@]}" true 2>/dev/null || alone=()
"${alone[@]}" chroot "$root" /tsne-grid demo /work/demo
[ -s "$root/work/demo/grid.jpg" ]
echo "OK: image: $(du -sk --apparent-size "$root/tsne-grid" | cut -f 1) kB program, demo drawn"
build umount "$box" >/dev/null
