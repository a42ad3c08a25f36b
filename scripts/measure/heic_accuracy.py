"""Compares our decoding of HEIC with libheif's, on 32 generated files of all kinds.

    python scripts/measure/heic_accuracy.py [--bin target/release/tsne-grid] [--photo PHOTO...]

The files cover every orientation, with and without tiles, 8 and 10 bits, 4:2:0, 4:2:2 and 4:4:4, with and without
transparency, and the matrices of BT.601 and BT.709. The program's picture, at full size and at 224 pixels, is compared
with that of libheif (pillow-heif) for the same file, upright, over white, and at 224 pixels resized by Pillow. The
output is the mean and the largest difference over all pixels, in levels. For subsampled colours, libheif repeats each
value and we interpolate, so edges of colours differ; therefore the distance of each from the picture that was written
is printed as well. Needs pillow, pillow-heif (with x265), numpy and pyarrow.
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pillow_heif
import pyarrow.parquet as pq
from PIL import Image

# A square, so that it fills a square cell without being cut or stretched.
SIDE, SMALL = 896, 224
MEAN = {SIDE: 2.0, SMALL: 1.0}


def scene(photo):
    """A photograph's corner, or a scene with edges, gradients and noise in brightness."""
    if photo:
        picture = Image.open(photo).convert("RGB")
        least = min(picture.size)
        picture = picture.crop((0, 0, least, least)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(picture, float)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [np.sin(40 * x * y), np.sin(9 * x + 3 * y), np.sin(25 * np.hypot(x - 0.6, y - 0.3))]
    noise = np.random.default_rng(1).normal(0, 6, (SIDE, SIDE, 1))
    picture = 128 + 90 * np.dstack(waves) + noise
    picture[60:150, 200:330] = [200, 40, 40]
    return picture.clip(0, 255)


def written(path, picture, orientation, tiles, depth, chroma, alpha, matrix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if alpha:
        ramp = np.linspace(0, 255, SIDE)
        picture = np.dstack([picture, np.broadcast_to(ramp, (SIDE, SIDE))])
    mode = "RGBA" if alpha else "RGB"
    levels = picture.round().astype("uint8") if depth == 8 else (picture * 257).round().astype("uint16")
    look = {"matrix_coefficients": matrix, "color_primaries": 1, "transfer_characteristics": 13, "full_range_flag": 1}
    if tiles:
        look["tile_size"] = 256
    if depth == 10:
        mode, look["bit_depth"] = mode + ";16", 10
    exif = exif.tobytes()
    pillow_heif.encode(mode, (SIDE, SIDE), levels.tobytes(), str(path), quality=80, chroma=chroma, exif=exif, **look)


def small(picture, cell):
    return picture if picture.width == cell else picture.resize((cell, cell), Image.Resampling.BICUBIC)


def upright(picture, orientation, alpha):
    """The picture that was written, upright and over white."""
    if alpha:
        part = np.linspace(0, 1, SIDE)[None, :, None]
        picture = picture * part + 255 * (1 - part)
    picture = Image.fromarray(picture.round().astype("uint8"))
    way = Image.Transpose
    turns = {2: way.FLIP_LEFT_RIGHT, 3: way.ROTATE_180, 4: way.FLIP_TOP_BOTTOM, 5: way.TRANSPOSE}
    turns |= {6: way.ROTATE_270, 7: way.TRANSVERSE, 8: way.ROTATE_90}
    return picture.transpose(turns[orientation]) if orientation in turns else picture


def by_libheif(path):
    """The picture by libheif, which also turns it upright."""
    read = pillow_heif.open_heif(str(path), convert_hdr_to_8bit=True)
    picture = Image.frombytes(read.mode, read.size, read.data, "raw", read.mode, read.stride)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def by_program(binary, folder, cell):
    """What the program draws of every file on a grid without gaps."""
    look = ["--model", "scattering", "--fit", "stretch", "--cell", str(cell), "--gap", "0", "-o", f"{cell}.png"]
    ran = subprocess.run([binary, "run", "files", *look, "-q"], cwd=folder, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stderr)
    table = lambda name: pq.read_table(folder / f"cache/latest/{name}.parquet").to_pylist()
    wall = np.asarray(Image.open(folder / f"{cell}.png").convert("RGB"), float)
    cells = {row["image"]: (row["row"] * cell, row["col"] * cell) for row in table("assign")}
    shown = {}
    for row in table("images"):
        y, x = cells[row["image"]]
        shown[row["path"]] = wall[y : y + cell, x : x + cell]
    return shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=lambda path: str(pathlib.Path(path).resolve()), default="target/release/tsne-grid")
    parser.add_argument("--photo", type=pathlib.Path, nargs="*", default=[None], help="pictures to write")
    given = parser.parse_args()
    pictures = [scene(photo) for photo in given.photo]
    # Two of each orientation, with tiles and without; the 24 combinations of the rest are distributed over them.
    others = list(itertools.product((420, 422, 444), (8, 10), (1, 6), (False, True)))
    kinds = [(orientation, tiles) for orientation in range(1, 9) for tiles in (False, False, True, True)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "files").mkdir()
        names, originals = [], []
        for number, (orientation, tiles) in enumerate(kinds):
            chroma, depth, matrix, alpha = others[number * 7 % len(others)]
            words = [f"o{orientation}", "tiles" if tiles else "one", f"{depth}bit", str(chroma), f"m{matrix}"]
            names.append("-".join([f"{number:02}", *words, *(["alpha"] if alpha else [])]) + ".heic")
            # Each file has its own picture, so that none can be mistaken for another.
            moved = np.roll(pictures[number % len(pictures)], 9 * number, axis=1)
            originals.append(upright(moved, orientation, alpha))
            written(folder / "files" / names[-1], moved, orientation, tiles, depth, chroma, alpha, matrix)
        worst = {}
        print("pixels\tfile\tmean\tlargest\tours from the original\tlibheif's")
        for cell, most in MEAN.items():
            shown = by_program(given.bin, folder, cell)
            for name, original in zip(names, originals):
                theirs = np.asarray(small(by_libheif(folder / "files" / name), cell), float)
                ours, original = shown[name], np.asarray(small(original, cell), float)
                off, mine, other = (np.abs(a - b) for a, b in ((ours, theirs), (ours, original), (theirs, original)))
                worst[cell] = max(worst.get(cell, (0, "")), (off.mean(), name))
                word = "  too much" if off.mean() > most else ""
                print(f"{cell}\t{name:32}\t{off.mean():.2f}\t{off.max():.0f}\t{mine.mean():.2f}\t{other.mean():.2f}{word}")
        for cell, (mean, name) in worst.items():
            print(f"at {cell} pixels the worst of {len(names)} is {name}: {mean:.2f} levels, {MEAN[cell]} allowed")
        return any(mean > MEAN[cell] for cell, (mean, _) in worst.items())


sys.exit(main())
