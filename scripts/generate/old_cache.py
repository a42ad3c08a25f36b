"""Writes tests/it/golden/old-cache.zip: thirty drawn pictures, and the cache and the grid that an earlier version of the
program made from the first twenty-four.

    python scripts/generate/old_cache.py TSNE_GRID OUT.zip

TSNE_GRID is the binary of that version.
"""

import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

RUN = "run photos --model scattering --perplexity 5 --cell 16 --large 48 -o wall.png"


def png(width, height, pixel):
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in pixel(x, y)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def picture(i):
    hue, step = i * 37 % 256, 1 + i % 7
    return png(40 + i % 9, 30 + i % 11, lambda x, y: (hue, x * step * 5 % 256, (y * 6 + i * 11) % 256))


program, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    for i in range(30):
        place = root / ("photos" if i < 24 else "more") / f"{i:03}.png"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(picture(i))
    subprocess.run([program, *RUN.split()], cwd=root, check=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            # Paths and times are meaningless on another machine; thumbnails can be made again.
            if name.startswith(("cache/seen", "cache/thumbs", "cache/sources", "cache/rates", "cache/lock")):
                continue
            if path.is_symlink():
                entry = zipfile.ZipInfo(name)
                entry.create_system, entry.external_attr = 3, 0o120777 << 16
                pack.writestr(entry, os.readlink(path))
            elif path.is_file():
                entry = zipfile.ZipInfo(name)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
                pack.writestr(entry, path.read_bytes())
