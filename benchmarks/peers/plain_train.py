"""A peer for train.py: the training loop of the old fast-neural-style scripts, written plainly in float32.

Johnson's network, a VGG-16-shaped encoder to relu4_3 with drawn weights (time does not depend on them), batch 4,
256 px, the losses of pytorch/examples, Adam. No channels-last, no bfloat16, nothing compiled, photographs read one by
one in the same thread. Prints a JSON line: seconds of every step.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from danqing.atelier.nets.johnson import Johnson

CUT = {3: "relu1_2", 8: "relu2_2", 15: "relu3_3", 22: "relu4_3"}
WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def vgg16() -> nn.Sequential:
    """The layers to relu4_3, weights drawn."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers).requires_grad_(requires_grad=False)


def features(vgg: nn.Sequential, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The four layers."""
    found = {}
    for place, layer in enumerate(vgg):
        x = layer(x)
        if place in CUT:
            found[CUT[place]] = x
    return found


def normalize(x: torch.Tensor) -> torch.Tensor:
    """0..255 to what VGG sees."""
    return (x / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def gram(x: torch.Tensor) -> torch.Tensor:
    """F·Fᵀ / (C·h·w)."""
    flat = x.flatten(2)
    return flat.bmm(flat.transpose(1, 2)) / flat[0].numel()


def read(path: Path, size: int) -> torch.Tensor:
    """The middle square of a photograph, (3, size, size) in 0..255."""
    image = Image.open(path).convert("RGB")
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return torch.from_numpy(np.asarray(image.crop((left, top, left + size, top + size)))).permute(2, 0, 1).float()


def main() -> None:
    """plain_train.py PHOTOS STYLE STEPS BATCH SIZE"""
    photos, style, steps, batch, size = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6])
    files = sorted(photos.glob("*.jpg"))
    torch.manual_seed(1)
    net, vgg = Johnson(), vgg16()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    wanted = {name: gram(value) for name, value in features(vgg, normalize(read(style, size)[None])).items()}
    seconds = []
    for step in range(steps):
        began = time.monotonic()
        x = torch.stack([read(files[(step * batch + place) % len(files)], size) for place in range(batch)])
        optimizer.zero_grad()
        y = net(x)
        seen, asked = features(vgg, normalize(y)), features(vgg, normalize(x))
        loss = 1e5 * F.mse_loss(seen["relu2_2"], asked["relu2_2"])
        loss = loss + 1e10 * sum(F.mse_loss(gram(seen[name]), wanted[name].expand(batch, -1, -1)) for name in wanted)
        loss.backward()
        optimizer.step()
        seconds.append(time.monotonic() - began)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
