#!/usr/bin/env python3
"""Seconds, cost and memory of the assignment against the number of points, compared with lapjv and SciPy.

    scripts/measure/assignment_growth.py measure LAYOUTS WORK --bench BINARY [--kinds tsne,...] [--sizes 1024,...]
                                                 [--repeat 5] [--spare 20] [--effort 8] [--peers PEERS.py --limit 60]
    scripts/measure/assignment_growth.py table WORK OUT

LAYOUTS has the files KIND-N.f64 (and KIND-N.npy for the other solvers) that scripts/measure/layouts.py writes. `measure`
appends lines to WORK/assignment-growth.jsonl, so that long measurements can be done one by one. BINARY is the built bench
(`cargo bench --bench assignment --no-run` prints its path). PEERS.py runs the other solvers, in this Python, on the same
points right after tsne-grid, for at most --limit seconds each: `PEERS.py POINTS.npy WIDTH HEIGHT --peers NAME` prints a
line `NAME n=… SECONDS s … cost COST`. The grid is nearly square, with --spare per cent more cells than points. `table`
checks that all exact costs agree and writes OUT/assignment-growth.md and OUT/assignment-growth.svg; those in docs/ were
written so. Needs GNU time as /usr/bin/time.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys

from loglog import plot

LOG = "assignment-growth.jsonl"
PEERS = ("lapjv", "scipy")
# What the table calls the kinds of layouts and the solvers.
LABELS = {"equal": "all equal", "tsne": "t-SNE", "ours": "tsne-grid"}


def near_square(cells):
    width = math.ceil(math.sqrt(cells))
    return str(width), str(math.ceil(cells / width))


def ours(given, file, grid):
    flags = ["--repeat", str(given.repeat)] + (["--effort", str(given.effort)] if given.effort else [])
    command = ["/usr/bin/time", "-f", "RSS %M", given.bench, file.with_suffix(".f64"), *grid, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, cost, gap, steps = re.search(r"([\d.]+) s  cost (\S+) gap (\S+) steps (\d+)", done.stdout).groups()
    megabytes = int(re.search(r"RSS (\d+)", done.stderr)[1]) / 1024
    return {"seconds": float(seconds), "cost": float(cost), "gap": float(gap), "steps": int(steps), "megabytes": megabytes}


def peer(given, who, file, grid):
    command = [sys.executable, given.peers, file.with_suffix(".npy"), *grid, "--peers", who]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=given.limit)
    except subprocess.TimeoutExpired:
        return {"seconds": None, "limit": given.limit}
    seconds, cost = re.search(r" ([\d.]+) s .*cost (\S+)", done.stdout).groups()
    return {"seconds": float(seconds), "cost": float(cost)}


def measure(given):
    given.work.mkdir(parents=True, exist_ok=True)
    for kind in given.kinds.split(","):
        for points in map(int, given.sizes.split(",")):
            grid = near_square(points * (100 + given.spare) // 100)
            file = given.layouts / f"{kind}-{points}"
            found = {"ours": ours(given, file, grid)}
            # The other solvers divide by the extent of each axis, so they cannot handle points that are all equal.
            if given.peers and kind != "equal":
                found |= {who: peer(given, who, file, grid) for who in PEERS}
            for who, what in found.items():
                line = {"kind": kind, "points": points, "grid": "x".join(grid), "effort": given.effort, "who": who} | what
                print(line, flush=True)
                with open(given.work / LOG, "a") as log:
                    log.write(json.dumps(line) + "\n")


def table(given):
    lines = [json.loads(line) for line in open(given.work / LOG)]
    # The effort is part of the key: a run that stops early is not comparable with one that reaches the optimum.
    latest = {(line["kind"], line["points"], line["grid"], line["effort"], line["who"]): line for line in lines}
    text = ["| layout | points | grid | solver | seconds | relative to tsne-grid | cost | gap | steps per point | peak MB |", "|---" * 10 + "|"]
    series = {}
    for (kind, points, grid, effort, who), line in sorted(latest.items()):
        mine = latest[kind, points, grid, effort, "ours"]
        layout, solver = LABELS.get(kind, kind), LABELS.get(who, who)
        if line["seconds"] is None:
            at_least = f"> {line['limit'] / mine['seconds']:.0f}"
            text.append(f"| {layout} | {points:,} | {grid} | {solver} | > {line['limit']:.0f} | {at_least} | | | | |")
            continue
        seconds = f"{line['seconds']:.3g}"
        if who == "ours":
            per_point = line["steps"] / points
            more = f" {line['gap']:.1e} | {per_point:.0f} | {line['megabytes']:.0f} |" if line["gap"] else f" 0 | {per_point:.0f} | {line['megabytes']:.0f} |"
            text.append(f"| {layout} | {points:,} | {grid} | {solver} | {seconds} | | {line['cost']:.9f} |{more}")
        else:
            # A dense solver in floating point may end slightly above the optimum, never below it.
            assert mine["gap"] > 0 or -1e-9 < 1 - mine["cost"] / line["cost"] < 1e-8, (mine, line)
            times = f"{line['seconds'] / mine['seconds']:.0f}"
            text.append(f"| {layout} | {points:,} | {grid} | {solver} | {seconds} | {times} | {line['cost']:.9f} | | | |")
        width, height = map(int, grid.split("x"))
        if width * height < 1.1 * points:
            stopped = f", effort {effort}" if effort else ""
            series.setdefault(f"{who}, {kind}{stopped}", []).append((points, line["seconds"]))
    (given.out / "assignment-growth.md").write_text("\n".join(text) + "\n")
    ordered = sorted(series.items(), key=lambda item: not item[0].startswith("ours"))
    plot({name: line for name, line in ordered if len(line) > 1 or "effort" in name}, given.out / "assignment-growth.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure")
    one.set_defaults(run=measure)
    one.add_argument("layouts", type=pathlib.Path)
    one.add_argument("work", type=pathlib.Path)
    one.add_argument("--bench", required=True)
    one.add_argument("--kinds", default="tsne,clusters,uniform,line,equal")
    one.add_argument("--sizes", default="1024,4096,10000")
    one.add_argument("--repeat", type=int, default=5)
    one.add_argument("--spare", type=int, default=0)
    one.add_argument("--effort", type=int, default=0)
    one.add_argument("--peers")
    one.add_argument("--limit", type=float, default=60)
    two = commands.add_parser("table")
    two.set_defaults(run=table)
    two.add_argument("work", type=pathlib.Path)
    two.add_argument("out", type=pathlib.Path)
    given = parser.parse_args()
    given.run(given)


main()
