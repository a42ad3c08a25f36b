#!/usr/bin/env python3
"""How many groups keep their names when a collection grows.

usage: groups_growth.py PICTURES WORK [START [ADD [STEPS]]]

Of a folder of pictures START (1000) in the order of the digests of their names are laid out with efficientnet-lite0, then ADD (20) more,
STEPS (5) times. After each step: of the groups that had a name, which share has a group of their number with that name still; and which share of the
pictures is in a group of the same name as before. WORK is a new folder. Needs pandas and pyarrow; TSNE_GRID_BIN is the program, or target/release/tsne-grid.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

PROGRAM = os.environ.get("TSNE_GRID_BIN", Path(__file__).resolve().parent.parent / "target/release/tsne-grid")


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
