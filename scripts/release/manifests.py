#!/usr/bin/env python3
"""Writes the Homebrew formula and the winget manifests of a release.

    scripts/release/manifests.py DIST

DIST has the archives of all systems with their checksums, as scripts/release/package.sh writes them. Writes
DIST/tsne-grid.rb and DIST/TsneGrid.TsneGrid*.yaml.
"""

import pathlib
import sys
import tomllib

NAME = "TsneGrid.TsneGrid"
SCHEMA = "1.6.0"
FORMULA = """\
class TsneGrid < Formula
  desc "Arrange pictures on a grid, similar ones next to each other"
  homepage "{homepage}"
  version "{version}"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "{url[aarch64-apple-darwin]}"
      sha256 "{sha256[aarch64-apple-darwin]}"
    end
    on_intel do
      url "{url[x86_64-apple-darwin]}"
      sha256 "{sha256[x86_64-apple-darwin]}"
    end
  end

  on_linux do
    on_arm do
      url "{url[aarch64-unknown-linux-musl]}"
      sha256 "{sha256[aarch64-unknown-linux-musl]}"
    end
    on_intel do
      url "{url[x86_64-unknown-linux-musl]}"
      sha256 "{sha256[x86_64-unknown-linux-musl]}"
    end
  end

  def install
    bin.install "tsne-grid"
    man1.install "man/tsne-grid.1"
    bash_completion.install "completions/tsne-grid.bash" => "tsne-grid"
    zsh_completion.install "completions/tsne-grid.zsh" => "_tsne-grid"
    fish_completion.install "completions/tsne-grid.fish"
  end

  test do
    system bin/"tsne-grid", "demo", testpath/"demo"
    assert_path_exists testpath/"demo/grid.jpg"
  end
end
"""
VERSION = """\
PackageIdentifier: {name}
PackageVersion: {version}
DefaultLocale: en-US
ManifestType: version
ManifestVersion: {schema}
"""
INSTALLER = """\
PackageIdentifier: {name}
PackageVersion: {version}
InstallerType: zip
NestedInstallerType: portable
NestedInstallerFiles:
  - RelativeFilePath: tsne-grid-{version}-x86_64-pc-windows-msvc\\tsne-grid.exe
    PortableCommandAlias: tsne-grid
Installers:
  - Architecture: x64
    InstallerUrl: {url[x86_64-pc-windows-msvc]}
    InstallerSha256: {upper}
ManifestType: installer
ManifestVersion: {schema}
"""
LOCALE = """\
PackageIdentifier: {name}
PackageVersion: {version}
PackageLocale: en-US
Publisher: The tsne-grid authors
PackageName: tsne-grid
PackageUrl: {homepage}
License: MIT OR Apache-2.0
ShortDescription: Arranges pictures on a grid by similarity
ManifestType: defaultLocale
ManifestVersion: {schema}
"""


def main():
    dist = pathlib.Path(sys.argv[1])
    package = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["package"]
    version, home = package["version"], package["repository"]
    url, sha256 = {}, {}
    for file in sorted(dist.glob(f"tsne-grid-{version}-*.sha256")):
        digest, archive = file.read_text().split()
        target = archive.removeprefix(f"tsne-grid-{version}-").removesuffix(".tar.gz").removesuffix(".zip")
        url[target], sha256[target] = f"{home}/releases/download/v{version}/{archive}", digest
    upper = sha256["x86_64-pc-windows-msvc"].upper()
    fields = dict(name=NAME, version=version, homepage=home, schema=SCHEMA, url=url, sha256=sha256, upper=upper)
    for name, text in [("tsne-grid.rb", FORMULA), (f"{NAME}.yaml", VERSION), (f"{NAME}.installer.yaml", INSTALLER),
                       (f"{NAME}.locale.en-US.yaml", LOCALE)]:
        (dist / name).write_text(text.format_map(fields))
        print(dist / name)


main()
