#!/usr/bin/env python3
"""Measures the groups of a grid and their names, for files that are named like ImageNet's (n01440764_tench.JPEG).

    scripts/measure/groups.py CACHE

For the last run with CACHE, at each level: the adjusted mutual information of the groups with the coarse classes of
scattering.py; the share of pictures whose group has a name; and the share of these whose name is true, that is, the
word of the class or one of the broader words above it in src/model/imagenet.tsv. Needs numpy, pandas, pyarrow,
scikit-learn, and what scripts/measure/scattering.py needs.
"""

import sys
from pathlib import Path

import pandas as pd
from scattering import group_of
from sklearn.metrics import adjusted_mutual_info_score

ROOT = Path(__file__).resolve().parent.parent.parent


def main():
    latest = Path(sys.argv[1]) / "latest"
    images = pd.read_parquet(latest / "images.parquet")
    groups = pd.read_parquet(latest / "groups.parquet").merge(images[["image", "path"]], on="image")
    lines = [line.split("\t") for line in (ROOT / "src/model/imagenet.tsv").read_text().splitlines()]
    true = {number: {word, *broader.split(", ")} for number, word, broader in lines}
    coarse = groups.path.map(lambda path: group_of(Path(path).stem))
    fits = [name in true[Path(path).name.split("_")[0]] for path, name in zip(groups.path, groups.name)]
    groups = groups.assign(coarse=coarse, fits=fits)
    for level, rows in groups.groupby("level"):
        known, named = rows[rows.coarse != ""], rows[rows.name.notna()]
        information = adjusted_mutual_info_score(known.coarse, known.group)
        print(f"level {level}: {rows.group.nunique()} groups, adjusted mutual information {information:.3f}; "
              f"{len(named) / len(rows):.3f} of the pictures have a name, true of {named.fits.mean():.3f}")


main()
