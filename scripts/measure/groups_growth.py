#!/usr/bin/env python3
"""Measures how many groups keep their names while a collection grows.

    scripts/measure/groups_growth.py PICTURES WORK [START [ADD [STEPS]]]

From a folder of pictures, in the order of the digests of their names, START (1000) are laid out with
efficientnet-lite0, then ADD (20) more, STEPS (5) times. After each step it prints two shares: of the groups that had a
name, those for which the group of this number still has that name; and of the pictures, those in a group of the same
name as before. WORK is a new folder. Needs pandas, pyarrow, and a built program (or TSNE_GRID_BIN).
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

PROGRAM = os.environ.get("TSNE_GRID_BIN", Path(__file__).resolve().parent.parent.parent / "target/release/tsne-grid")


def groups(work):
    flags = ["--quiet", "--json", "--cache", work / "cache", "run", work / "in", "--model", "efficientnet-lite0", "--page=false", "-o", work / "wall.jpg"]
    answer = json.loads(subprocess.run([PROGRAM, *flags], check=True, capture_output=True, text=True).stdout)
    return pd.read_parquet(answer["groups"]["path"])


def main():
    pictures, work = map(Path, sys.argv[1:3])
    start, add, steps = [int(number) for number in sys.argv[3:]] + [1000, 20, 5][len(sys.argv) - 3:]
    (work / "in").mkdir(parents=True)
    files = sorted(pictures.iterdir(), key=lambda file: hashlib.sha256(file.name.encode()).hexdigest())
    put = lambda some: [os.link(file, work / "in" / file.name) for file in some]
    put(files[:start])
    before = groups(work)
    for step in range(steps):
        put(files[start + step * add:start + (step + 1) * add])
        now = groups(work)
        for level in sorted(before.level.unique()):
            old, new = before[before.level == level], now[now.level == level]
            names = [of.dropna(subset="name").drop_duplicates("group").set_index("group")["name"] for of in (old, new)]
            kept = sum(names[1].get(group) == name for group, name in names[0].items())
            both = old.merge(new, on="image").dropna(subset="name_x")
            print(f"{start + step * add} + {add}, level {level}: {kept} of {len(names[0])} names kept ({kept / len(names[0]):.3f}); "
                  f"{(both.name_x == both.name_y).mean():.3f} of the pictures are in a group of the same name")
        before = now


main()
