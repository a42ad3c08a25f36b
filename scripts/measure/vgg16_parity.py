#!/usr/bin/env python3
"""Compares embedded block5_pool vectors with PyTorch's: cosine and largest element error of each picture.

    scripts/measure/vgg16_parity.py REFERENCE.npz CACHE [LEAST_COSINE]

REFERENCE.npz has `names` and `block5_pool`. Needs numpy, pandas and pyarrow.
"""
import pathlib, sys
import numpy as np, pandas as pd

reference, cache, least = np.load(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.99999
index = pd.read_parquet(cache / "latest/embed.parquet").merge(pd.read_parquet(cache / "latest/images.parquet")[["image", "path"]], on="image")
shards = {path.name: pd.read_parquet(path) for path in cache.glob("embed/*/*.parquet")}
ours = {row.path: np.asarray(shards[row.shard].embedding[row.row], np.float64) for row in index.itertuples()}
cosines, errors = [], []
for name, theirs in zip(reference["names"], reference["block5_pool"].astype(np.float64)):
    a = ours[str(name)]
    cosines.append(a @ theirs / np.linalg.norm(a) / np.linalg.norm(theirs))
    errors.append(np.abs(a - theirs).max() / np.abs(theirs).max())
print(f"{len(cosines)} pictures: least cosine {min(cosines):.9f}, median {np.median(cosines):.9f}, largest error {max(errors):.2e} of the largest element")
# Every picture of the run has to be in the reference. `not … >` also fails if a cosine is NaN.
sys.exit(len(cosines) != len(ours) or not np.min(cosines) > least)
