"""The old optimisers, written as plainly as their texts: what danqing's engine is measured against.

    python benchmarks/peers/plain.py lbfgs-tv CONTENT STYLE OUT --steps 300 --size 512 --weights FOLDER
    python benchmarks/peers/plain.py tutorial CONTENT STYLE OUT --steps 300 --size 512 --weights FOLDER

In float32, on the processor, with torch alone. A picture is written to OUT, a JSON line to stdout: seconds in all, and
the loss against the seconds of painting. FOLDER holds the true VGG-19 up to conv3_4; the layers above, which nothing
but their cost and their place in the loss needs here, are drawn (He et al. 2015).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
DEPTHS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 1}
LAYERS = [f"{block}_{n}" for block, depth in DEPTHS.items() for n in range(1, depth + 1)]
STYLE = [f"relu{block}_1" for block in DEPTHS]
MEAN = torch.tensor([103.939, 116.779, 123.68])[:, None, None]  # blue, green, red

Weights = dict[str, tuple[Tensor, Tensor]]


def network(folder: Path) -> Weights:
    """{layer: (kernels, biases)} of VGG-19 to conv5_1: true to conv3_4, drawn above."""
    true = load_file(folder / "vgg19-caffe-conv1_1-conv3_4.safetensors")
    places = sorted({int(name.split(".")[1]) for name in true})
    generator = torch.Generator().manual_seed(0)
    weights: Weights = {}
    channels = 3
    for layer in LAYERS:
        width = WIDTHS[int(layer[0])]
        if places:
            place = places.pop(0)
            weights[layer] = true[f"features.{place}.weight"], true[f"features.{place}.bias"]
        else:
            kernels = torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
            weights[layer] = kernels, torch.zeros(width)
        channels = width
    return weights


def features(weights: Weights, x: Tensor, last: str) -> dict[str, Tensor]:
    """`conv3_1`, `relu3_1` ... of a picture (1, 3, H, W) as the network sees it, up to the layer `last`."""
    found: dict[str, Tensor] = {}
    for layer in LAYERS:
        if layer.endswith("_1") and layer != "1_1":
            x = F.max_pool2d(x, 2)
        found[f"conv{layer}"] = x = F.conv2d(x, *weights[layer], padding=1)
        if f"conv{layer}" == last:
            break
        found[f"relu{layer}"] = x = F.relu(x)
        if f"relu{layer}" == last:
            break
    return found


def gram(f: Tensor) -> Tensor:
    """F·Fᵀ / (C h w) of (1, C, h, w)."""
    _, c, h, w = f.shape
    flat = f.reshape(c, h * w)
    return flat @ flat.T / (c * h * w)


# ── L-BFGS with total variation ─────────────────────────────────────────────────────────────────────────────────────


def lbfgs_tv_loss(weights: Weights, content: Tensor, style: Tensor) -> Callable[[Tensor], Tensor]:
    """Content conv4_2 x 1e5, Gram matrices of relu1_1..relu5_1 x 3e4, total variation x 1; pictures in 0..255, BGR."""
    with torch.no_grad():
        kept = features(weights, content - MEAN, "conv4_2")["conv4_2"]
        wanted = {n: gram(f) for n, f in features(weights, style - MEAN, "relu5_1").items() if n in STYLE}

    def loss(x: Tensor) -> Tensor:
        f = features(weights, x - MEAN, "relu5_1")
        of_content = F.mse_loss(f["conv4_2"], kept)
        of_style = torch.stack([(gram(f[n]) - wanted[n]).square().sum() for n in STYLE]).mean()
        variation = (x[..., 1:] - x[..., :-1]).abs().sum() + (x[..., 1:, :] - x[..., :-1, :]).abs().sum()
        return 1e5 * of_content + 3e4 * of_style + variation

    return loss


def lbfgs_tv(weights: Weights, content: Tensor, style: Tensor, steps: int) -> tuple[Tensor, list[tuple[float, float]]]:
    """Strong Wolfe from the photo; pictures (1, 3, H, W) in 0..255, BGR."""
    loss = lbfgs_tv_loss(weights, content, style)
    x = content.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [x], max_iter=steps, max_eval=25 * steps, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    curve: list[tuple[float, float]] = []
    began = time.monotonic()

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        curve.append((time.monotonic() - began, value.item()))
        return value

    optimizer.step(closure)
    return x.detach().clamp(0, 255), curve


# ── PyTorch's tutorial ──────────────────────────────────────────────────────────────────────────────────────────────


def tutorial(weights: Weights, content: Tensor, style: Tensor, steps: int) -> tuple[Tensor, list[tuple[float, float]]]:
    """L-BFGS, style 1e6, the first five convolutions; pictures (1, 3, H, W) in 0..255, BGR, both square.

    Features are divided by 255 x 0.225, which brings them to the range of torchvision's network that the tutorial uses.
    """
    layers = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]

    def see(x: Tensor) -> dict[str, Tensor]:
        return {n: f / (255 * 0.225) for n, f in features(weights, 255 * x - MEAN, "conv3_1").items()}

    with torch.no_grad():
        kept = see(content / 255)["conv2_2"]
        seen = see(style / 255)
        wanted = {n: gram(seen[n]) for n in layers}
    x = (content / 255).clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x])
    curve: list[tuple[float, float]] = []
    began = time.monotonic()

    def closure() -> Tensor:
        with torch.no_grad():
            x.clamp_(0, 1)
        optimizer.zero_grad()
        f = see(x)
        value = 1e6 * torch.stack([F.mse_loss(gram(f[n]), wanted[n]) for n in layers]).sum()
        value = value + F.mse_loss(f["conv2_2"], kept)
        value.backward()
        curve.append((time.monotonic() - began, value.item()))
        return value

    while len(curve) < steps:
        optimizer.step(closure)
    return 255 * x.detach().clamp(0, 1), curve


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(path: Path, size: int, *, square: bool = False) -> Tensor:
    """A picture at a long side of `size` px, (1, 3, H, W), BGR in 0..255."""
    image = Image.open(path).convert("RGB")
    if square:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    factor = size / max(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32)[..., ::-1].transpose(2, 0, 1).copy())[None]


def write(x: Tensor, path: Path) -> None:
    """(1, 3, H, W), BGR in 0..255, as a file."""
    Image.fromarray(x[0].round().byte().numpy().transpose(1, 2, 0)[..., ::-1].copy()).save(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=("lbfgs-tv", "tutorial"))
    for name in ("content", "style", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--weights", type=Path, required=True)
    args = parser.parse_args()
    paint, square = {"lbfgs-tv": (lbfgs_tv, False), "tutorial": (tutorial, True)}[args.method]
    began = time.monotonic()
    content, style = (read(path, args.size, square=square) for path in (args.content, args.style))
    picture, curve = paint(network(args.weights), content, style, args.steps)
    write(picture, args.out)
    print(json.dumps({"seconds": time.monotonic() - began, "curve": curve}))


if __name__ == "__main__":
    main()
