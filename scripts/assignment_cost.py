#!/usr/bin/env python3
"""Checks assignments against scipy's optimum: on random points, square and with free cells, by the tsne-grid binary.

  assignment_cost.py [TSNE_GRID]        (needs numpy, scipy, pandas, pyarrow)
"""
import subprocess, sys, tempfile, pathlib
import numpy as np, pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

binary = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/tsne-grid").resolve())
rng = np.random.default_rng(4)
worst = 0.0
with tempfile.TemporaryDirectory() as work:
    for solver in ("lapjv", "sparse"):
        for n, width, height in ((1, 1, 1), (7, 3, 3), (100, 10, 10), (256, 16, 16), (300, 17, 18), (400, 25, 20), (1024, 32, 32)):
            for kind in ("uniform", "clusters", "line"):
                xy = rng.random((n, 2))
                if kind == "clusters":
                    xy = rng.normal(size=(n, 2)) * 0.02 + rng.random((5, 2))[rng.integers(0, 5, n)]
                if kind == "line":
                    xy[:, 1] = 2 * xy[:, 0]
                table = f"{work}/xy.parquet"
                pd.DataFrame({"image": [f"{i:05}" for i in range(n)], "x": xy[:, 0], "y": xy[:, 1]}).to_parquet(table)
                command = [binary, "assign", "--input", table, "--grid", f"{width}x{height}", "--solver", solver, "--cache", f"{work}/cache", "-q"]
                path = subprocess.run(command, check=True, capture_output=True, text=True, cwd=work).stdout.strip()
                found = pd.read_parquet(f"{work}/{path}" if not path.startswith("/") else path)
                span = np.ptp(xy, axis=0)
                unit = np.where(span > 0, (xy - xy.min(0)) / np.where(span > 0, span, 1), 0.5)
                side = lambda k: np.linspace(0, 1, k) if k > 1 else np.array([0.5])
                cells = np.dstack(np.meshgrid(side(width), side(height))).reshape(-1, 2)
                cost = cdist(unit, cells, "sqeuclidean")
                best = cost[linear_sum_assignment(cost)].sum()
                assert len(found[["row", "col"]].drop_duplicates()) == n
                worst = max(worst, abs(found["cost"].sum() - best))
                assert abs(found["cost"].sum() - best) < 1e-9, (solver, n, kind, found["cost"].sum(), best)
print(f"every cost equals scipy's; largest difference {worst:.2e}")
