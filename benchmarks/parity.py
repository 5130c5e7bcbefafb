"""Networks of other tools: what danqing paints with their files against what they paint themselves, in one run.

    PYTHONPATH=. python benchmarks/parity.py [--opencv PYTHON] [--examples DIR]

(a) OpenCV 4's `readNetFromTorch`, in an environment of its own (`--opencv` names its Python; it needs
opencv-python-headless < 5 and numpy), on Torch7 files that the tests' writer writes: jcjohnson's two families at their
true widths and with drawn weights, and the small ones of the tests. (b) torch itself with pytorch/examples' own network
class (`--examples` names the folder `fast_neural_style/neural_style` of a checkout), trained for some steps and saved
in five ways, and exported to ONNX at 224 x 224 as the model zoo's networks are. Needs the extra `torch`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import danqing
from danqing.image.fit import resize
from danqing.picture import Picture
from danqing.weights.t7 import Module
from tests.atelier.export import test_torch7 as torch7
from tests.weights.t7_writer import Writer

PEERS = Path(__file__).parent / "peers"
SIZE = (320, 240)


def photo() -> np.ndarray:
    """scikit-image's `chelsea`, float32 (H, W, 3) in 0..1."""
    from PIL import Image
    from skimage import data

    return np.asarray(Image.fromarray(data.chelsea()).resize(SIZE), dtype=np.float32) / 255


def instance_norm() -> Module:
    """`c9s1-32,d64,d128,R128 x 5,u64,u32,c9s1-3` with instance normalisation, padded once by 40 px."""
    return true_size(torch7.instance, pad=0)


def eccv16() -> Module:
    """The same with batch normalisation and padded blocks."""
    return true_size(torch7.batch, pad=1)


def true_size(norm: Callable[[int], torch7.Pair], *, pad: int) -> Module:
    """The network of Johnson et al. as a tree of Torch7's modules, with drawn weights."""
    layers = [] if pad else [torch7.reflected(40)]
    down = ((3, 32, 9, 1), (32, 64, 3, 2), (64, 128, 3, 2))
    for inputs, outputs, size, stride in down:
        layers += [
            torch7.convolution(inputs, outputs, size, stride=stride, pad=size // 2),
            norm(outputs),
            torch7.relu(),
        ]
    layers += [torch7.residual(128, norm, pad=pad) for _ in range(5)]
    for inputs, outputs in ((128, 64), (64, 32)):
        layers += [torch7.enlarging(inputs, outputs), norm(outputs), torch7.relu()]
    tree, _ = torch7.sequence(*layers, torch7.convolution(32, 3, 9, pad=4), torch7.tanh())
    calm(tree)
    return tree


def calm(module: Module) -> None:
    """Weights so small that what goes in comes out about as large, as trained ones are."""
    weight = module.fields.get("weight")
    if isinstance(weight, np.ndarray) and weight.ndim == 4:
        module.fields["weight"] = weight / np.float32(0.25 * np.sqrt(weight[0].size))
    for inner in module.modules:
        calm(inner)


def painted(path: Path, pixels: np.ndarray) -> np.ndarray:
    """What danqing paints with a file."""
    return danqing.paint(Picture(pixels=pixels), model=path).picture.pixels


def row(name: str, peer: str, found: np.ndarray, expected: np.ndarray) -> str:
    """A line of the table."""
    away = 255 * np.abs(found - expected)
    spread = 255 * expected.std()
    return f"| {name} | {peer} | {away.max():.3f} | {away.mean():.4f} | {spread:.0f} |"


def against_opencv(python: str, pixels: np.ndarray, folder: Path) -> None:
    """(a)."""
    trees = {"instance_norm, small": lambda: torch7.instance_norm()[0], "eccv16, small": lambda: torch7.eccv16()[0]}
    for name, tree in (trees | {"instance_norm": instance_norm, "eccv16": eccv16}).items():
        file, out = folder / f"{name}.t7", folder / "out.npy"
        file.write_bytes(Writer().bytes(tree()))
        command = [python, PEERS / "opencv_t7.py", file, folder / "photo.npy", out]
        subprocess.run(list(map(str, command)), check=True)
        expected, found = np.load(out), painted(file, pixels)
        height, width = found.shape[:2]
        if expected.shape != found.shape:  # the small one comes back larger, and is brought to the photo's size
            expected = np.clip(resize(np.ascontiguousarray(expected, np.float32), (width, height)), 0, 1)
        print(row(f"{name} (`.t7`)", "OpenCV 4", found, expected), flush=True)


def against_torch(examples: str, pixels: np.ndarray, folder: Path) -> None:
    """(b)."""
    command = [sys.executable, PEERS / "examples_net.py", examples, folder / "photo.npy", folder]
    subprocess.run(list(map(str, command)), check=True)
    expected = np.load(folder / "painting.npy")
    for name in ("state.pth", "legacy.model", "old.pth", "whole.pt", "whole_legacy.pkl", "zoo9.onnx", "zoo11.onnx"):
        print(row(f"pytorch/examples, `{name}`", "torch", painted(folder / name, pixels), expected), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opencv", metavar="PYTHON")
    parser.add_argument("--examples", metavar="DIR")
    words = parser.parse_args()
    if not (words.opencv or words.examples):
        parser.error("name OpenCV's Python with --opencv, a checkout with --examples, or both")
    pixels = photo()
    print(f"At {SIZE[0]} x {SIZE[1]} px, of 255:\n")
    print("| network | against | greatest difference | mean | deviation of the painting |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "photo.npy", pixels)
        if words.opencv:
            against_opencv(words.opencv, pixels, folder)
        if words.examples:
            against_torch(words.examples, pixels, folder)


if __name__ == "__main__":
    main()
