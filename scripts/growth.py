#!/usr/bin/env python3
"""How much of the wall stays when a collection grows: 1,000 pictures, then 20 more, then 200 more.

    scripts/growth.py PICTURES WORK [FLAG...]

PICTURES is a folder with at least 1,220 pictures, WORK an empty folder; flags go to every run (such as --stay 20).
Prints, for each step, the share of tiles that kept their cell, how far an old picture moved in the plane (relative
to the mean distance from the middle), recall@10 and seconds beside those of a fresh layout. The pictures of the
wall stay in WORK. Needs pyarrow; the program has to be built.
"""

import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pyarrow.parquet as parquet

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target/release/tsne-grid"


def run(work, *flags):
    started = time.monotonic()
    command = [PROGRAM, "--quiet", "--json", "--cache", work / "cache", "run", work / "in", "--model", "scattering"]
    answer = subprocess.run([*command, *flags], check=True, capture_output=True).stdout
    return json.loads(answer), time.monotonic() - started


def spread(answer):
    """The mean distance of a point from the middle of the layout."""
    table = parquet.read_table(answer["project"]["path"])
    xy = list(zip(table["x"].to_pylist(), table["y"].to_pylist()))
    middle = [sum(p[axis] for p in xy) / len(xy) for axis in (0, 1)]
    return sum(math.dist(p, middle) for p in xy) / len(xy)


def main():
    pictures, work, *flags = sys.argv[1:]
    work = pathlib.Path(work)
    (work / "in").mkdir(parents=True)
    files = sorted(pathlib.Path(pictures).iterdir())
    random.Random(1).shuffle(files)
    total = 0
    for more in (1000, 20, 200):
        for file in files[total:total + more]:
            shutil.copy(file, work / "in")
        total += more
        run(work, "-o", work / "embedded.png", "--perplexity", "5")  # so that embedding is not in the figures
        grown, seconds = run(work, "-o", work / f"{total}.jpg", *flags)
        recall = grown["project"]["facts"]["recall_at_10"]
        line = f"{total}: {grown['assign']['facts']['grid']}, recall@10 {recall:.3f}, {seconds:.2f} s"
        if "kept" in grown["assign"]["facts"]:
            fresh, fresh_seconds = run(work, "-o", work / f"{total}-fresh.jpg", "--init", "pca", *flags)
            move = grown["project"]["facts"]["mean_move"] / spread(grown)
            kept = grown["assign"]["facts"]["kept"]
            cost, fresh_cost = (a["assign"]["facts"]["cost"] for a in (grown, fresh))
            line += (f"; kept {100 * kept:.1f} %, an old picture moved {100 * move:.2f} % of the layout's radius;"
                     f" fresh: recall@10 {fresh['project']['facts']['recall_at_10']:.3f}, {fresh_seconds:.2f} s;"
                     f" cost {cost:.2f} against {fresh_cost:.2f}")
        print(line, flush=True)


main()
