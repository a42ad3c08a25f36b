#!/usr/bin/env python3
"""Writes dates into copies of photos in many ways with exiftool, and compares the date that tsne-grid reads from each with
the one that exiftool reads.

    scripts/measure/exif_dates.py PHOTOS [TSNE-GRID]

Exits with 1 if any differs. Needs exiftool, Pillow and pyarrow.
"""
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

import pyarrow.parquet
from PIL import Image

TAKEN = "2019:07:21 23:06:30"
MADE = "2018:01:02 03:04:05"
CHANGED = "2020:02:03 04:05:06"

# Name, suffix, arguments for exiftool.
WRITTEN = [
    ("taken", "jpg", [f"-DateTimeOriginal={TAKEN}"]),
    ("little-endian", "jpg", ["-ExifByteOrder=II", f"-DateTimeOriginal={TAKEN}"]),
    ("big-endian", "jpg", ["-ExifByteOrder=MM", f"-DateTimeOriginal={TAKEN}"]),
    ("made", "jpg", [f"-ExifIFD:CreateDate={MADE}"]),
    ("changed", "jpg", [f"-IFD0:ModifyDate={CHANGED}"]),
    ("all-three", "jpg", [f"-DateTimeOriginal={TAKEN}", f"-ExifIFD:CreateDate={MADE}", f"-IFD0:ModifyDate={CHANGED}"]),
    ("made-and-changed", "jpg", [f"-ExifIFD:CreateDate={MADE}", f"-IFD0:ModifyDate={CHANGED}"]),
    ("offset", "jpg", [f"-DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=+02:00"]),
    ("offset-west", "jpg", ["-ExifByteOrder=MM", f"-DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=-09:30"]),
    ("offset-zero", "jpg", [f"-DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=+00:00"]),
    ("offset-z", "jpg", [f"-DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=Z"]),
    ("offset-of-another", "jpg", [f"-DateTimeOriginal={TAKEN}", "-OffsetTime=+05:00", "-OffsetTimeDigitized=+06:00"]),
    ("offset-made", "jpg", [f"-ExifIFD:CreateDate={MADE}", "-OffsetTimeDigitized=+06:00"]),
    ("offset-changed", "jpg", [f"-IFD0:ModifyDate={CHANGED}", "-OffsetTime=+14:00"]),
    ("subseconds", "jpg", [f"-DateTimeOriginal={TAKEN}", "-SubSecTimeOriginal=5"]),
    ("subseconds-3", "jpg", [f"-DateTimeOriginal={TAKEN}", "-SubSecTimeOriginal=012", "-OffsetTimeOriginal=+02:00"]),
    ("subseconds-6", "jpg", ["-ExifByteOrder=MM", f"-DateTimeOriginal={TAKEN}", "-SubSecTimeOriginal=123456"]),
    ("subseconds-made", "jpg", [f"-ExifIFD:CreateDate={MADE}", "-SubSecTimeDigitized=25"]),
    ("subseconds-changed", "jpg", [f"-IFD0:ModifyDate={CHANGED}", "-SubSecTime=25"]),
    ("far-back", "jpg", ["-DateTimeOriginal=1898:06:05 04:03:02"]),
    ("new-year", "jpg", ["-DateTimeOriginal=2023:12:31 23:30:00", "-OffsetTimeOriginal=-01:00"]),
    ("leap-day", "jpg", ["-DateTimeOriginal=2024:02:29 23:59:59"]),
    ("many-tags", "jpg", [f"-DateTimeOriginal={TAKEN}", "-Make=Camera", "-Model=No. 1", "-UserComment=" + "x" * 5000,
                          "-GPSLatitude=48", "-GPSLatitudeRef=N", "-GPSDateStamp=2001:01:01"]),
    ("long-description", "jpg", ["-ImageDescription=" + "x" * 60000, f"-DateTimeOriginal={TAKEN}"]),
    ("many-segments", "jpg", ["-ImageDescription=" + "x" * 70000, f"-DateTimeOriginal={TAKEN}"]),
    ("xmp-taken", "jpg", [f"-XMP-exif:DateTimeOriginal={TAKEN}+02:00"]),
    ("xmp-created", "jpg", [f"-XMP-photoshop:DateCreated={TAKEN}"]),
    ("xmp-made", "jpg", [f"-XMP-xmp:CreateDate={MADE}.25"]),
    ("xmp-changed", "jpg", [f"-XMP-xmp:ModifyDate={CHANGED}-03:00"]),
    ("xmp-beside-exif", "jpg", [f"-XMP-exif:DateTimeOriginal={MADE}", f"-DateTimeOriginal={TAKEN}"]),
    ("xmp-before-changed", "jpg", [f"-XMP-exif:DateTimeOriginal={TAKEN}", f"-IFD0:ModifyDate={CHANGED}"]),
    ("png", "png", [f"-EXIF:DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=+02:00"]),
    ("png-xmp", "png", [f"-XMP-exif:DateTimeOriginal={TAKEN}"]),
    ("png-packed-xmp", "png", ["-z", f"-XMP-exif:DateTimeOriginal={TAKEN}"]),
    ("webp", "webp", [f"-EXIF:DateTimeOriginal={TAKEN}", "-SubSecTimeOriginal=5"]),
    ("webp-xmp", "webp", [f"-XMP-exif:DateTimeOriginal={TAKEN}+02:00"]),
    ("tiff", "tif", [f"-EXIF:DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=+02:00"]),
    ("tiff-first-directory", "tif", [f"-IFD0:DateTimeOriginal={TAKEN}"]),
    ("tiff-changed", "tif", [f"-IFD0:ModifyDate={CHANGED}"]),
    ("tiff-xmp", "tif", [f"-XMP-exif:DateTimeOriginal={TAKEN}"]),
]
# The tags in the order of trust: a time, with the tags of its offset and its fraction.
TAGS = [
    ("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:OffsetTimeOriginal"),
    ("ExifIFD:CreateDate", "ExifIFD:SubSecTimeDigitized", "ExifIFD:OffsetTimeDigitized"),
    ("IFD0:DateTimeOriginal", None, None),
    ("XMP-exif:DateTimeOriginal", None, None),
    ("XMP-photoshop:DateCreated", None, None),
    ("XMP-xmp:CreateDate", None, None),
    ("IFD0:ModifyDate", "ExifIFD:SubSecTime", "ExifIFD:OffsetTime"),
    ("XMP-xmp:ModifyDate", None, None),
]


