"""Measures the memory that a zip of 3 GB takes.

    python scripts/measure/big_zip.py target/release/tsne-grid

Writes an export of 3,000 pictures of a megabyte each (drawn by `sample`, each with a tail of noise, so that it is as
large as a photograph) and a video of 200 MB into a temporary folder, embeds it, and prints the largest resident size.
Exits with 1 if that is 500 MB or more.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PICTURES, TAIL, FILM = 3_000, 950_000, 200 << 20

program = Path(sys.argv[1]).resolve()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    subprocess.run([program, "sample", "export", "--images", "60", "-q"], check=True, stdout=subprocess.DEVNULL)
    drawn = [path.read_bytes() for path in sorted(Path("export/media").rglob("*.jpg"))]
    with zipfile.ZipFile("big.zip", "w", zipfile.ZIP_STORED) as big:
        for i in range(PICTURES):
            picture = drawn[i % len(drawn)]
            # The noise is before the end marker: the picture is complete, and no two files are equal.
            big.writestr(f"media/posts/202401/{i:05}.jpg", picture[:-2] + os.urandom(TAIL).replace(b"\xff", b"\xfe") + picture[-2:])
        big.writestr("media/reels/202401/film.mp4", b"\0\0\0\x18ftypisom\0\0\2\0" + bytes(FILM))
    size = Path("big.zip").stat().st_size
    began = time.monotonic()
    subprocess.run([program, "embed", "big.zip", "--model", "scattering", "--kinds", "post,reel"], check=True)
    took = time.monotonic() - began
    # The maximum over all children; the other child only draws sixty pictures.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{size / 1e9:.2f} GB in {took:.1f} s, at most {peak / 1e6:.0f} MB resident")
    sys.exit(peak >= 500e6)
