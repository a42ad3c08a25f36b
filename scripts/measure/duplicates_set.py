#!/usr/bin/env python3
"""Writes a set of pictures on which scripts/measure/duplicates.py measures the search for duplicates.

    scripts/measure/duplicates_set.py PHOTOGRAPHS OUT

Of each photograph there are: the original; three altered copies, which take turns between re-encoded, resized, cropped
by 3 %, brightened and slightly edited; and one similar picture that is not the same shot, in turn a mirrored one,
another part of the photograph, and a frame of a moment later. A file is named after its photograph, `--`, and the
alteration, which begins with `same` or `other`. The files are the same every time. Needs numpy and Pillow.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance


def encoded(picture, quality):
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return data.getvalue()


def resized(picture, factor):
    return picture.resize([max(1, round(side * factor)) for side in picture.size], Image.LANCZOS)


def cropped(picture, random):
    """Crops 3 % of each side, all of it at one edge or some at both."""
    (width, height), [x, y] = picture.size, random.random(2) * 0.03
    return picture.crop((round(width * x), round(height * y), round(width * (x + 0.97)), round(height * (y + 0.97))))


def edited(picture, random):
    """A line of text, more contrast, somewhat less colour: typical edits before a picture is shared."""
    picture = ImageEnhance.Color(ImageEnhance.Contrast(picture).enhance(1.15)).enhance(0.8)
    width, height = picture.size
    x, y = random.random(2) * [width * 0.5, height * 0.85]
    ImageDraw.Draw(picture).text((x, y), "seen on Sunday", fill=(255, 255, 255), font_size=max(10, height * 0.06))
    return picture


def other_part(picture, random):
    """Crops to two thirds of each side, from a corner."""
    width, height = picture.size
    x, y = random.integers(0, 2, 2) / 3
    return picture.crop((round(width * x), round(height * y), round(width * (x + 2 / 3)), round(height * (y + 2 / 3))))


def later(picture, random):
    """The camera has moved by 2 to 5 % and turned by a degree or two; the scene has moved locally by up to 3 %."""
    width, height = picture.size
    pixels = np.asarray(picture, dtype=np.float32)
    coarse = random.normal(size=(2, 6, 6)).astype(np.float32)
    bend = [np.asarray(Image.fromarray(plane).resize((width, height), Image.BICUBIC)) for plane in coarse]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, move = np.radians(random.uniform(1, 2) * random.choice([-1, 1])), random.uniform(0.02, 0.05, 2) * random.choice([-1, 1], 2)
    dx, dy = x - width / 2, y - height / 2
    from_x = np.cos(angle) * dx - np.sin(angle) * dy + width * (0.5 + move[0]) + 0.015 * width * bend[0]
    from_y = np.sin(angle) * dx + np.cos(angle) * dy + height * (0.5 + move[1]) + 0.015 * height * bend[1]
    # The edge is mirrored: what the camera sees there is new, but similar.
    fold = lambda at, end: np.abs((at + end - 1) % (2 * (end - 1)) - (end - 1)) if end > 1 else at * 0
    from_x, from_y = fold(from_x, width), fold(from_y, height)
    left, top = np.minimum(from_x.astype(int), width - 2), np.minimum(from_y.astype(int), height - 2)
    a, b = (from_x - left)[..., None], (from_y - top)[..., None]
    at = lambda dy, dx: pixels[top + dy, left + dx]
    mixed = (at(0, 0) * (1 - a) + at(0, 1) * a) * (1 - b) + (at(1, 0) * (1 - a) + at(1, 1) * a) * b
    return Image.fromarray(np.clip(mixed + random.normal(scale=2, size=mixed.shape), 0, 255).astype(np.uint8))


COPIES = {
    "reencoded": lambda picture, random: encoded(picture, int(random.integers(35, 70))),
    "resized": lambda picture, random: encoded(resized(picture, random.uniform(0.35, 0.8)), 85),
    "cropped": lambda picture, random: encoded(cropped(picture, random), 90),
    "brightened": lambda picture, random: encoded(ImageEnhance.Brightness(picture).enhance(random.uniform(1.15, 1.5)), 90),
    "edited": lambda picture, random: encoded(edited(picture, random), 90),
}
OTHERS = {
    "mirrored": lambda picture, random: encoded(picture.transpose(Image.FLIP_LEFT_RIGHT), 90),
    "part": lambda picture, random: encoded(other_part(picture, random), 90),
    "later": lambda picture, random: encoded(later(picture, random), 90),
}


def main():
    source, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True)
    copies, others = list(COPIES), list(OTHERS)
    for number, path in enumerate(sorted(p for p in source.iterdir() if p.is_file())):
        random = np.random.default_rng(number)
        (out / f"{path.stem}--same-itself.jpg").write_bytes(path.read_bytes())
        picture = Image.open(path).convert("RGB")
        for i in range(3):
            name = copies[(3 * number + i) % len(copies)]
            (out / f"{path.stem}--same-{name}.jpg").write_bytes(COPIES[name](picture, random))
        name = others[number % len(others)]
        (out / f"{path.stem}--other-{name}.jpg").write_bytes(OTHERS[name](picture, random))


main()
