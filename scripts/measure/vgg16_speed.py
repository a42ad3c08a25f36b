#!/usr/bin/env python3
"""Speed of VGG16 on the CPU: ours and PyTorch's, alternating in one run; medians and their ratios.

    scripts/measure/vgg16_speed.py WEIGHTS.safetensors PHOTOS [--rounds 5] [--threads N] [--level avx2|portable]
                                                              [--only network|whole]

network: block5_pool of batches of 8 and 1, f32; PyTorch in channels_last and in its default layout, of which the better
one counts. whole: `tsne-grid embed` of the folder into an empty cache, as a process from start to end, compared with a
loop of Pillow and PyTorch that is already running (its start and the loading of its weights are not counted). The
script builds our programs first. Needs torch, torchvision, safetensors, numpy and Pillow.
"""
import argparse, os, pathlib, statistics, subprocess, tempfile, time
import numpy as np, torch, torchvision
from PIL import Image, ImageOps
from safetensors.torch import load_file

a = argparse.ArgumentParser()
a.add_argument("weights"); a.add_argument("photos"); a.add_argument("--rounds", type=int, default=5)
a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0))); a.add_argument("--level")
a.add_argument("--only", choices=("network", "whole"))
a = a.parse_args()
root = pathlib.Path(__file__).resolve().parent.parent.parent
weights, photos = os.path.abspath(a.weights), os.path.abspath(a.photos)
environment = {**os.environ, "RAYON_NUM_THREADS": str(a.threads)}
if a.level:
    environment["TSNE_GRID_SIMD"] = a.level
torch.set_num_threads(a.threads)

tensors = {k[len("features."):]: v for k, v in load_file(weights).items() if k.startswith("features.")}
nets = {}
for layout in (torch.channels_last, torch.contiguous_format):
    net = torchvision.models.vgg16(weights=None).features.eval()
    net.load_state_dict(tensors)
    nets[layout] = net.to(memory_format=layout)


def theirs_alone(layout, batch):
    x = torch.randn(batch, 3, 224, 224).to(memory_format=layout)
    with torch.inference_mode():
        nets[layout](x)
        start, batches = time.perf_counter(), 0
        while time.perf_counter() - start < 1:
            nets[layout](x)
            batches += 1
        return batches * batch / (time.perf_counter() - start)


names = sorted(n for n in os.listdir(photos) if n.lower().endswith((".jpg", ".jpeg", ".png", ".webp")))
mean, std = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def load(name):
    image = ImageOps.exif_transpose(Image.open(os.path.join(photos, name))).convert("RGB").resize((224, 224), Image.BILINEAR)
    return ((np.asarray(image, np.float32) / 255 - mean) / std).transpose(2, 0, 1)


def theirs_whole():
    net, start = nets[torch.channels_last], time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(names), 8):
            x = torch.from_numpy(np.stack([load(name) for name in names[i:i + 8]])).to(memory_format=torch.channels_last)
            net(x).contiguous().flatten(1).numpy()
    return len(names) / (time.perf_counter() - start)


def ours_whole():
    with tempfile.TemporaryDirectory() as cache:
        command = [root / "target/release/tsne-grid", "embed", photos, "--weights", weights, "--cache", cache, "--offline", "-q"]
        start = time.perf_counter()
        subprocess.run(command, env=environment, cwd=cache, check=True, stdout=subprocess.DEVNULL)
        return len(names) / (time.perf_counter() - start)


def show(what, ours, theirs):
    best = max(theirs, key=lambda name: statistics.median(theirs[name]))
    ratio = statistics.median(ours) / statistics.median(theirs[best])
    others = ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in theirs.items())
    print(f"{what}: ours {statistics.median(ours):.2f} ({min(ours):.2f}-{max(ours):.2f}), {others} images/s: {ratio:.2f}x", flush=True)


subprocess.run(["cargo", "build", "--release", "-q"], cwd=root, check=True)
if a.only != "whole":
    bench = ["cargo", "bench", "-q", "--bench", "vgg16", "--", weights, "--serve"]
    ours = subprocess.Popen(bench, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(ours.stdout.readline().strip(), f"; torch {torch.__version__}, {a.threads} threads", flush=True)
    for batch in (8, 1):
        mine, channels_last, default = [], [], []
        for _ in range(a.rounds):
            print(batch, file=ours.stdin, flush=True)
            mine.append(float(ours.stdout.readline()))
            channels_last.append(theirs_alone(torch.channels_last, batch))
            default.append(theirs_alone(torch.contiguous_format, batch))
        show(f"network, batch {batch}", mine, {"channels_last": channels_last, "default layout": default})
    ours.stdin.close()
    ours.wait()
if a.only != "network":
    mine, theirs = [], []
    for _ in range(a.rounds):
        mine.append(ours_whole())
        theirs.append(theirs_whole())
    show(f"whole embed of {len(names)} pictures", mine, {"Pillow and PyTorch": theirs})