def exiftool(*arguments):
    return subprocess.run(["exiftool", "-q", "-q", "-m", *arguments], check=True, capture_output=True, text=True).stdout


def segments_moved(path):
    """EXIF behind another segment of the maximal length."""
    jpeg = path.read_bytes()
    return jpeg[:2] + b"\xff\xe2\xff\xff" + b"\0" * 65533 + jpeg[2:]


def directories_at_odd_places(path):
    """The directory with the times is at an odd offset at the end of the block, behind a maker note."""
    jpeg = path.read_bytes()
    at = jpeg.index(b"\xff\xe1") + 4
    length = int.from_bytes(jpeg[at - 2 : at], "big")
    block = bytearray(jpeg[at + 6 : at - 2 + length])
    order = "little" if block[:2] == b"II" else "big"
    word = lambda where, size: int.from_bytes(block[where : where + size], order)
    first = word(4, 4)
    entries = [first + 2 + 12 * i for i in range(word(first, 2))]
    pointer = next(entry for entry in entries if word(entry, 2) == 0x8769)
    inner = word(pointer + 8, 4)
    size = 2 + 12 * word(inner, 2) + 4
    moved = bytes(block[inner : inner + size])
    block[inner : inner + size] = b"\xee" * size
    block += b"MAKER\0\1\2" * 100 + b"\0" * (1 - len(block) % 2)
    block[pointer + 8 : pointer + 12] = len(block).to_bytes(4, order)
    block += moved
    head = b"\xff\xe1" + (len(block) + 8).to_bytes(2, "big") + b"Exif\0\0"
    return jpeg[: at - 4] + head + bytes(block) + jpeg[at - 2 + length :]


def cut(path):
    jpeg = path.read_bytes()
    return jpeg[: len(jpeg) * 3 // 4]


MOVED = [("moved-segment", segments_moved), ("odd-places", directories_at_odd_places), ("cut", cut)]


def write(folder, photos):
    for i, (name, suffix, arguments) in enumerate(WRITTEN):
        path = folder / f"{name}.{suffix}"
        Image.open(photos[i % len(photos)]).convert("RGB").save(path)
        exiftool("-overwrite_original", *arguments, str(path))
    for i, (name, change) in enumerate(MOVED):
        path = folder / f"{name}.jpg"
        Image.open(photos[i % len(photos)]).convert("RGB").save(path)
        exiftool("-overwrite_original", f"-DateTimeOriginal={TAKEN}", "-OffsetTimeOriginal=+02:00", str(path))
        path.write_bytes(change(path))


def moment(facts):
    """The date that exiftool reads from a file: microseconds, and whether they are in UTC."""
    for time, fraction, offset in TAGS:
        text = facts.get(time)
        if text is None:
            continue
        text = str(text)
        if fraction in facts and "." not in text:
            text += f".{facts[fraction]}"
        if offset in facts:
            text += str(facts[offset])
        text = text.replace(":", "-", 2).replace("Z", "+00:00")
        read = datetime.datetime.fromisoformat(text)
        utc = read.tzinfo is not None
        read = read if utc else read.replace(tzinfo=datetime.timezone.utc)
        return (read - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1), utc
    return None


def main():
    photos = sorted(path for path in pathlib.Path(sys.argv[1]).iterdir() if path.is_file())
    program = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "target/release/tsne-grid").resolve()
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "dated"
        folder.mkdir()
        write(folder, photos)
        command = [str(program), "embed", "dated", "--model", "scattering", "--quiet"]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        images = pyarrow.parquet.read_table(f"{work}/cache/latest/images.parquet")
        micros = images["taken_at"].cast("int64").to_pylist()
        froms = images["taken_from"].to_pylist()
        ours = {path: (time, (by or "").endswith("-utc")) if by else None
                for path, time, by in zip(images["path"].to_pylist(), micros, froms)}
        facts = json.loads(exiftool("-j", "-G1", "-time:all", "-SubSec*", "-Offset*", "-api", "largefilesupport=1", str(folder)))
    wrong = 0
    for file in facts:
        name = pathlib.Path(file["SourceFile"]).name
        expected = moment(file)
        assert expected, file
        if ours.get(name) != expected:
            wrong += 1
            print(f"{name}: {ours.get(name)}, exiftool {expected}")
    print(f"{len(facts) - wrong} of {len(facts)} as exiftool reads them")
    sys.exit(wrong > 0)


main()
