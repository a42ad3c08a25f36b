#!/usr/bin/env python3
"""Judges the groups of a wall and their names, where files are named like ImageNet's (n01440764_tench.JPEG).

usage: groups_eval.py CACHE

Of the last run with CACHE, for each level: adjusted mutual information of the groups with the coarse classes of scattering_eval.py; the share of
pictures whose group has a name, and of those the share of which the name is true: it is the class's word or one of the broader ones above it in
src/model/imagenet.tsv. Needs numpy, pandas, pyarrow, scikit-learn, and what scattering_eval.py needs.
"""

import sys
from pathlib import Path

import pandas as pd
from scattering_eval import group_of
from sklearn.metrics import adjusted_mutual_info_score

ROOT = Path(__file__).resolve().parent.parent


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
