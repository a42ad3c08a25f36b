#!/usr/bin/env python3
"""Measures the precision and recall of `duplicates`, and of perceptual hashes, on the set of duplicates_set.py.

    tsne-grid duplicates --json | scripts/measure/duplicates.py SET

Both are counted over pairs of files: pairs in one set, and pairs that are the same shot. The hash is that of czkawka
(the signs of the differences of neighbouring pixels of a small picture; the distance is the number of signs that
differ), of 8 and of 16 pixels. At each of czkawka's presets, two files are a pair if their distance is at most that of
the preset. Needs Pillow and imagehash.
"""

import itertools
import json
import sys
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

# czkawka's presets from very high to minimal similarity, for hashes of 8 and of 16.
PRESETS = {8: [1, 2, 5, 7, 14, 20], 16: [2, 5, 15, 30, 40]}


def pairs(sets):
    return {pair for names in sets for pair in itertools.combinations(sorted(names), 2)}


def show(what, found, true):
    right = len(found & true)
    others = {}
    for pair in found - true:
        made = [name.rsplit("--other-", 1)[1][:-4] for name in pair if "--other-" in name]
        kind = made[0] if made and pair[0].split("--")[0] == pair[1].split("--")[0] else "another photograph"
        others[kind] = others.get(kind, 0) + 1
    lost = {}
    for pair in true - found:
        kind = " ".join(sorted(name.rsplit("--same-", 1)[1][:-4] for name in pair))
        lost[kind] = lost.get(kind, 0) + 1
    print(f"{what}: precision {right / max(1, len(found)):.4f}, recall {right / len(true):.4f}; wrong {others}; lost {lost}")


def main():
    files = sorted(Path(sys.argv[1]).iterdir())
    shots = {}
    for file in files:
        if "--same-" in file.name:
            shots.setdefault(file.name.split("--")[0], []).append(file.name)
    true = pairs(shots.values())
    said = json.load(sys.stdin)["sets"]
    show("tsne-grid", pairs([copy["path"] for copy in copies] for copies in said), true)
    best = [copies[0]["path"].rsplit("--", 1)[1][:-4] for copies in said]
    print("  best of its set:", {kind: best.count(kind) for kind in sorted(set(best))})
    pictures = [Image.open(file).convert("RGB") for file in files]
    for size, presets in PRESETS.items():
        hashes = np.array([imagehash.dhash(picture, hash_size=size).hash.ravel() for picture in pictures])
        apart = np.array([(hashes != one).sum(axis=1) for one in hashes])
        for preset in presets:
            rows, columns = np.nonzero(np.triu(apart <= preset, 1))
            show(f"hash of {size}, at most {preset}", {(files[a].name, files[b].name) for a, b in zip(rows, columns)}, true)


main()
