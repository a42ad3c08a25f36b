#!/usr/bin/env python3
"""Prints the golden sums of src/photo/pillow.rs: from, to, bilinear, bicubic. Usage: scripts/generate/resize.py

Needs numpy and Pillow 13.
"""
import numpy as np
from PIL import Image

SIZES = [((7, 5), (4, 3)), ((4, 3), (9, 6)), ((50, 90), (24, 24)), ((90, 50), (24, 24)), ((60, 62), (24, 24)),
         ((20, 90), (24, 24)), ((90, 20), (24, 30)), ((33, 33), (33, 10)), ((10, 9), (224, 224))]
for (w, h), to in SIZES:
    y, x = np.mgrid[0:h, 0:w]
    picture = Image.fromarray((np.dstack([x * 30, y * 50, x * y * 17]) % 256).astype(np.uint8))
    sums = []
    for filter_ in (Image.BILINEAR, Image.BICUBIC):
        out = np.asarray(picture.resize(to, filter_), np.uint64).ravel()
        sums.append(int((np.arange(1, out.size + 1, dtype=np.uint64) % 251 * out).sum()))
    print(f"(({w}, {h}), {to}, {sums[0]}, {sums[1]}),")
