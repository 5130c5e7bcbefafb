"""The teachers of `compact`: two VGG-19 encoders behind one face.

Their weights' folder goes in, the features of the taught layers come out. It knows no student.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from danqing.atelier.encoders import CAFFE_BIAS, CAFFE_MATRIX, VGG, VGG_WIDTHS

BY_TRUE = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3")
BY_SMALL = ("relu3_4", "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1")
TAUGHT = BY_TRUE + BY_SMALL
VGG19_PLACES = {
    0: "conv1_1",
    2: "conv1_2",
    5: "conv2_1",
    7: "conv2_2",
    10: "conv3_1",
    12: "conv3_2",
    14: "conv3_3",
}  # torchvision's features.N


class Teachers(nn.Module):
    """The true VGG-19 to relu3_4 and the compressed VGG-19 from relu4_1 to relu5_1, as one frozen encoder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        true = load_file(folder / "vgg19-caffe-conv1_1-conv3_4.safetensors")
        self.true = VGG(VGG_WIDTHS, last="conv3_3", matrix=CAFFE_MATRIX, bias=CAFFE_BIAS)
        self.true.load_state_dict(
            {
                f"{name}.{part}": true[f"features.{place}.{part}"]
                for place, name in VGG19_PLACES.items()
                if name in self.true.names
                for part in ("weight", "bias")
            }
        )
        small = load_file(folder / "vgg19-compressed16x-relu5_1.safetensors")
        self.small = VGG(
            (16, 32, 64, 128, 128),
            matrix=small["conv0.weight"][:, :, 0, 0].tolist(),
            bias=small["conv0.bias"].tolist(),
            padding="reflect",
        )
        self.small.load_state_dict(
            {
                f"{name}.{part}": small[f"{name.replace('_', '')}.{part}"]
                for name in self.small.names
                for part in ("weight", "bias")
            }
        )
        self.scales = dict.fromkeys(self.widths, 1.0)
        self.requires_grad_(requires_grad=False)

    def normalize(self, x: Tensor) -> None:
        """Bring every layer to a mean square of 1 on these pictures: the true VGG's are some hundreds."""
        with torch.no_grad():
            self.scales = {layer: 1 / float(f.float().square().mean().sqrt()) for layer, f in self(x).items()}

    @property
    def widths(self) -> dict[str, int]:
        """{taught layer: channels of the teacher responsible for it}."""
        return {
            layer: (self.true if layer in BY_TRUE else self.small).convolution(layer).out_channels for layer in TAUGHT
        }

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Features of every taught layer, (N, 3, H, W) in 0..1 -> {layer: (N, C, h, w)}."""
        features = {**self.true(x, BY_TRUE), **self.small(x, BY_SMALL)}
        return {layer: value * self.scales[layer] for layer, value in features.items()}


def thin(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every eighth row and column of the first block, every fourth of the second, every second of the third.

    Neighbours there say nearly the same, and keeping and comparing all of them would cost more than the networks.
    """
    every = {"relu1": slice(3, None, 8), "relu2": slice(1, None, 4), "relu3": slice(1, None, 2)}
    places = {layer: every.get(layer[:5], slice(None)) for layer in features}
    return {layer: value[:, :, places[layer], places[layer]] for layer, value in features.items()}
