"""Tests the recipes in scripts/cluster: the commands of the three schedulers with the variables that these set, and a Ray
cluster of three nodes, of which one is removed during the work. The results are compared, by sha256, with one machine's
run.

    python scripts/cluster/test.py [PLACE]

PLACE is where the shards of the Ray test go; the default is a temporary folder. Needs ray, and a built program (or
TSNE_GRID_BIN). Without ray, only the schedulers are tested.
"""

import sys

sys.path.pop(0)  # The folder of this file: `import ray` would import ray.py.

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = os.environ.get("TSNE_GRID_BIN", str(HERE.parent.parent / "target/release/tsne-grid"))
FLAGS = ["--model", "efficientnet-lite0"]
TABLES = ["images", "skipped", "fields", "words", "project", "assign", "groups", "seams"]


def tsne_grid(*words, **env):
    ran = subprocess.run([BIN, *words], capture_output=True, text=True, env={**os.environ, **env})
    assert ran.returncode == 0, f"{words}: {ran.stderr}"
    return ran.stderr


def digests(name):
    files = {table: pathlib.Path(name, "latest", f"{table}.parquet") for table in TABLES}
    files["picture"] = pathlib.Path(f"{name}.png")
    return {what: hashlib.sha256(path.read_bytes()).hexdigest() for what, path in files.items() if path.exists()}


def compare(name, place, expected):
    said = tsne_grid("run", "--list", "list.parquet", "--shards", place, "--seams", *FLAGS, "--cache", name, "-o", f"{name}.png")
    found = digests(name)
    assert found == expected, f"{name}: {[what for what in expected if found.get(what) != expected[what]]} differ"
    told = next(line for line in said.splitlines() if " cached)" in line)
    print(f"{name}: {len(found)} files as one machine makes them; {told}", flush=True)


def with_ray(place, expected):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    print(f"a cluster of {1 + len(nodes)} nodes", flush=True)
    command = [sys.executable, HERE / "ray.py", "export", "--out", place, "--shards", "12", "--", *FLAGS]
    env = {**os.environ, "RAY_ADDRESS": cluster.address, "TSNE_GRID_BIN": BIN}
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    for line in job.stdout:
        print(" ", line, end="", flush=True)
        if line.startswith("3 of"):
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("  a node is removed", flush=True)
    assert job.wait() == 0
    tsne_grid("embed", "--list", "list.parquet", "--shard", "5/12", "--out", place, *FLAGS)
    print("  shard 5 is run once more", flush=True)
    cluster.shutdown()
    compare("ray", place, expected)


def with_schedulers(expected):
    """Runs the command of each recipe as its scheduler would start it, with three shards."""
    yaml = (HERE / "kubernetes.yaml").read_text()
    kubernetes = json.loads(re.search(r"args: (\[.*\])", yaml)[1])
    batch = json.loads((HERE / "aws-batch.json").read_text())["containerOverrides"]["command"]
    assert batch[0] == "tsne-grid" and "JOB_COMPLETIONS" in yaml
    of_index = {
        "slurm": lambda i: {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0"},
        "kubernetes": lambda i: {"JOB_COMPLETION_INDEX": str(i), "JOB_COMPLETIONS": "3"},
        "aws-batch": lambda i: {"AWS_BATCH_JOB_ARRAY_INDEX": str(i), "AWS_BATCH_JOB_ARRAY_SIZE": "3"},
    }
    os.mkdir("bin")
    os.symlink(BIN, "bin/tsne-grid")
    for name, variables in of_index.items():
        for i in range(3):
            env = {**os.environ, **variables(i), "PATH": f"{os.getcwd()}/bin:{os.environ['PATH']}"}
            if name == "slurm":
                env |= {"LIST": "list.parquet", "PLACE": f"of-{name}", "FLAGS": " ".join(FLAGS), "SLURM_CPUS_PER_TASK": "1"}
                command = ["bash", HERE / "slurm.sh"]
            else:
                words = kubernetes if name == "kubernetes" else batch[1:]
                places = {"/data/list.parquet": "list.parquet", "/data/shards": f"of-{name}"}
                command = [BIN, *(places.get(word, word) for word in words), *FLAGS]
            ran = subprocess.run(command, capture_output=True, text=True, env=env)
            assert ran.returncode == 0 and f"shard {i}/3" in ran.stderr, ran.stderr
        compare(name, f"of-{name}", expected)


def main():
    place = sys.argv[1] if len(sys.argv) > 1 else "place"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        began = time.time()
        tsne_grid("sample", "export", "--images", "120")
        tsne_grid("run", "export", "--seams", *FLAGS, "--cache", "one", "-o", "one.png")
        expected = digests("one")
        tsne_grid("list", "export", "--artifact", "list.parquet")
        with_schedulers(expected)
        try:
            import ray  # noqa: F401
        except ImportError:
            print("NOT CHECKED: ray.py (there is no ray)")
        else:
            with_ray(place, expected)
        print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
