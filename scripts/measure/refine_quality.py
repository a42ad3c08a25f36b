#!/usr/bin/env python3
"""Measures what assign.refine gains on real pictures (quality of the grid in feature space) and what it costs
(displacement).

    scripts/measure/refine_quality.py PICTURES WORK GRID_QUALITY.py [--model scattering] [--radii 0,1,2,3]

Runs the built program on PICTURES with the cache in WORK, and calls `GRID_QUALITY.py FEATURES.npy CELLS.npy` with the
model's vectors and the cells (row, column). GRID_QUALITY.py prints the quality, for example DPQ16 and the recall of the
8 nearest. Needs numpy and pyarrow.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import pyarrow.parquet as parquet

PROGRAM = pathlib.Path(__file__).resolve().parent.parent.parent / "target/release/tsne-grid"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("quality")
    parser.add_argument("--model", default="scattering")
    parser.add_argument("--radii", default="0,1,2,3")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    cache = given.work / "cache"
    for radius in given.radii.split(","):
        wall = given.work / f"refined-{radius}.jpg"
        command = [PROGRAM, "--quiet", "--json", "--cache", cache, "run", given.pictures, "--model", given.model]
        done = subprocess.run([*command, "-o", wall, "--refine", radius], check=True, capture_output=True)
        answer = json.loads(done.stdout)
        cells = parquet.read_table(answer["assign"]["path"])
        shards = [parquet.read_table(file) for file in cache.glob("embed/*/*.parquet")]
        vectors = {image: v for t in shards for image, v in zip(t["image"].to_pylist(), t["embedding"].to_numpy())}
        np.save(given.work / "features.npy", np.stack([vectors[image] for image in cells["image"].to_pylist()]))
        np.save(given.work / "cells.npy", np.stack([cells["row"].to_numpy(), cells["col"].to_numpy()], 1).astype(int))
        files = [given.work / "features.npy", given.work / "cells.npy"]
        found = subprocess.run([sys.executable, given.quality, *files], check=True, capture_output=True, text=True)
        print(f"refine {radius}: cost {answer['assign']['facts']['cost']:.4f}, {found.stdout.strip()}", flush=True)


main()
