#!/usr/bin/env python3
"""The pretrained networks by PyTorch (transformers, torchvision), with weights given by a formula.

    scripts/measure/models.py golden > tests/it/golden/models.json    golden data of tests/it/models.rs, which has the
                                                                      same formula
    scripts/measure/models.py parity TSNE_GRID PHOTOS [COUNT]         cosines between our vectors and PyTorch's, of
                                                                      COUNT (50) photos
    scripts/measure/models.py weights MODEL DIR                       writes the model's file by the formula, and a
                                                                      vocabulary
    scripts/measure/models.py speed TSNE_GRID PHOTOS [COUNT]          pictures per second, ours and PyTorch's in turn;
                                                                      medians of 3

Needs torch, torchvision, transformers, safetensors, numpy, Pillow, pandas and pyarrow.
"""
import contextlib, json, os, pathlib, statistics, subprocess, sys, tempfile, time
import numpy as np, pandas as pd, torch, torchvision
from PIL import Image
from safetensors.numpy import save_file
from torchvision import transforms as T
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, SiglipConfig, SiglipModel

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
# Preprocessing by the authors: the short side (SigLIP 2 stretches), mean and standard deviation.
PREPARED = {"clip-vit-base-patch32": (224, *CLIP), "dinov2-small": (256, *IMAGENET), "resnet50": (235, *IMAGENET),
            "siglip2-base-patch32-256": (None, (0.5,) * 3, (0.5,) * 3)}


