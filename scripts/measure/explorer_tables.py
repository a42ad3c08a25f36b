"""Writes generated tables, for which nothing was embedded, to measure the explorer with.

    python scripts/measure/explorer_tables.py COUNT TABLE.csv          points without pictures
    python scripts/measure/explorer_tables.py COUNT TABLE.csv CACHE    pictures: the thumbnails of a run's cache,
                                                                       repeated under other names

The places form clusters like those of t-SNE; cells are numbered row by row. `category` and `year` are fields, `note` is
a text of random words.
"""

import csv
import hashlib
import math
import os
import random
import sys
from pathlib import Path

count, table = int(sys.argv[1]), sys.argv[2]
random.seed(1)
heaps = [(random.gauss(0, 30), random.gauss(0, 30), random.uniform(0.5, 6)) for _ in range(60)]
across = math.ceil(math.sqrt(count))
names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(count)]

if len(sys.argv) > 3:
    for kind in sorted(Path(sys.argv[3], "thumbs").glob("*-cover-*")):
        files = sorted(kind.glob("*/*-*"))
        for byte in range(256):
            (kind / f"{byte:02x}").mkdir(exist_ok=True)
        for i, name in enumerate(names):
            # The name of a file in the cache is its key and the digest of its bytes.
            _, digest = files[i % len(files)].name.split("-")
            os.link(files[i % len(files)], kind / name[:2] / f"{name[:20]}-{digest}")

words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("l", "nd", "ra", "sto", "m", "ve")]
with open(table, "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["image", "row", "col", "x", "y", "category", "year", "note"])
    for i in range(count):
        x, y, wide = heaps[i * len(heaps) // count]
        note = " ".join(random.choices(words, k=8))
        place = [round(random.gauss(at, wide), 4) for at in (x, y)]
        rows.writerow([names[i] if len(sys.argv) > 3 else f"point {i}", i // across, i % across, *place,
                       f"heap {i * len(heaps) // count}", 1900 + random.randrange(120), note])
