#!/usr/bin/env python3
"""Compares the cost of assignments with scipy's optimum, on a square grid and with a fifth more cells than points.

    scripts/measure/assignment_cost.py LAYOUTS --bench BINARY [--kinds tsne,...] [--sizes 256,1024,2500,4096]

LAYOUTS has the files KIND-N.npy and KIND-N.f64 that scripts/measure/layouts.py writes. BINARY is the built bench
(`cargo bench --bench assignment --no-run` prints its path). Costs are sums of squared distances in the unit square. The
lattice of the exact solver rounds a coordinate by at most 2^-29. Needs numpy and scipy.
"""

import argparse
import math
import pathlib
import re
import subprocess

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist


def best(points, width, height):
    extent = np.ptp(points, axis=0)
    unit = np.where(extent > 0, (points - points.min(0)) / np.where(extent > 0, extent, 1), 0.5)
    cells = np.dstack(np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))).reshape(-1, 2)
    cost = cdist(unit, cells, "sqeuclidean")
    return cost[linear_sum_assignment(cost)].sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layouts", type=pathlib.Path)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--kinds", default="tsne,clusters,uniform,line,equal")
    parser.add_argument("--sizes", default="256,1024,2500,4096")
    given = parser.parse_args()
    worst = 0.0
    for kind in given.kinds.split(","):
        for points in map(int, given.sizes.split(",")):
            for cells in (points, points * 6 // 5):
                width = math.ceil(math.sqrt(cells))
                height = math.ceil(cells / width)
                file = given.layouts / f"{kind}-{points}.f64"
                command = [given.bench, file, str(width), str(height)]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                cost, gap = re.search(r"cost (\S+) gap (\S+)", said).groups()
                optimum = best(np.load(file.with_suffix(".npy")), width, height)
                off = float(cost) - optimum
                print(f"{kind} {points} on {width}x{height}: {cost}, scipy {optimum:.9f}, off by {off:.1e}, gap {gap}", flush=True)
                assert abs(off) < 2e-9 and float(gap) == 0.0
                worst = max(worst, abs(off))
    print(f"every cost is scipy's; largest difference {worst:.1e}")


main()
