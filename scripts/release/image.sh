#!/usr/bin/env bash
# An image of the static program for both kinds of processors, from the archives in dist/: scripts/release/image.sh NAME [--push].
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
for pair in amd64:x86_64 arm64:aarch64; do
  mkdir "$context/${pair%:*}"
  tar -C "$context/${pair%:*}" --strip-components 1 -xzf "dist/tsne-grid-$version-${pair#*:}-unknown-linux-musl.tar.gz"
done
docker buildx build --platform linux/amd64,linux/arm64 --file scripts/release/Dockerfile --tag "$1:$version" --tag "$1:latest" "${@:2}" "$context"
