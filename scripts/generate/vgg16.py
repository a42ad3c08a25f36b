#!/usr/bin/env python3
"""Prints tests/it/golden/vgg16.json: features of two drawn pictures by PyTorch, with weights given by a formula.

    scripts/generate/vgg16.py > tests/it/golden/vgg16.json

tests/it/vgg16.rs has the same formulas and compares the program's features with these. Needs torch, torchvision, numpy
and Pillow.
"""
import json
import numpy as np, torch, torchvision
from PIL import Image


def noise(count, salt):
    """Uniform in [-0.5, 0.5), from an integer hash of the index."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(salt) * np.uint64(0x9E3779B9)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 4294967296.0 - 0.5


def picture(width, height, k):
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    wave = lambda v, period: np.abs(v % (2 * period) - period) * 255 // period
    red = wave(x * 3 + y * k, 120)
    green = wave(y * 2 + x * y // 40, 90)
    blue = np.where((x // 17 + y // 23) % 2 == 0, wave(x + 2 * y, 70), 60)
    return np.dstack([red, green, blue]).astype(np.uint8)


net = torchvision.models.vgg16(weights=None).features.eval()
with torch.no_grad():
    for salt, (name, tensor) in enumerate(net.named_parameters(), start=1):
        if name.endswith("weight"):
            fan_in = tensor[0].numel()
            values = noise(tensor.numel(), salt) * (12.0 * 2.0 / fan_in) ** 0.5
        else:
            values = noise(tensor.numel(), salt) * 0.1
        tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape))

mean, std = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def features(image):
    x = ((np.asarray(image, np.float32) / 255 - mean) / std).transpose(2, 0, 1)
    with torch.inference_mode():
        return net(torch.from_numpy(x)[None])[0]


def crop(image):
    short = min(image.size)
    w, h = (int(256 * side / short) for side in image.size)
    image = image.resize((w, h), Image.BILINEAR)
    left, top = round((w - 224) / 2), round((h - 224) / 2)
    return image.crop((left, top, left + 224, top + 224))


exact = Image.fromarray(picture(224, 224, 5))
wide = Image.fromarray(picture(400, 260, 2))
stretched = wide.resize((224, 224), Image.BILINEAR)
cases = {
    "exact flatten stretch": features(exact).flatten()[::97],
    "wide flatten stretch": features(stretched).flatten()[::97],
    "wide flatten crop": features(crop(wide)).flatten()[::97],
    "wide avg stretch": features(stretched).mean((1, 2))[::5],
    "wide max stretch": features(stretched).amax((1, 2))[::5],
}
print(json.dumps({name: [float(f"{v:.6g}") for v in values] for name, values in cases.items()}, indent=1))
