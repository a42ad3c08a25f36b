#!/usr/bin/env python3
"""Measures the scattering model: retrieval of altered photos, agreement of neighbours with coarse groups; also writes
sheets of neighbours and t-SNE grids.

    scripts/measure/scattering.py PHOTOS OUT --embed COMMAND [--seed N]

PHOTOS   a folder of photos; files named like ImageNet's (n01440764_tench.JPEG) also get the figures by group
OUT      a folder for table.md, nn-*.png (a query and its 8 nearest in each row) and grid-*.png
COMMAND  embeds a folder, in the order of names, to a .npy file; {folder} and {out} are replaced

The model is compared with a 16x16 thumbnail, an RGB histogram, and its own blocks alone. Columns of the table:
* share of queries (%) whose nearest photo is the one they were made from. crop75 and crop50 keep 75 % and 50 % of each
  side; light and cast change brightness and contrast, and the colours; `altered` is the mean of these columns
* left/right, top/bottom: mean reciprocal rank (%) of the other half of the same photo among all photos
* group@5, group@15: share of the 5 or 15 nearest in the same group, divided by the share expected by chance
* hub: the largest number of photos that have one and the same photo among their 8 nearest

Needs numpy, Pillow, openTSNE and lapjv.
"""

import argparse
import io
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

SIDE = 128
CELL = 96
ALTERED = "crop75 crop50 flip rotate light cast noise blur jpeg".split()
HALVES = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))
BLOCKS = {"layout": (0, 68), "palette": (68, 253), "edges": (253, 765), "texture": (765, 1149)}

GROUPS = {
    "fish": "tench goldfish great_white_shark eel coho rock_beauty",
    "bird": "brambling goldfinch house_finch water_ouzel kite bald_eagle black_grouse ptarmigan ruffed_grouse lorikeet coucal bee_eater black_swan flamingo little_blue_heron American_egret red-backed_sandpiper redshank dowitcher",
    "reptile or amphibian": "bullfrog tree_frog tailed_frog American_chameleon whiptail agama American_alligator thunder_snake night_snake boa_constrictor rock_python",
    "arthropod": "harvestman scorpion black_and_gold_garden_spider tiger_beetle ladybug ground_beetle ant grasshopper cricket damselfly admiral ringlet fiddler_crab king_crab American_lobster",
    "dog": ("n02085620", "n02120505"),
    "cat": "tabby tiger_cat jaguar lion tiger",
    "wild mammal": "tusker echidna wood_rabbit hare Angora zebra hog wild_boar ibex hartebeest impala otter skunk badger guenon patas baboon titi spider_monkey squirrel_monkey sea_lion",
    "vehicle": "bobsled canoe container_ship convertible forklift jinrikisha lawn_mower Model_T motor_scooter mountain_bike oxcart racer schooner snowmobile space_shuttle steam_locomotive tricycle trimaran unicycle",
    "instrument": "accordion acoustic_guitar banjo bassoon drum maraca marimba steel_drum upright drumstick",
    "clothing": "academic_gown apron bolo_tie bonnet cloak feather_boa hoopskirt jersey military_uniform sweatshirt swimming_trunks clog Loafer running_shoe groom breastplate",
    "electronics": "cash_machine cassette cassette_player digital_clock digital_watch hand-held_computer hard_disc laptop loudspeaker microwave modem Polaroid_camera printer remote_control space_bar television screen microphone space_heater",
    "outdoors": "bell_cote breakwater cliff_dwelling drilling_platform fountain greenhouse mobile_home obelisk steel_arch_bridge stupa water_tower worm_fence mountain_tent alp cliff volcano parachute",
    "indoors": "restaurant grocery_store tobacco_shop dining_table studio_couch bassinet crib bannister",
    "bottle or pot": "beer_bottle beer_glass lotion perfume pill_bottle whiskey_jug goblet Crock_Pot espresso_maker",
    "food": "French_loaf bagel pretzel spaghetti_squash acorn_squash butternut_squash orange lemon fig chocolate_sauce dough meat_loaf",
    "sport": "basketball volleyball football_helmet tennis_ball ping-pong_ball croquet_ball racket ballplayer barbell horizontal_bar parallel_bars scoreboard",
    "tool": "broom chain_saw corkscrew hook power_drill plunger safety_pin shovel swab wooden_spoon plow pencil_sharpener whistle",
    "textile": "handkerchief prayer_rug quilt pillow wool chain_mail",
}