def noise(count, salt):
    """Uniform in [-0.5, 0.5), from an integer hash of the index."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(salt * 0x9E3779B9 & 0xFFFFFFFF)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 4294967296.0 - 0.5


class Formula(dict):
    """Tensors by name; `blocks` of a tower are filled, the others are zero, so that they pass their input through."""

    def add(self, name, shape, base, scale):
        count = int(np.prod(shape))
        filled = 1024 * shape[1] if shape[0] == 256_000 else count
        numbers = np.zeros(count, np.float32)
        if base or scale:
            numbers[:filled] = base + scale * noise(filled, len(self) + 1)
        self[name] = numbers.reshape(shape)

    def norm(self, name, width, on=True):
        self.add(f"{name}.weight", [width], on * 1.0, on * 0.4)
        self.add(f"{name}.bias", [width], 0.0, on * 0.2)

    def dense(self, name, to, of, on=True, bias=True, gain=1.0):
        of = [of] if isinstance(of, int) else of
        self.add(f"{name}.weight", [to, *of], 0.0, on * (12.0 * gain / int(np.prod(of))) ** 0.5)
        if bias:
            self.add(f"{name}.bias", [to], 0.0, on * 0.2)

    def clip_tower(self, tower, width, blocks):
        for i in range(12):
            at, on = f"{tower}.encoder.layers.{i}", i < blocks
            self.norm(f"{at}.layer_norm1", width, on)
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self.dense(f"{at}.self_attn.{part}", width, width, on)
            self.norm(f"{at}.layer_norm2", width, on)
            self.dense(f"{at}.mlp.fc1", 4 * width, width, on)
            self.dense(f"{at}.mlp.fc2", width, 4 * width, on)


def clip(blocks):
    f = Formula()
    f.add("vision_model.embeddings.class_embedding", [768], 0.0, 1.0)
    f.dense("vision_model.embeddings.patch_embedding", 768, [3, 32, 32], bias=False)
    f.add("vision_model.embeddings.position_embedding.weight", [50, 768], 0.0, 1.0)
    f.norm("vision_model.pre_layrnorm", 768)
    f.clip_tower("vision_model", 768, blocks)
    f.norm("vision_model.post_layernorm", 768)
    f.dense("visual_projection", 512, 768, bias=False)
    f.add("text_model.embeddings.token_embedding.weight", [49408, 512], 0.0, 1.0)
    f.add("text_model.embeddings.position_embedding.weight", [77, 512], 0.0, 1.0)
    f.clip_tower("text_model", 512, blocks)
    f.norm("text_model.final_layer_norm", 512)
    f.dense("text_projection", 512, 512, bias=False)
    return f


def siglip2(blocks):
    f = Formula()
    f.dense("vision_model.embeddings.patch_embedding", 768, [3, 32, 32])
    f.add("vision_model.embeddings.position_embedding.weight", [64, 768], 0.0, 1.0)
    f.clip_tower("vision_model", 768, blocks)
    f.norm("vision_model.post_layernorm", 768)
    f.add("vision_model.head.probe", [1, 1, 768], 0.0, 1.0)
    f.add("vision_model.head.attention.in_proj_weight", [3 * 768, 768], 0.0, (12.0 / 768) ** 0.5)
    f.add("vision_model.head.attention.in_proj_bias", [3 * 768], 0.0, 0.2)
    f.dense("vision_model.head.attention.out_proj", 768, 768)
    f.norm("vision_model.head.layernorm", 768)
    f.dense("vision_model.head.mlp.fc1", 4 * 768, 768)
    f.dense("vision_model.head.mlp.fc2", 768, 4 * 768)
    f.add("text_model.embeddings.token_embedding.weight", [256_000, 768], 0.0, 1.0)
    f.add("text_model.embeddings.position_embedding.weight", [64, 768], 0.0, 1.0)
    f.clip_tower("text_model", 768, blocks)
    f.norm("text_model.final_layer_norm", 768)
    f.dense("text_model.head", 768, 768)
    return f


def dinov2():
    f = Formula()
    f.add("embeddings.cls_token", [1, 1, 384], 0.0, 1.0)
    f.add("embeddings.position_embeddings", [1, 1370, 384], 0.0, 1.0)
    f.dense("embeddings.patch_embeddings.projection", 384, [3, 14, 14])
    for i in range(12):
        at = f"encoder.layer.{i}"
        f.norm(f"{at}.norm1", 384)
        for part in ("attention.query", "attention.key", "attention.value", "output.dense"):
            f.dense(f"{at}.attention.{part}", 384, 384)
        f.add(f"{at}.layer_scale1.lambda1", [384], 0.5, 0.4)
        f.norm(f"{at}.norm2", 384)
        f.dense(f"{at}.mlp.fc1", 1536, 384)
        f.dense(f"{at}.mlp.fc2", 384, 1536)
        f.add(f"{at}.layer_scale2.lambda1", [384], 0.5, 0.4)
    f.norm("layernorm", 384)
    return f


def resnet50():
    f = Formula()

    def conv(name, norm, to, of, side):
        f.dense(name, to, [of, side, side], bias=False, gain=2.0)
        f.norm(norm, to)
        f.add(f"{norm}.running_mean", [to], 0.0, 0.4)
        f.add(f"{norm}.running_var", [to], 1.0, 0.5)

    conv("conv1", "bn1", 64, 3, 7)
    of = 64
    for layer, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for i in range(blocks):
            at = f"layer{layer}.{i}"
            conv(f"{at}.conv1", f"{at}.bn1", width, of, 1)
            conv(f"{at}.conv2", f"{at}.bn2", width, width, 3)
            conv(f"{at}.conv3", f"{at}.bn3", 4 * width, width, 1)
            if i == 0:
                conv(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, of, 1)
            of = 4 * width
    return f


def loaded(model, tensors, rename=lambda name: name):
    """The model with these tensors; further tensors that it has must not influence its output."""
    result = model.load_state_dict({rename(name): torch.from_numpy(t) for name, t in tensors.items()}, strict=False)
    spare = ("logit_scale", "logit_bias", "embeddings.mask_token", "num_batches_tracked", "fc.weight", "fc.bias")
    assert not result.unexpected_keys and all(name.endswith(spare) for name in result.missing_keys), result
    return model.eval()


def dino_name(name):
    """transformers names the parts of attention differently from the hub's file."""
    for old, new in (("attention.attention.query", "attention.q_proj"), ("attention.attention.key", "attention.k_proj"),
                     ("attention.attention.value", "attention.v_proj"), ("attention.output.dense", "attention.o_proj")):
        name = name.replace(old, new)
    return name


