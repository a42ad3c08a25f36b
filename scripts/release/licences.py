#!/usr/bin/env python3
"""Prints the licences of everything that is linked into the program.

    scripts/release/licences.py [TARGET]

For each crate: its version, its licence, and the licence text in the crate, if there is one. A text that several crates
have is printed once. Needs cargo.
"""

import collections
import json
import pathlib
import subprocess
import sys

NAMES = ("license", "licence", "copying", "notice", "unlicense", "copyright")


def main():
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    if len(sys.argv) > 1:
        command += ["--filter-platform", sys.argv[1]]
    metadata = json.loads(subprocess.check_output(command))
    linked, waiting = set(), [metadata["resolve"]["root"]]
    dependencies = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    while waiting:
        crate = waiting.pop()
        if crate in linked:
            continue
        linked.add(crate)
        waiting += [d["pkg"] for d in dependencies[crate] if any(kind["kind"] is None for kind in d["dep_kinds"])]
    linked.discard(metadata["resolve"]["root"])

    users, texts = collections.defaultdict(list), {}
    print("tsne-grid contains the following crates. Their sources are at https://crates.io.\n")
    for package in sorted(metadata["packages"], key=lambda package: package["name"]):
        if package["id"] not in linked:
            continue
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see its licence file'}")
        folder = pathlib.Path(package["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.lower().startswith(NAMES):
                text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
                # Texts that differ only in white space count as one.
                text = texts.setdefault(" ".join(text.split()), text)
                users[text].append(name)
    for text, names in sorted(users.items(), key=lambda pair: pair[1]):
        print(f"\n{'=' * 78}\nOf {', '.join(dict.fromkeys(names))}:\n\n{text}")


main()