def group_of(stem):
    synset, _, name = stem.partition("_")
    for group, members in GROUPS.items():
        if isinstance(members, tuple):
            if members[0] <= synset <= members[1]:
                return group
        elif name in members.split():
            return group
    return ""


def stretched(image):
    return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def altered(image, rng):
    """The altered copies of one photo, by name of the alteration."""
    w, h = image.size
    out = {"photo": stretched(image)}
    for name, keep in (("crop75", 0.75), ("crop50", 0.5)):
        cw, ch = int(w * keep), int(h * keep)
        x, y = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
        out[name] = stretched(image.crop((x, y, x + cw, y + ch)))
    out["flip"] = stretched(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    turned = image.rotate(int(rng.choice([-8, 8])), Image.Resampling.BILINEAR)
    out["rotate"] = stretched(turned.crop((int(w * 0.1), int(h * 0.1), int(w * 0.9), int(h * 0.9))))
    light = ImageEnhance.Brightness(image).enhance(float(rng.choice([0.65, 1.4])))
    out["light"] = stretched(ImageEnhance.Contrast(light).enhance(float(rng.choice([0.7, 1.35]))))
    cast = np.asarray(image, np.float32) * rng.choice([0.8, 1.0, 1.2], 3)
    out["cast"] = stretched(Image.fromarray(np.clip(cast, 0, 255).astype(np.uint8)))
    noisy = np.asarray(out["photo"], np.float32) + rng.normal(0, 14, (SIDE, SIDE, 3))
    out["noise"] = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    out["blur"] = out["photo"].filter(ImageFilter.GaussianBlur(1.5))
    coarse = io.BytesIO()
    out["photo"].save(coarse, "JPEG", quality=12)
    out["jpeg"] = Image.open(coarse).convert("RGB")
    out["left"] = stretched(image.crop((0, 0, w // 2, h)))
    out["right"] = stretched(image.crop((w // 2, 0, w, h)))
    out["top"] = stretched(image.crop((0, 0, w, h // 2)))
    out["bottom"] = stretched(image.crop((0, h // 2, w, h)))
    return out


def squared(a, b):
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0)


def lift(distances, groups, k):
    known = np.flatnonzero(groups != "")
    distances, groups = distances[np.ix_(known, known)].copy(), groups[known]
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, 1, kind="stable")[:, :k]
    chance = np.mean([(groups == g).sum() - 1 for g in groups]) / (len(groups) - 1)
    return (groups[nearest] == groups[:, None]).mean() / chance


def figures(sets, groups):
    photo, row = sets["photo"], {}
    for name in ALTERED:
        row[name] = 100 * (squared(sets[name], photo).argmin(1) == np.arange(len(photo))).mean()
    ranks = []
    for a, b in HALVES:
        d = squared(sets[a], sets[b])
        ranks.append(100 * (1 / (1 + (d < np.diag(d)[:, None]).sum(1))).mean())
    row["left/right"], row["top/bottom"] = (ranks[0] + ranks[1]) / 2, (ranks[2] + ranks[3]) / 2
    d = squared(photo, photo)
    if (groups != "").any():
        row["group@5"], row["group@15"] = lift(d, groups, 5), lift(d, groups, 15)
    np.fill_diagonal(d, np.inf)
    row["hub"] = np.bincount(np.argsort(d, 1, kind="stable")[:, :8].ravel(), minlength=len(photo)).max()
    return {"altered": np.mean([row[name] for name in ALTERED]), **row}


def cells(photos):
    return [np.asarray(p.resize((CELL, CELL), Image.Resampling.LANCZOS)) for p in photos]


def neighbour_sheet(vectors, pictures, path, rows=24, k=8):
    d = squared(vectors, vectors)
    np.fill_diagonal(d, -1)
    lines = []
    for query in np.linspace(0, len(vectors) - 1, rows).astype(int):
        near = np.argsort(d[query], kind="stable")[1 : k + 1]
        gap = np.full((CELL, 10, 3), 255, np.uint8)
        lines.append(np.concatenate([pictures[query], gap, *[pictures[i] for i in near]], 1))
    left, right = np.concatenate(lines[: rows // 2]), np.concatenate(lines[rows // 2 :])
    Image.fromarray(np.concatenate([left, np.full((len(left), 24, 3), 255, np.uint8), right], 1)).save(path)


def grid(vectors, pictures, path):
    import lapjv
    from openTSNE import TSNE

    n = len(vectors)
    places = np.asarray(TSNE(perplexity=20, random_state=0, n_jobs=2).fit(vectors.astype(np.float64)))
    places = (places - places.min(0)) / (places.max(0) - places.min(0))
    width = int(np.ceil(np.sqrt(n * 4 / 3)))
    height = -(-n // width)
    y, x = np.divmod(np.arange(width * height), width)
    targets = np.stack([x / (width - 1), y / (height - 1)], 1)
    cost = np.zeros((width * height, width * height))
    cost[:n] = squared(places, targets)
    canvas = np.zeros((height * CELL, width * CELL, 3), np.uint8)
    for picture, cell in zip(pictures, lapjv.lapjv(cost)[0]):
        row, column = divmod(int(cell), width)
        canvas[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = picture
    Image.fromarray(canvas).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--embed", required=True)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(args.seed)
    paths = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in (".jpeg", ".jpg", ".png", ".webp"))
    groups = np.array([group_of(p.stem) for p in paths])
    images = {}
    for path in paths:
        image = Image.open(path).convert("RGB")
        image.thumbnail((512, 512))
        for name, copy in altered(image, rng).items():
            images.setdefault(name, []).append(copy)

    with tempfile.TemporaryDirectory() as scratch:
        folder, vectors_file = Path(scratch, "pictures"), Path(scratch, "vectors.npy")
        folder.mkdir()
        for at, copies in enumerate(images.values()):
            for i, image in enumerate(copies):
                image.save(folder / f"{at:02}-{i:05}.png", compress_level=1)
        command = [part.format(folder=folder, out=vectors_file) for part in shlex.split(args.embed)]
        subprocess.run(command, check=True)
        vectors = np.load(vectors_file)

    pixels = np.stack([np.asarray(i) for copies in images.values() for i in copies])
    thumbnails = pixels.reshape(len(pixels), 16, 8, 16, 8, 3).mean((2, 4)).reshape(len(pixels), -1) / 255
    bins = (pixels // 32).astype(int) @ np.array([64, 8, 1])
    histograms = np.stack([np.bincount(b.ravel(), minlength=512) for b in bins]) / SIDE**2

    models = {"scattering": vectors, "16x16 thumbnail": thumbnails, "RGB histogram 8x8x8": np.sqrt(histograms)}
    if vectors.shape[1] == max(end for _, end in BLOCKS.values()):
        for name, (start, end) in BLOCKS.items():
            models[f"{name} alone"] = vectors[:, start:end]
        for name, (start, end) in BLOCKS.items():
            models[f"all but {name}"] = np.delete(vectors, np.s_[start:end], 1)

    lines, head = [], None
    for name, all_vectors in models.items():
        split = np.split(all_vectors.astype(np.float32), len(images))
        row = figures(dict(zip(images, split)), groups)
        if head is None:
            head = list(row)
            lines += ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.2f}" if "group" in c else f"{row[c]:.0f}" for c in head) + " |")
        print(lines[-1], flush=True)
    (args.out / "table.md").write_text("\n".join(lines) + "\n")

    pictures = cells([Image.open(p).convert("RGB") for p in paths])
    for name, label in (("scattering", "scattering"), ("16x16 thumbnail", "thumbnail"), ("RGB histogram 8x8x8", "histogram")):
        of_photos = models[name][: len(paths)].astype(np.float32)
        neighbour_sheet(of_photos, pictures, args.out / f"nn-{label}.png")
        grid(of_photos, pictures, args.out / f"grid-{label}.png")


if __name__ == "__main__":
    main()