def network(name, tensors):
    """Functions from a batch of prepared pictures to vectors; for CLIP and SigLIP 2 also from token numbers to one."""
    if name == "resnet50":
        model = loaded(torchvision.models.resnet50(weights=None), tensors)
        model.fc = torch.nn.Identity()
        return model, None
    if name == "dinov2-small":
        config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
        model = loaded(Dinov2Model(config), tensors, dino_name)
        return lambda x: model(x).pooler_output, None
    unit = torch.nn.functional.normalize
    if name.startswith("siglip2"):
        sizes = {"vision_config": {"image_size": 256, "patch_size": 32}, "text_config": {"vocab_size": 256_000}}
        model = loaded(SiglipModel(SiglipConfig(**sizes)), tensors)
        texts = lambda numbers: unit(model.text_model(torch.tensor([numbers])).pooler_output)
        return lambda x: unit(model.vision_model(pixel_values=x).pooler_output), texts
    model = loaded(CLIPModel(CLIPConfig()), tensors)

    def texts(numbers):
        # The end token has the highest number in every vocabulary.
        model.text_model.eos_token_id = model.config.text_config.eos_token_id = max(numbers)
        return unit(model.text_projection(model.text_model(torch.tensor([numbers])).pooler_output))

    return lambda x: unit(model.visual_projection(model.vision_model(pixel_values=x).pooler_output)), texts


def prepare(name, image):
    short, mean, std = PREPARED[name]
    size = [T.Resize(short, T.InterpolationMode.BICUBIC), T.CenterCrop(224)] if short else [T.Resize((256, 256))]
    steps = [*size, T.ToTensor(), T.Normalize(mean, std)]
    return T.Compose(steps)(image.convert("RGB"))


