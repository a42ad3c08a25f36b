#!/usr/bin/env python3
"""Writes layouts to measure the assignment on, as raw little-endian float64 pairs and as .npy files of the same points.

    scripts/measure/layouts.py OUT_DIR [--photos DIR] [--sizes 1024,2500,...] [--kinds tsne,clusters,...]

tsne      openTSNE (its defaults, PCA start) of 12x12 colour patches of the photos, PCA to 50 dimensions.
          Above 100,000 points: the 100,000-point layout, each point repeated with a jitter of half its neighbour
          distance.
clusters  a Gaussian mixture: 12 tight clusters of unequal size and spread, and a tenth of the points spread evenly
uniform   uniform noise in the square
line      points on a sloping line, unevenly spaced
equal     one point, n times

tsne needs openTSNE, Pillow and --photos; the others only numpy.
"""
import argparse, pathlib
import numpy as np


def patches(photos, n, seed=1):
    from PIL import Image
    from sklearn.decomposition import PCA
    rng = np.random.default_rng(seed)
    files = sorted(pathlib.Path(photos).glob("*.JPEG")); assert files, f"no photos in {photos}"
    per = -(-n // len(files)); rows = []
    for f in files:
        image = Image.open(f).convert("RGB"); image.thumbnail((160, 160)); a = np.asarray(image, np.float32)
        for y, x in zip(rng.integers(0, a.shape[0] - 12, per), rng.integers(0, a.shape[1] - 12, per)):
            rows.append(a[y:y + 12, x:x + 12].ravel())
    rows = np.array(rows)[rng.permutation(len(rows))[:n]] / 255
    return PCA(50, random_state=0).fit_transform(rows)


def tsne(photos, n, out):
    if n > 100_000:
        from scipy.spatial import cKDTree
        base = np.load(out / "tsne-100000.npy"); rng = np.random.default_rng(2)
        d = cKDTree(base).query(base, 2)[0][:, 1]; pick = rng.integers(0, len(base), n)
        return base[pick] + rng.normal(size=(n, 2)) * d[pick, None] * 0.5
    from openTSNE import TSNE
    return np.asarray(TSNE(n_jobs=2, random_state=3, n_iter=500).fit(patches(photos, n)), np.float64)


def clusters(n):
    rng = np.random.default_rng(4); weight = rng.dirichlet(np.full(12, 0.7)); centre = rng.random((12, 2)); spread = 10 ** rng.uniform(-3, -1.3, 12)
    which = rng.choice(12, n, p=weight); cloud = centre[which] + rng.normal(size=(n, 2)) * spread[which, None]
    noise = rng.random(n) < 0.1; cloud[noise] = rng.random((noise.sum(), 2)); return cloud


def layout(kind, n, photos, out):
    rng = np.random.default_rng(5)
    if kind == "tsne": return tsne(photos, n, out)
    if kind == "clusters": return clusters(n)
    if kind == "uniform": return rng.random((n, 2))
    if kind == "line": t = rng.random(n) ** 2; return np.stack([t, 0.3 * t], 1)
    if kind == "equal": return np.full((n, 2), 0.25)
    raise SystemExit(f"no layout called {kind}")


if __name__ == "__main__":
    a = argparse.ArgumentParser(); a.add_argument("out", type=pathlib.Path); a.add_argument("--photos")
    a.add_argument("--sizes", default="1024,2500,4096,10000"); a.add_argument("--kinds", default="tsne,clusters,uniform,line,equal"); a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for kind in a.kinds.split(","):
        for n in map(int, a.sizes.split(",")):
            file = a.out / f"{kind}-{n}.npy"
            if not file.exists(): np.save(file, layout(kind, n, a.photos, a.out))
            np.load(file).astype("<f8").tofile(file.with_suffix(".f64")); print(file, flush=True)
