#!/usr/bin/env python3
"""EfficientNet-Lite0 by timm and PyTorch, with the built-in weights and with preprocessing by Pillow.

    scripts/measure/lite0.py golden > tests/it/golden/lite0.json    golden data of tests/it/lite0.rs
    scripts/measure/lite0.py parity TSNE_GRID PHOTOS                compares vectors, logits and words with ours;
                                                                    for files that are named like ImageNet's
                                                                    (n01440764_tench.JPEG), also the share whose first
                                                                    word is true
    scripts/measure/lite0.py speed TSNE_GRID PHOTOS                 pictures per second with decoding: ours, and Pillow
                                                                    with ONNX Runtime, alternating; medians of 5

Needs timm, torch, safetensors, numpy, Pillow, pandas and pyarrow; speed also onnx and onnxruntime.
"""
import io, json, pathlib, statistics, subprocess, sys, tempfile, time
import numpy as np, pandas as pd, timm, torch
from PIL import Image
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODEL = "efficientnet-lite0"
CLASSES = [line.split("\t") for line in (ROOT / "src/model/imagenet.tsv").read_text().splitlines()]


def network():
    tensors = {name: tensor.float() for name, tensor in load_file(ROOT / f"models/{MODEL}.safetensors").items()}
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    net.load_state_dict(tensors, strict=False)
    return net.eval()


def prepare(picture, fit):
    picture = picture.convert("RGB")
    if fit == "stretch":
        picture = picture.resize((224, 224), Image.BICUBIC)
    else:
        width, height = picture.size
        short = min(width, height)
        picture = picture.resize((256 * width // short, 256 * height // short), Image.BICUBIC)
        left, top = round((picture.width - 224) / 2), round((picture.height - 224) / 2)
        picture = picture.crop((left, top, left + 224, top + 224))
    return (torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() - 127) / 128


@torch.inference_mode()
def vectors_and_logits(net, pictures):
    batches = torch.stack(pictures).split(10)
    vectors = torch.cat([net.global_pool(net.forward_features(batch)) for batch in batches])
    return vectors, net.classifier(vectors)


def drawing(width, height, k):
    """The drawn picture of tests/it/vgg16.rs."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    wave = lambda v, period: np.abs(v % (2 * period) - period) * 255 // period
    blue = np.where((x // 17 + y // 23) % 2 == 0, wave(x + 2 * y, 70), 60)
    return Image.fromarray(np.dstack([wave(x * 3 + y * k, 120), wave(y * 2 + x * y // 40, 90), blue]).astype(np.uint8))


def golden():
    net, out = network(), {}
    for fit in ("crop", "stretch"):
        vectors, logits = vectors_and_logits(net, [prepare(d, fit) for d in (drawing(224, 224, 5), drawing(400, 260, 2))])
        for where, vector, logit in zip(("exact", "wide"), vectors, logits):
            top = logit.softmax(0).topk(5)
            out[f"{fit} {where}"] = {
                "vector": [float(f"{v:.6g}") for v in (vector / vector.norm())[::10]],
                "length": float(vector.norm()),
                "words": [[CLASSES[i][1], float(p)] for p, i in zip(top.values, top.indices)],
            }
    print(json.dumps(out, indent=1))


def ours(program, photos, cache, *flags):
    subprocess.run([program, "embed", photos, "--model", MODEL, "--cache", cache, "-q", *flags], check=True, stdout=subprocess.DEVNULL, cwd=cache)


def parity(program, photos):
    net = network()
    paths = sorted(path for path in pathlib.Path(photos).resolve().iterdir())
    for fit in ("crop", "stretch"):
        theirs, logits = vectors_and_logits(net, [prepare(Image.open(path), fit) for path in paths])
        with tempfile.TemporaryDirectory() as folder:
            ours(program, photos, folder, "--embed-fit", fit)
            latest = pathlib.Path(folder) / "latest"
            images = pd.read_parquet(latest / "images.parquet").set_index("path").image
            shards = pd.concat(pd.read_parquet(path) for path in pathlib.Path(folder).glob("embed/*/*.parquet")).set_index("image")
            words = pd.read_parquet(latest / "words.parquet")
        rows = shards.loc[[images[path.name] for path in paths]]
        vectors = torch.from_numpy(np.stack(rows.embedding) * rows.length.to_numpy()[:, None])
        cosine = torch.nn.functional.cosine_similarity(vectors, theirs)
        apart = (net.classifier(vectors) - logits).abs().amax(1).detach()
        print(f"{fit}: cosine at least {cosine.min():.7f}; logits at most {apart.max():.5f} apart, in half of the photos {apart.median():.6f}")
        first = words[words["rank"] == 1].set_index("image").word
        number = {name: number for number, name, _ in CLASSES}
        truth = [path.name.split("_")[0] for path in paths]
        if all(name.startswith("n0") or name.startswith("n1") for name in truth):
            found = np.mean([number[first[images[path.name]]] == name for path, name in zip(paths, truth)])
            print(f"{fit}: the first word is true of {found:.3f}")


def speed(program, photos):
    import onnxruntime
    file = io.BytesIO()
    net = network()
    torch.onnx.export(torch.nn.Sequential(net, ), (torch.zeros(8, 3, 224, 224),), file, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    paths = sorted(pathlib.Path(photos).resolve().iterdir())

    def peer():
        for at in range(0, len(paths), 8):
            batch = torch.stack([prepare(Image.open(path), "crop") for path in paths[at:at + 8]])
            session.run(None, {"x": batch.numpy()})

    def own():
        with tempfile.TemporaryDirectory() as folder:
            ours(program, photos, folder)

    times = {own: [], peer: []}
    for _ in range(5):
        for run in times:
            start = time.time()
            run()
            times[run].append(len(paths) / (time.time() - start))
    own, peer = (statistics.median(rates) for rates in times.values())
    print(f"ours {own:.1f}/s, Pillow with ONNX Runtime {peer:.1f}/s: {own / peer:.2f} of it")


{"golden": golden, "parity": parity, "speed": speed}[sys.argv[1]](*sys.argv[2:])