def drawing(width, height, k):
    """The drawn picture of tests/it/vgg16.rs."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    wave = lambda v, period: np.abs(v % (2 * period) - period) * 255 // period
    blue = np.where((x // 17 + y // 23) % 2 == 0, wave(x + 2 * y, 70), 60)
    return Image.fromarray(np.dstack([wave(x * 3 + y * k, 120), wave(y * 2 + x * y // 40, 90), blue]).astype(np.uint8))


# The small vocabularies and their tokens (scripts/generate/tokens.py), for the models that read text.
VOCABULARIES = {"clip-vit-base-patch32": ("tokenizer.json", "tokens.json"), "siglip2-base-patch32-256": ("gemma.json", "gemma_tokens.json")}


def small(name, of):
    return (ROOT / "src/model/golden" / VOCABULARIES[name][of]).read_text()


def golden():
    out = {}
    for name, tensors in (("clip-vit-base-patch32", clip(2)), ("dinov2-small", dinov2()), ("resnet50", resnet50()),
                          ("siglip2-base-patch32-256", siglip2(2))):
        pictures, texts = network(name, tensors)
        vectors = [pictures(prepare(name, d)[None])[0] for d in (drawing(224, 224, 5), drawing(400, 260, 2))]
        for where, vector in zip(("exact", "wide"), vectors):
            out[f"{name} {where}"] = vector[:: len(vector) // 128]
        if texts:
            numbers = dict(json.loads(small(name, 1)))["a dog on a beach"]
            out[f"{name} a dog on a beach"] = torch.stack(vectors) @ texts(numbers)[0]
    print(json.dumps({name: [float(f"{v:.6g}") for v in values] for name, values in out.items()}, indent=1))


def ours(program, name, weights, photos, work, *flags):
    command = [program, "embed", photos, "--model", name, "--weights", weights, "--cache", work / "cache", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=work)


def vectors_of(cache):
    index = pd.read_parquet(cache / "latest/embed.parquet").merge(pd.read_parquet(cache / "latest/images.parquet")[["image", "path"]], on="image")
    shards = {path.name: pd.read_parquet(path) for path in cache.glob("embed/*/*.parquet")}
    return {row.path: np.asarray(shards[row.shard].embedding[row.row], np.float64) for row in index.itertuples()}


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def chosen(photos, count, work):
    """A folder with links to `count` of the photos, evenly chosen."""
    folder = work / "photos"
    folder.mkdir()
    paths = sorted(pathlib.Path(photos).resolve().iterdir())
    for path in paths[:: max(1, len(paths) // count)][:count]:
        os.symlink(path, folder / path.name)
    return folder


FORMULAS = {"clip-vit-base-patch32": lambda: clip(12), "dinov2-small": dinov2, "resnet50": resnet50,
            "siglip2-base-patch32-256": lambda: siglip2(12)}


def weights(name, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(FORMULAS[name](), folder / "model.safetensors")
    if name in VOCABULARIES:
        (folder / "tokenizer.json").write_text(small(name, 0))


@contextlib.contextmanager
def collection(formula, photos, count):
    """A working folder with weights by the formula, their tensors, and the chosen photos."""
    with tempfile.TemporaryDirectory() as folder:
        work, tensors = pathlib.Path(folder), formula()
        save_file(tensors, work / "model.safetensors")
        yield work, tensors, chosen(photos, int(count), work)


def parity(program, photos, count=50):
    for name, formula in FORMULAS.items():
        with collection(formula, photos, count) as (work, tensors, folder):
            ours(program, name, work / "model.safetensors", folder, work, "-q")
            found = vectors_of(work / "cache")
            pictures, texts = network(name, tensors)
            a = np.stack([found[path] for path in sorted(found)])
            images = [Image.open(folder / path) for path in sorted(found)]
            b = np.stack([pictures(prepare(name, image)[None])[0].numpy() for image in images]).astype(np.float64)
            plain, centred = cosines(a, b), cosines(a - a.mean(0), b - b.mean(0))
            print(f"{name}: {len(a)} photos of {a.shape[1]}: least cosine {plain.min():.9f}, median {np.median(plain):.9f}, "
                  f"least of the centred vectors {centred.min():.9f}", flush=True)
            if texts:
                text_parity(program, name, work, texts, b, sorted(found))


def text_parity(program, name, work, texts, pictures, paths):
    """Compares the scores of `search` with the small vocabulary of the tests."""
    (work / "tokenizer.json").write_text(small(name, 0))
    worst = 0.0
    for caption, numbers in json.loads(small(name, 1))[::20]:
        command = [program, "search", caption, "--limit", "999", "--json", "--weights", work / "model.safetensors", "--cache", work / "cache"]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=work).stdout)
        scores = {picture["path"]: picture["score"] for picture in answer["pictures"]}
        theirs = pictures @ texts(numbers)[0].numpy()
        worst = max(worst, np.abs(np.array([scores[path] for path in paths]) - theirs).max())
    print(f"search: scores differ by at most {worst:.1e}", flush=True)


def speed(program, photos, count=60):
    """With decoding: ours is the time of `embed` less that for a single picture; theirs decodes on one thread."""
    for name, formula in FORMULAS.items():
        with collection(formula, photos, count) as (work, tensors, folder):
            one = work / "one"
            one.mkdir()
            first = sorted(folder.iterdir())[0]
            os.symlink(first, one / first.name)
            pictures, _ = network(name, tensors)

            def our_seconds(source):
                subprocess.run(["rm", "-rf", work / "cache"], check=True)
                started = time.perf_counter()
                ours(program, name, work / "model.safetensors", source, work, "-q")
                return time.perf_counter() - started

            def their_seconds():
                started = time.perf_counter()
                paths = sorted(folder.iterdir())
                for i in range(0, len(paths), 8):
                    pictures(torch.stack([prepare(name, Image.open(path)) for path in paths[i:i + 8]]))
                return time.perf_counter() - started

            n = len(list(folder.iterdir()))
            rates = [((n - 1) / (our_seconds(folder) - our_seconds(one)), n / their_seconds()) for _ in range(3)]
            a, b = (statistics.median(side) for side in zip(*rates))
            print(f"{name}: ours {a:.2f}/s, PyTorch {b:.2f}/s, ratio {a / b:.2f}", flush=True)


with torch.inference_mode():
    {"golden": golden, "weights": weights, "parity": parity, "speed": speed}[sys.argv[1]](*sys.argv[2:])
