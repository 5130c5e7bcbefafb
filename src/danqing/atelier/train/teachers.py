"""The teachers of `compact`: two VGG-19 encoders behind one face.

Their weights' folder goes in, what they see comes out, lesson by lesson. It knows no student.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from danqing.atelier.encoders import CAFFE_BIAS, CAFFE_MATRIX, VGG, VGG_WIDTHS

BY_TRUE = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3")
BY_SMALL = (*BY_TRUE, "relu3_4", "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1")
TAUGHT = BY_SMALL  # layers of the student
LESSONS = (*(f"true/{layer}" for layer in BY_TRUE), *(f"small/{layer}" for layer in BY_SMALL))
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
    """The true VGG-19 to relu3_3 and the compressed VGG-19 to relu5_1, frozen, side by side.

    The early layers of the compressed one are taught too: a student of its size can learn each of them nearly exactly
    from the one before, which paves the way to the deep layers that only it can teach.
    """

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
        self.scales = dict.fromkeys(LESSONS, 1.0)
        self.requires_grad_(requires_grad=False)

    def normalize(self, x: Tensor) -> None:
        """Bring every layer to a mean square of 1 on these pictures: the true VGG's are some hundreds."""
        with torch.no_grad():
            self.scales = {name: 1 / float(f.float().square().mean().sqrt()) for name, f in self(x).items()}

    @property
    def widths(self) -> dict[str, int]:
        """{lesson: channels}."""
        teachers = {"true": self.true, "small": self.small}
        return {
            lesson: teachers[teacher].convolution(layer).out_channels
            for lesson in LESSONS
            for teacher, layer in (lesson.split("/"),)
        }

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The answer to every lesson, (N, 3, H, W) in 0..1 -> {lesson: (N, C, h, w)}."""
        answers = {f"true/{layer}": value for layer, value in self.true(x, BY_TRUE).items()}
        answers |= {f"small/{layer}": value for layer, value in self.small(x, BY_SMALL).items()}
        return {lesson: answers[lesson] * self.scales[lesson] for lesson in LESSONS}


def lesson_of(layer: str) -> str:
    """The lesson that a layer is judged by: `true/relu3_1`, and `small/relu4_1` where there is no true one."""
    return f"true/{layer}" if layer in BY_TRUE else f"small/{layer}"


def layer_of(lesson: str) -> str:
    """The layer that a lesson is about: `relu3_1` of `true/relu3_1`."""
    return lesson.partition("/")[2]


def thin(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every eighth row and column of the first block, every fourth of the second, every second of the third.

    Neighbours there say nearly the same, and keeping and comparing all of them would cost more than the networks.
    """
    every = {"relu1": slice(3, None, 8), "relu2": slice(1, None, 4), "relu3": slice(1, None, 2)}
    places = {name: every.get(name.rpartition("/")[2][:5], slice(None)) for name in features}
    return {name: value[:, :, places[name], places[name]] for name, value in features.items()}
