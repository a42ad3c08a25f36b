"""Embeds pictures on a Ray cluster, in shards that any node can take. If a node is lost, its shards are retried elsewhere.

    python scripts/cluster/ray.py SOURCE… --out PLACE --shards N [--list list.parquet] [-- FLAGS of `tsne-grid embed`]

Needs ray. Every node needs `tsne-grid` (or TSNE_GRID_BIN), the sources under the same paths, and PLACE. Afterwards, on
any machine:

    tsne-grid run --list list.parquet --shards PLACE
"""

import sys

sys.path.pop(0)  # The folder of this file: `import ray` would import this file.

import argparse
import json
import os
import subprocess
import tempfile

import ray

BIN = os.environ.get("TSNE_GRID_BIN", "tsne-grid")


def answer(*words):
    """The JSON output of the program. Raises its standard error if it fails."""
    ran = subprocess.run([BIN, *words, "--quiet", "--json"], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ran.stderr.strip()}")
    return json.loads(ran.stdout)


@ray.remote(num_cpus=1, max_retries=10, retry_exceptions=True)
def shard(list_bytes, number, count, place, flags):
    """Embeds one shard; parts that are already in the place are skipped."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "list.parquet")
        with open(path, "wb") as file:
            file.write(list_bytes)
        words = ["--list", path, "--shard", f"{number}/{count}", "--out", place, "--threads", "1"]
        return answer("embed", *words, "--cache", os.path.join(folder, "cache"), *flags)["counts"]


def main():
    own, flags = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, flags = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE")
    parser.add_argument("--out", required=True, metavar="PLACE")
    parser.add_argument("--shards", required=True, type=int, metavar="N")
    parser.add_argument("--list", default="list.parquet", metavar="FILE")
    args = parser.parse_args(own)

    counts = answer("list", *map(os.path.abspath, args.sources), "--artifact", args.list)["counts"]
    print(f"{counts['inputs']} inputs", flush=True)
    place = args.out if "://" in args.out else os.path.abspath(args.out)
    ray.init()
    with open(args.list, "rb") as file:
        list_bytes = ray.put(file.read())
    waiting = [shard.remote(list_bytes, i, args.shards, place, flags) for i in range(args.shards)]
    embedded = 0
    while waiting:
        done, waiting = ray.wait(waiting)
        embedded += sum(counts["embedded"] for counts in ray.get(done))
        print(f"{args.shards - len(waiting)} of {args.shards} shards, {embedded} pictures embedded", flush=True)


if __name__ == "__main__":
    main()
