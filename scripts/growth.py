#!/usr/bin/env python3
"""How much of the wall stays when a collection grows: by default 1,000 pictures, then 20 more, then 200 more.

    scripts/growth.py PICTURES WORK [--steps 1000,20,200] [FLAG...]

PICTURES is a folder with enough pictures, WORK an empty folder; other flags go to every run (such as --stay 20). A
negative step takes pictures away. Prints, for each step, the share of tiles that kept their cell, how far an old picture
moved in the plane (relative to the mean distance from the middle), recall@10 and seconds beside those of a fresh layout;
and checks that a second run changes nothing. Pictures of the wall stay in WORK. Needs pyarrow; the program has to be built.
"""

import argparse
import json
import math
import pathlib
import random
import shutil
import subprocess
import time

import pyarrow.parquet as parquet

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target/release/tsne-grid"


def program(work, command, *flags):
    flags = ["--quiet", "--json", "--cache", work / "cache", command, work / "in", "--model", "scattering", *flags]
    done = subprocess.run([PROGRAM, *flags], check=command != "status", capture_output=True, text=True)
    return json.loads(done.stdout)


def timed(work, *flags):
    started = time.monotonic()
    return program(work, "run", *flags), time.monotonic() - started


def spread(answer):
    """The mean distance of a point from the middle of the layout."""
    table = parquet.read_table(answer["project"]["path"])
    xy = list(zip(table["x"].to_pylist(), table["y"].to_pylist()))
    middle = [sum(p[axis] for p in xy) / len(xy) for axis in (0, 1)]
    return sum(math.dist(p, middle) for p in xy) / len(xy)


def change(work, files, there, step):
    """Adds `step` of the files that are not there, or takes the oldest away."""
    if step < 0:
        for file in there[:-step]:
            (work / "in" / file.name).unlink()
        del there[:-step]
    for _ in range(step):
        there.append(files.pop())
        shutil.copy(there[-1], work / "in")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", default="1000,20,200")
    given, flags = parser.parse_known_args()
    work = given.work
    (work / "in").mkdir(parents=True)
    files = sorted(given.pictures.iterdir())
    random.Random(1).shuffle(files)
    there = []
    print("| pictures | grid | kept | mean move | recall@10, fresh | seconds, fresh | cost, fresh |\n" + "|---" * 7 + "|")
    for number, step in enumerate(map(int, given.steps.split(","))):
        change(work, files, there, step)
        # Embedding is not in the figures.
        program(work, "embed")
        wall = work / f"{number}-{len(there)}.jpg"
        grown, seconds = timed(work, "-o", wall, *flags)
        project, assign = grown["project"]["facts"], grown["assign"]["facts"]
        again, _ = timed(work, "-o", wall, *flags)
        assert all(again[stage]["path"] == grown[stage]["path"] for stage in ("project", "assign", "render"))
        line = f"| {len(there):,} ({step:+}) | {assign['grid']} |"
        if "grown_from" in project:
            fresh, fresh_seconds = timed(work, "-o", work / f"{number}-{len(there)}-fresh.jpg", "--init", "pca", *flags)
            # The last run is again the grown one, which the next step goes on from.
            timed(work, "-o", wall, *flags)
            kept = f"{100 * assign['kept']:.1f} %" if "kept" in assign else "new shape"
            move = project["mean_move"] / spread(grown)
            theirs = fresh["project"]["facts"]["recall_at_10"], fresh_seconds, fresh["assign"]["facts"]["cost"]
            line += f" {kept} | {100 * move:.2f} % | {project['recall_at_10']:.3f}, {theirs[0]:.3f} |"
            line += f" {seconds:.2f}, {theirs[1]:.2f} | {assign['cost']:.2f}, {theirs[2]:.2f} |"
        else:
            line += f" | | {project['recall_at_10']:.3f} | {seconds:.2f} | {assign['cost']:.2f} |"
        print(line, flush=True)


main()
