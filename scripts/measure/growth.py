#!/usr/bin/env python3
"""Measures how a grid grows: by default with 260 pictures, then 40 more.

    scripts/measure/growth.py PICTURES WORK [--steps 260,40] [--seed 1] [--fresh 1] [--model scattering] [FLAG...]

PICTURES is a folder with enough pictures, WORK an empty folder; other flags are passed to every run (such as --stay 1).
A step `20-5` adds 20 pictures and removes the 5 oldest; `20-5x30` does that 30 times. After every step, or every
`--fresh`-th, the grown grid is compared with a fresh one of the same pictures by three measures: the distance, in
cells, of a picture from the five that are most similar by their vectors (new and old pictures separately); the share of
old pictures that moved by more than three columns or rows; and the share of pairs that were side by side and are within
two cells of each other. A second run must change nothing. The drawn grids stay in WORK. Needs numpy, pyarrow and a
built program.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import numpy as np
import pyarrow.parquet as parquet

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("TSNE_GRID_BIN", ROOT / "target/release/tsne-grid")
LIKES = 5


def program(work, command, *flags):
    flags = ["--quiet", "--json", "--cache", work / "cache", command, work / "in", *flags]
    done = subprocess.run([PROGRAM, *flags], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def rows(answer, stage):
    return parquet.read_table(answer[stage]["path"]).to_pylist()


def wall(work, name, *flags):
    """Draws a grid; returns its cells by picture, its findings, and the seconds it took without embedding."""
    started = time.monotonic()
    answer = program(work, "run", "-o", work / f"{name}.jpg", "--cell", "48", *flags)
    seconds = time.monotonic() - started
    cells = {row["image"]: np.array([row["col"], row["row"]]) for row in rows(answer, "assign")}
    return cells, answer["assign"]["facts"], seconds


def likes(work, images):
    """The most similar pictures of each, by the vectors in the cache."""
    vectors = {}
    for path in (work / "cache/embed").glob("*/*.parquet"):
        table = parquet.read_table(path)
        if "embedding" in table.column_names:
            vectors |= dict(zip(table["image"].to_pylist(), table["embedding"].to_pylist()))
    names = sorted(images)
    all_of_them = np.array([vectors[name] for name in names])
    squares = (all_of_them**2).sum(1)
    apart = squares[:, None] + squares[None] - 2 * all_of_them @ all_of_them.T
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, 1)[:, :LIKES]
    return {name: [names[other] for other in nearest[i]] for i, name in enumerate(names)}


def to_likes(cells, alike, images):
    return np.mean([np.linalg.norm(cells[a] - cells[b]) for a in images for b in alike[a]]) if images else float("nan")


def moved_far(before, cells):
    return np.mean([abs(cells[name] - before[name]).max() > 3 for name in before if name in cells])


def still_near(before, cells):
    """Share of the pairs that were side by side and are within two cells of each other."""
    at = {tuple(cell): name for name, cell in before.items() if name in cells}
    pairs = [(at[x, y], at[right, below]) for x, y in at for right, below in ((x + 1, y), (x, y + 1)) if (right, below) in at]
    return np.mean([abs(cells[a] - cells[b]).max() <= 2 for a, b in pairs])


def parsed(steps):
    for step in steps.split(","):
        add, remove, times = re.fullmatch(r"(\d+)(?:-(\d+))?(?:x(\d+))?", step).groups()
        yield from [(int(add), int(remove or 0))] * int(times or 1)


def beside(walls, out, height=420, gap=12):
    """Joins pictures side by side, scaled to one height."""
    from PIL import Image

    shown = [Image.open(wall) for wall in walls]
    shown = [wall.resize((round(wall.width * height / wall.height), height), Image.Resampling.LANCZOS) for wall in shown]
    joined = Image.new("RGB", (sum(wall.width + gap for wall in shown) - gap, height), "white")
    left = 0
    for wall in shown:
        joined.paste(wall, (left, 0))
        left += wall.width + gap
    joined.save(out, quality=85)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", default="260,40")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", type=int, default=1)
    parser.add_argument("--model", default="scattering")
    parser.add_argument("--beside", type=pathlib.Path, help="a picture of every tenth wall, side by side (needs Pillow)")
    given, flags = parser.parse_known_args()
    flags += ["--model", given.model]
    work, steps = given.work, list(parsed(given.steps))
    (work / "in").mkdir(parents=True)
    files = sorted(given.pictures.iterdir())
    random.Random(given.seed).shuffle(files)
    there, before, worst, names = [], {}, 0.0, []
    print("| pictures | grid, fresh | new to alike, fresh | old, fresh | side by side | moved far | seconds |")
    print("|---" * 7 + "|")
    for number, (add, remove) in enumerate(steps):
        for file in there[:remove]:
            (work / "in" / file.name).unlink()
        there = there[remove:] + files[:add]
        for file in files[:add]:
            shutil.copy(file, work / "in")
        files = files[add:]
        program(work, "embed", "--model", given.model)
        name = f"{number:02}-{len(there)}"
        names.append(name)
        cells, facts, seconds = wall(work, name, *flags)
        again, _, _ = wall(work, name, *flags)
        assert all((again[image] == cells[image]).all() for image in cells), "a second run changes nothing"
        old = [image for image in cells if image in before]
        new = [image for image in cells if image not in before]
        if old:
            far = moved_far(before, cells)
            worst = max(worst, far)
            line = f"| {len(cells):,} (+{add} -{remove}) | {facts['grid']}"
            if number % given.fresh == 0 or number == len(steps) - 1:
                fresh, theirs, _ = wall(work, name + "-fresh", "--relayout", "--cache", work / "cache-fresh", *flags)
                alike = likes(work, cells)
                line += f", {theirs['grid']}"
                for group in (new, old):
                    grown, other = to_likes(cells, alike, group), to_likes(fresh, alike, group)
                    line += f" | {grown:.2f}, {other:.2f} ({grown / other:.2f})"
            else:
                line += " | | "
            print(f"{line} | {still_near(before, cells):.3f} | {100 * far:.1f} % | {seconds:.2f} |", flush=True)
        before = cells
    if given.beside:
        beside([work / f"{name}.jpg" for name in names[::10]], given.beside)
    print(f"\nin the worst step {100 * worst:.1f} % of the old pictures moved by more than three columns or rows")


main()
