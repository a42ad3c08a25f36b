"""Runs the program on any folder of files, and compares what it shows with what Pillow shows.

    python scripts/measure/corpus.py FOLDER [--bin target/release/tsne-grid] [--levels 6] [--seconds 600]

Files are read in batches; a panic, an end by a signal, or more time than allowed is an error. For every picture that
both read, the mean colours of its four quarters are compared. The output lists the pictures that differ, that only one
of them reads, or that the program reports as damaged, and ends with a table of counts. After an update of a decoder,
compare the lists of before and after. Needs pillow, numpy and pyarrow.
"""

import argparse
import collections
import io
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageCms, ImageFile, ImageOps

CELL, BATCH = 16, 1600


def quarters(picture):
    """Mean colours of the four quarters of a square picture."""
    half = picture.shape[0] // 2
    parts = [picture[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    return np.array([part.reshape(-1, 3).mean(0) for part in parts])


def by_pillow(path):
    """Kind and mean colours of a file as Pillow reads it, upright and over white; or `None` and the error."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(path)
            kind = picture.format
            picture = ImageOps.exif_transpose(picture)
            if picture.mode == "RGB" and (profile := picture.info.get("icc_profile")):
                profiles = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
                picture = ImageCms.profileToProfile(picture, *profiles, renderingIntent=1)
            if picture.mode.startswith("I;16"):
                picture = Image.fromarray((np.asarray(picture).astype(float) / 257).round().astype("uint8"))
            if picture.has_transparency_data:
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture.convert("RGBA"))
            picture = picture.convert("RGB").resize((CELL, CELL), Image.Resampling.BILINEAR)
            return kind, quarters(np.asarray(picture, dtype=float))
        except Exception as error:  # a decoder may raise anything for an unknown file
            return None, f"{type(error).__name__}: {error}"[:90]


def by_program(binary, files, folder, seconds):
    """What the program reports for every file, by its number in `files`."""
    source = folder / "files"
    source.mkdir()
    for number, path in enumerate(files):
        (source / f"{number:05}{path.suffix}").symlink_to(path.resolve())
    look = ["--model", "scattering", "--fit", "stretch", "--cell", str(CELL), "--gap", "0", "-o", "wall.png"]
    command = [binary, "run", "files", *look, "-q"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    if ran.returncode not in (0, 1, 3) or "panicked" in ran.stderr:
        sys.exit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stderr}")
    number = lambda row: int(row["path"].split(".")[0])
    table = lambda name: pq.read_table(folder / f"cache/latest/{name}.parquet").to_pylist()
    said = {number(row): (None, f"{row['reason']}: {row['detail']}") for row in table("skipped")}
    if ran.returncode == 1:
        return said
    wall = np.asarray(Image.open(folder / "wall.png").convert("RGB"), dtype=float)
    cells = {row["image"]: (row["row"] * CELL, row["col"] * CELL) for row in table("assign")}
    for row in table("images"):
        y, x = cells[row["image"]]
        said[number(row)] = (row, quarters(wall[y : y + CELL, x : x + CELL]))
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bin", type=lambda path: str(pathlib.Path(path).resolve()), default="target/release/tsne-grid")
    parser.add_argument("--levels", type=float, default=6.0, help="larger differences of a quarter's mean are listed")
    parser.add_argument("--seconds", type=float, default=600.0, help="for a batch")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    counts, lines = collections.Counter(), []
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        with tempfile.TemporaryDirectory() as folder:
            said = by_program(given.bin, batch, pathlib.Path(folder), given.seconds)
        for number, path in enumerate(batch):
            name = path.relative_to(given.folder)
            row, ours = said.get(number, (None, "not listed"))
            kind, theirs = by_pillow(path)
            if row is None and kind is None:
                counts["read by neither"] += 1
            elif row is None:
                counts["read by Pillow alone"] += 1
                lines.append(f"pillow alone\t{name}\t{kind}\t{ours}")
            elif kind is None:
                counts["read by us alone" + (", as damaged" if row["damage"] else "")] += 1
                lines.append(f"us alone\t{name}\t{row['format']}\t{row['damage'] or 'whole'}\t{theirs}")
            else:
                off = np.abs(ours - theirs).max()
                word = "as damaged" if row["damage"] else "same" if off <= given.levels else "other colours"
                counts[f"read by both, {word}"] += 1
                if word != "same":
                    lines.append(f"{word}\t{name}\t{row['format']}\t{off:.0f} levels\t{row['damage'] or ''}")
    print(*sorted(lines), sep="\n")
    print(f"\n{len(files)} files of {given.folder}")
    for word, count in sorted(counts.items()):
        print(f"{count:8}  {word}")


main()
