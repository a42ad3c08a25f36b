#!/usr/bin/env python3
"""Writes tests/it/golden/heic/: four quarters of one colour each, encoded in the ways of phones and programs.

    scripts/generate/heics.py

The colours are those of `quarters` in tests/it/heic.rs. Needs pillow_heif 1.8 with x265, and numpy.
"""
import pathlib, struct
import numpy as np, pillow_heif
from pillow_heif import options

OUT = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/it/golden/heic"
COLOURS = [[200, 60, 60], [60, 170, 60], [60, 60, 200], [230, 220, 210]]
SRGB_TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:DateTimeOriginal="2021-06-05T04:03:02"/></x:xmpmeta>'


def quarters(width, height, alpha=False):
    y, x = np.mgrid[0:height, 0:width]
    which = (x * 2 // width) + 2 * (y * 2 // height)
    picture = np.array(COLOURS, float)[which]
    return np.dstack([picture, np.where(which == 1, 0, 255)]) if alpha else picture


def exif(orientation):
    """EXIF with an orientation and a capture date."""
    outer = struct.pack("<HHHIIHHIII", 2, 0x0112, 3, 1, orientation, 0x8769, 4, 1, 38, 0)
    inner = struct.pack("<HHHIII", 1, 0x9003, 2, 20, 56, 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + outer + inner + b"2019:03:01 12:00:00\0"


def to_p3(picture):
    linear = np.where(picture <= 0.04045 * 255, picture / 255 / 12.92, ((picture / 255 + 0.055) / 1.055) ** 2.4) @ SRGB_TO_P3.T
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def save(name, picture, depth=8, **kw):
    height, width, channels = picture.shape
    options.SAVE_HDR_TO_12_BIT = depth == 12
    mode = "RGBA" if channels == 4 else "RGB"
    levels = np.round(picture).astype(np.uint8) if depth == 8 else np.round(picture * 257).astype(np.uint16)
    mode, kw = (mode, kw) if depth == 8 else (mode + ";16", {**kw, "bit_depth": depth})
    pillow_heif.encode(mode, (width, height), levels.tobytes(), str(OUT / f"{name}.heic"), quality=90, **kw)


def association_of_nothing(name):
    """Changes each association of an item with `pixi` to one with no property, as some phones write it."""
    bytes_ = bytearray((OUT / f"{name}.heic").read_bytes())
    at, number, pixi = bytes_.index(b"ipco") + 4, 1, 0
    while bytes_[at + 4:at + 8] != b"pixi":
        at, number = at + int.from_bytes(bytes_[at:at + 4], "big"), number + 1
    at = bytes_.index(b"ipma") + 4
    assert bytes_[at:at + 4] == bytes(4), "of the narrow kind"
    entries, at = int.from_bytes(bytes_[at + 4:at + 8], "big"), at + 8
    for _ in range(entries):
        count, at = bytes_[at + 2], at + 3
        for i in range(at, at + count):
            if bytes_[i] & 0x7F == number:
                bytes_[i], pixi = 0, pixi + 1
        at += count
    assert pixi
    (OUT / f"{name}.heic").write_bytes(bytes_)


def matrix_of_no_name(name):
    """Changes the matrix to 2, H.273's number for "unspecified"."""
    bytes_ = bytearray((OUT / f"{name}.heic").read_bytes())
    at = bytes_.index(b"colrnclx") + 12
    assert bytes_[at:at + 2] == bytes([0, 6])
    bytes_[at + 1] = 2
    (OUT / f"{name}.heic").write_bytes(bytes_)


OUT.mkdir(parents=True, exist_ok=True)
small, large = quarters(96, 64), quarters(192, 128)
save("no-matrix", small, matrix_coefficients=6, color_primaries=1, transfer_characteristics=13, full_range_flag=1)
matrix_of_no_name("no-matrix")
save("bt709", small, matrix_coefficients=1, color_primaries=1, transfer_characteristics=13, full_range_flag=1)
save("nothing", small)
association_of_nothing("nothing")
turned = {3: np.rot90(small, 2), 6: np.rot90(small), 5: small.transpose(1, 0, 2)}
for orientation, picture in turned.items():
    # The orientation is in `irot` and `imir`, and once more in EXIF.
    save(f"turned-{orientation}", np.ascontiguousarray(picture), exif=exif(orientation))
save("grid", large, tile_size=64)
save("grid-turned", np.ascontiguousarray(np.rot90(large)), tile_size=64, exif=exif(6))
# Tiles that take long enough for several threads to decode at the same time.
save("grid-large", quarters(1536, 1024), tile_size=512)
save("alpha", quarters(96, 64, alpha=True), xmp=XMP)  # the second quarter is transparent
save("ten-bit", small, depth=10, chroma="444")
save("twelve-bit", small, depth=12, chroma="422")
save("display-p3", to_p3(small), matrix_coefficients=6, color_primaries=12, transfer_characteristics=13, full_range_flag=1)
