#!/usr/bin/env python3
"""Seconds, memory and quality of t-SNE against the number of points, compared with openTSNE and scikit-learn.

    scripts/measure/tsne_growth.py measure MATRIX.npy WORK WHO [--program FILE] [--rows 1000,...] [--repeat 5]
    scripts/measure/tsne_growth.py table MATRIX.npy WORK OUT

MATRIX.npy has float32 rows; --rows are numbers of its first rows. `measure` appends a line per size to
WORK/tsne-growth.jsonl, and writes the layouts to WORK, so that long measurements can be done one by one. WHO is
openTSNE or scikit-learn, which run in this Python on all cores with our schedule, or any name with --program: a program
that is called like our bench (`cargo bench --bench tsne --no-run` prints its path), `FILE MATRIX.f32 COLUMNS
PLACES.f32`, and prints `… SECONDS s`. `table` judges all layouts and writes OUT/tsne-growth.md and OUT/tsne-growth.svg.
The measures are the same for all: KL divergence of the affinities of exact neighbours with the exact normalisation, and
the recall of the ten nearest neighbours of 2,000 rows.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import numpy as np
from loglog import plot

PERPLEXITY = 30
LOG = "tsne-growth.jsonl"


def open_tsne(points):
    from openTSNE import TSNEEmbedding, affinity, initialization

    cores = os.cpu_count()
    near = affinity.PerplexityBasedNN(points, perplexity=PERPLEXITY, n_jobs=cores, random_state=0)
    how = "fft" if len(points) >= 3000 else "bh"
    start = initialization.pca(points, random_state=0)
    layout = TSNEEmbedding(start, near, n_jobs=cores, negative_gradient_method=how, random_state=0)
    layout.optimize(250, exaggeration=12, inplace=True)
    layout.optimize(500, inplace=True)
    return np.asarray(layout)


def scikit_learn(points):
    from sklearn.manifold import TSNE

    layout = TSNE(perplexity=PERPLEXITY, init="pca", max_iter=750, n_jobs=os.cpu_count(), random_state=0)
    return layout.fit_transform(points)


def timed(layout):
    def run(points):
        started = time.monotonic()
        places = layout(points)
        return places, time.monotonic() - started, None

    return run


def of_program(program):
    def run(points):
        with tempfile.TemporaryDirectory() as folder:
            points.tofile(f"{folder}/matrix.f32")
            command = [program, f"{folder}/matrix.f32", str(points.shape[1]), f"{folder}/places.f32"]
            done = subprocess.run(["/usr/bin/time", "-f", "RSS %M", *command], capture_output=True, text=True, check=True)
            places = np.fromfile(f"{folder}/places.f32", np.float32).reshape(-1, 2)
        megabytes = int(re.search(r"RSS (\d+)", done.stderr)[1]) / 1024
        return places, float(re.search(r"([\d.]+) s", done.stdout)[1]), megabytes

    return run


def measure(given):
    if given.program:
        layout = of_program(given.program)
    else:
        layout = {"openTSNE": open_tsne, "scikit-learn": scikit_learn}[given.who]
        # The time for imports is not measured.
        layout(np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32))
        layout = timed(layout)
    matrix = np.load(given.matrix, mmap_mode="r")
    given.work.mkdir(parents=True, exist_ok=True)
    for rows in map(int, given.rows.split(",")):
        points = np.ascontiguousarray(matrix[:rows], np.float32)
        runs = [layout(points) for _ in range(given.repeat)]
        np.save(given.work / f"{given.who}-{rows}.npy", runs[0][0])
        seconds = sorted(run[1] for run in runs)
        line = {"who": given.who, "rows": rows, "seconds": statistics.median(seconds), "runs": seconds}
        line["megabytes"] = runs[0][2]
        with open(given.work / LOG, "a") as log:
            log.write(json.dumps(line) + "\n")
        print(line, flush=True)


def nearest(points, rows, count):
    """The `count` nearest of each of `rows`, without itself, and their distances; exact up to the rounding of f32."""
    squares = np.einsum("ij,ij->i", points, points)
    index, distance = np.empty((len(rows), count), np.int64), np.empty((len(rows), count))
    for first in range(0, len(rows), 500):
        some = rows[first : first + 500]
        all_squared = squares[some, None] - 2 * points[some] @ points.T + squares
        all_squared[np.arange(len(some)), some] = np.inf
        near = np.argpartition(all_squared, count, axis=1)[:, :count]
        squared = ((points[some, None].astype(np.float64) - points[near]) ** 2).sum(2)
        order = np.argsort(squared, axis=1)
        index[first : first + 500] = np.take_along_axis(near, order, 1)
        distance[first : first + 500] = np.sqrt(np.take_along_axis(squared, order, 1))
    return index, distance


class Yardstick:
    def __init__(self, points):
        from openTSNE import _tsne
        from scipy.sparse import csr_matrix

        n, k = len(points), 3 * PERPLEXITY
        index, distance = nearest(points, np.arange(n), k)
        rows = np.asarray(_tsne.compute_gaussian_perplexity(distance, np.array([float(PERPLEXITY)]), num_threads=1))
        p = csr_matrix((rows.ravel(), index.ravel(), range(0, n * k + 1, k)), shape=(n, n))
        p = ((p + p.T) / (2 * n)).tocoo()
        # Affinities that underflow to zero contribute nothing, and have no logarithm.
        there = p.data > 0
        self.p = p.row[there], p.col[there], p.data[there]
        self.sample = np.random.default_rng(0).choice(n, min(n, 2000), replace=False)
        self.near = index[self.sample, :10]

    def judge(self, places):
        """KL and recall@10."""
        places = np.ascontiguousarray(places, np.float64)
        x, y = (places[:, axis].astype(np.float32) for axis in (0, 1))
        z = -float(len(places))
        for some in np.array_split(np.arange(len(places)), -(-len(places) // 500)):
            squared = (x[some, None] - x) ** 2 + (y[some, None] - y) ** 2
            z += (1 / (1 + squared)).sum(dtype=np.float64)
        row, column, p = self.p
        q = 1 / (1 + ((places[row] - places[column]) ** 2).sum(1)) / z
        found, _ = nearest(places, self.sample, 10)
        hits = [len(set(a) & set(b)) for a, b in zip(found, self.near)]
        return float((p * np.log(p / q)).sum()), sum(hits) / (10 * len(hits))


def table(given):
    lines = [json.loads(line) for line in open(given.work / LOG)]
    latest = {(line["rows"], line["who"]): line for line in lines}
    names = ["ours"] + sorted({who for _, who in latest} - {"ours"})
    matrix = np.load(given.matrix, mmap_mode="r")
    text = ["| points | | seconds | times ours | KL | recall@10 | peak MB |", "|---" * 7 + "|"]
    for rows in sorted({rows for rows, _ in latest}):
        yardstick = Yardstick(np.ascontiguousarray(matrix[:rows], np.float32))
        for who in names:
            if (line := latest.get((rows, who))) is None:
                continue
            kl, recall = yardstick.judge(np.load(given.work / f"{who}-{rows}.npy"))
            ours = latest.get((rows, "ours"), line)["seconds"]
            megabytes = f"{line['megabytes']:.0f}" if line["megabytes"] else ""
            seconds, times = line["seconds"], f"{line['seconds'] / ours:.1f}" if who != "ours" else ""
            text.append(f"| {rows:,} | {who} | {seconds:.3g} | {times} | {kl:.4f} | {recall:.4f} | {megabytes} |")
            print(text[-1], flush=True)
    (given.out / "tsne-growth.md").write_text("\n".join(text) + "\n")
    series = {who: [(rows, latest[rows, who]["seconds"]) for rows, w in latest if w == who] for who in names}
    plot({who: line for who, line in series.items() if len(line) > 1}, given.out / "tsne-growth.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure")
    one.set_defaults(run=measure)
    two = commands.add_parser("table")
    two.set_defaults(run=table)
    for command in (one, two):
        command.add_argument("matrix")
        command.add_argument("work", type=pathlib.Path)
    one.add_argument("who")
    one.add_argument("--program")
    one.add_argument("--rows", default="1000,3000,10000,30000,100000")
    one.add_argument("--repeat", type=int, default=5)
    two.add_argument("out", type=pathlib.Path)
    given = parser.parse_args()
    given.run(given)


main()
