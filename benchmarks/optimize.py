"""The optimisation engine against the old optimisers, in one run on the same machine, at 512 px.

    python benchmarks/optimize.py --state FILE [--only times art memory] [--keep DIR]

(a) `lbfgs-tv` written plainly in float32 with a network of VGG-19's size (true to conv3_4, drawn above), 300 steps;
(b) the recipe of PyTorch's tutorial written plainly, 300 steps; both in benchmarks/peers/plain.py;
(c) danqing's engine with (a)'s network and (a)'s losses, until (a)'s loss, measured by (a), is as low as (a)'s last;
(d) `danqing paint` as it comes.

Times are those of whole processes, medians of three; of (c) without the measuring. A measurement that stands in FILE is
not repeated, so that hours of (a) may be interrupted. Needs the folder of development data: ../shared beside the
checkout, or DANQING_SHARED. `--steps N` rehearses with fewer steps of (a) and (b), and says so.

As (a)'s upper layers are drawn, its *art* tells what its kind of loss and descent do, not what the tool does with its
own network; (b) uses no layer that is not true.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peers import plain
from quality import PAIRS, SHARED, teachers_eye

from danqing import machine
from danqing.api import Judge
from danqing.atelier.encoders import CAFFE_BIAS, CAFFE_MATRIX, VGG, VGG_WIDTHS
from danqing.atelier.gatys import GatysStylizer
from danqing.card import Card
from danqing.image.fit import fit
from danqing.picture import Picture
from danqing.preset import find
from danqing.style import Style
from danqing.stylizer import Step

PEERS = Path(__file__).parent / "peers" / "plain.py"
MEMORY_SIZES = (512, 1024, 2048)
RUNS = 3


class State:
    """What was measured already, kept in a file after every measurement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """A measurement, made now if it is not there yet."""
        if key not in self.values:
            print(f"measuring {key}", file=sys.stderr, flush=True)
            self.values[key] = measure()
            self.path.write_text(json.dumps(self.values), encoding="utf-8")
        return self.values[key]


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def run(command: Sequence[str | Path]) -> dict[str, Any]:
    """A process of its own: {seconds of wall clock, peak memory in bytes, what it printed}."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out)
        peak = 0
        while process.poll() is None:  # what the kernel tells afterwards includes the parent before its child began
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) * 1024)
            time.sleep(0.02)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
        out.seek(0)
        printed = out.read().decode()
    return {"seconds": time.monotonic() - began, "memory": peak, "printed": printed}


def files_of(pair: tuple[str, str]) -> tuple[Path, Path]:
    """Photo and painting of a pair."""
    return SHARED / "data" / "photos" / f"{pair[0]}.jpg", SHARED / "data" / "paintings" / f"{pair[1]}.jpg"


def peer(method: str, pair: tuple[str, str], out: Path, *, steps: int, size: int) -> dict[str, Any]:
    """One run of a plain peer: seconds, memory, and its curve of (seconds, loss)."""
    words = [method, *files_of(pair), out, "--steps", str(steps), "--size", str(size), "--weights", SHARED / "weights"]
    done = run([sys.executable, PEERS, *words])
    return {"seconds": done["seconds"], "memory": done["memory"], "curve": json.loads(done["printed"])["curve"]}


def ours(pair: tuple[str, str], out: Path, *, size: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """One run of `danqing paint`: seconds and memory."""
    photo, painting = files_of(pair)
    words = ["paint", photo, "--style", painting, "--size", str(size), "--enlarge", "-o", out, "--overwrite", "-q"]
    done = run([sys.executable, "-m", "danqing", *words, *more])
    return {"seconds": done["seconds"], "memory": done["memory"]}


# ── (c) ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def same_network() -> VGG:
    """(a)'s network as an encoder of ours."""
    encoder = VGG(VGG_WIDTHS, matrix=CAFFE_MATRIX, bias=CAFFE_BIAS)
    weights = plain.network(SHARED / "weights")
    encoder.load_state_dict(
        {
            f"conv{layer}.{part}": value
            for layer, (kernels, biases) in weights.items()
            for part, value in (("weight", kernels), ("bias", biases))
        }
    )
    return encoder.requires_grad_(requires_grad=False)


def chase(pair: tuple[str, str], goal: float, *, size: int) -> dict[str, Any]:
    """Our engine on (a)'s losses until (a)'s loss is at `goal`: the seconds of painting, and the curve."""
    content_file, style_file = files_of(pair)
    loss = plain.lbfgs_tv_loss(
        plain.network(SHARED / "weights"), plain.read(content_file, size), plain.read(style_file, size)
    )
    photo = fit(Picture.load(content_file), size=size, enlarge=True)
    style = Style(source=fit(Picture.load(style_file), size=size), name="style")
    recipe = find("lbfgs-tv").recipe.turned({"line_search": False, "levels": None, "steps": 400})
    card = Card(name="same", kind="encoder", file="-", sha256="0" * 64, license="MIT", origin="(a)'s network")
    curve: list[tuple[float, float]] = []
    spent, began = 0.0, time.monotonic()

    def on_step(step: Step) -> bool:
        nonlocal spent
        stopped = time.monotonic()
        if step.size == photo.size and step.number % 5 == 0:
            pixels = torch.from_numpy(step.preview().pixels[..., ::-1].transpose(2, 0, 1).copy())[None] * 255
            with torch.no_grad():
                curve.append((stopped - began - spent, loss(pixels).item()))
        spent += time.monotonic() - stopped
        return not curve or curve[-1][1] > goal

    GatysStylizer(same_network(), card)(photo, (style,), recipe, on_step=on_step)
    return {"seconds": curve[-1][0], "reached": curve[-1][1] <= goal, "loss": curve[-1][1], "curve": curve}


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def times(state: State, folder: Path, *, steps: int, size: int) -> None:
    """How long each takes, and what became of (a)'s loss."""
    pair = PAIRS[0]
    a, b, c, d = [], [], [], []
    for n in range(RUNS):
        name = f"{size} {steps} {n}"
        a.append(state.get(f"a {name}", lambda: peer("lbfgs-tv", pair, folder / "a.png", steps=steps, size=size)))
        b.append(state.get(f"b {name}", lambda: peer("tutorial", pair, folder / "b.png", steps=steps, size=size)))
        goal = a[0]["curve"][-1][1]
        c.append(state.get(f"c {name}", lambda goal=goal: chase(pair, goal, size=size)))  # type: ignore[misc]
        d.append(state.get(f"d {name}", lambda: ours(pair, folder / "d.png", size=size)))
    middle = [statistics.median(one["seconds"] for one in found) for found in (a, b, c, d)]
    print("\n| | median of three, s | peak memory, MB | (a) is slower by | (b) is slower by |\n|---|---|---|---|---|")
    labels = ("(a) lbfgs-tv", "(b) tutorial", "(c) ours to (a)'s loss", "(d) ours, default")
    for label, found, seconds in zip(labels, (a, b, c, d), middle, strict=True):
        memory = f"{max(one['memory'] for one in found) / 1e6:.0f}" if "memory" in found[0] else ""
        print(f"| {label} | {seconds:.1f} | {memory} | {middle[0] / seconds:.1f} | {middle[1] / seconds:.1f} |")
    if not all(one["reached"] for one in c):
        print(f"\n(c) did not reach (a)'s loss {goal:.4g}: its last was {max(one['loss'] for one in c):.4g}.")
    figure = Path(__file__).parents[1] / "docs" / "images" / "optimize.svg"
    if state.values.get("plot", True):
        figure.write_text(plot({"(a)": a[0]["curve"], "(c)": c[0]["curve"]}), encoding="utf-8")


def art(state: State, folder: Path, *, steps: int, size: int) -> None:
    """Median *art* over ten pairs."""
    eye = teachers_eye()
    ways: dict[str, Callable[[tuple[str, str], Path], Any]] = {
        "a": lambda pair, out: peer("lbfgs-tv", pair, out, steps=steps, size=size),
        "b": lambda pair, out: peer("tutorial", pair, out, steps=steps, size=size),
        "d": lambda pair, out: ours(pair, out, size=size),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    print("\n| photo | painting | (a) | (b) | (d) |\n|---|---|---|---|---|")
    for pair in PAIRS[:10]:
        for name, paint in ways.items():

            def measure(paint: Any = paint, pair: Any = pair, out: Path = folder / f"{name} {pair[0]}.png") -> float:
                paint(pair, out)
                picture = Picture.load(out)
                square = picture.size[0] == picture.size[1]
                content = fit(Picture.load(files_of(pair)[0]), size=size, enlarge=True)
                if square and content.size != picture.size:
                    content = fit(middle(Picture.load(files_of(pair)[0])), size=size, enlarge=True)
                return Judge(content, Picture.load(files_of(pair)[1]), encoder=eye).score(picture).art

            found[name].append(state.get(f"art {name} {size} {steps} {pair[0]}", measure))
        print(f"| {pair[0]} | {pair[1]} | " + " | ".join(f"{found[name][-1]:.2f}" for name in ways) + " |", flush=True)
    print("| **median** | | " + " | ".join(f"{statistics.median(found[name]):.3f}" for name in ways) + " |")


def middle(picture: Picture) -> Picture:
    """The square that the tutorial paints."""
    from danqing.image.fit import square

    return square(picture)


def memory(state: State, folder: Path) -> None:
    """Peak memory of `danqing paint`, with and without activations computed twice."""
    print("\n| long side, px | peak, MB | with --checkpoint, MB |\n|---|---|---|")
    for size in MEMORY_SIZES:
        peaks = []
        for more in ((), ("--checkpoint",)):
            key = f"memory {size} {' '.join(more)}"
            peaks.append(
                state.get(key, lambda more=more, size=size: ours(SQUARE, folder / "m.png", size=size, more=more))  # type: ignore[misc]
            )
        print(f"| {size} | " + " | ".join(f"{one['memory'] / 1e6:.0f}" for one in peaks) + " |", flush=True)


SQUARE = PAIRS[0]


def plot(curves: dict[str, list[tuple[float, float]]]) -> str:
    """Loss against time, both logarithmic, as SVG."""
    from math import log10

    points = [point for curve in curves.values() for point in curve if point[0] > 0 and point[1] > 0]
    left, right = log10(min(p[0] for p in points)), log10(max(p[0] for p in points))
    low, high = log10(min(p[1] for p in points)), log10(max(p[1] for p in points))
    width, height, pad = 640, 400, 50

    def at(seconds: float, loss: float) -> str:
        x = pad + (log10(seconds) - left) / (right - left or 1) * (width - 2 * pad)
        y = height - pad - (log10(loss) - low) / (high - low or 1) * (height - 2 * pad)
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{pad},{pad} V{height - pad} H{width - pad}" fill="none" stroke="#555"/>',
        f'<text x="{width / 2}" y="{height - 12}">seconds, {10**left:.1f} to {10**right:.0f}</text>',
        f'<text x="{pad}" y="{pad - 12}">loss of (a), {10**low:.3g} to {10**high:.3g}</text>',
    ]
    for (name, curve), colour in zip(curves.items(), ("#b5462f", "#2f6f8f"), strict=True):
        line = " ".join(at(*point) for point in curve if point[0] > 0 and point[1] > 0)
        x, y = at(*curve[-1]).split(",")
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x}" y="{y}" dx="4" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="a JSON file of what is measured already")
    parser.add_argument("--only", nargs="+", choices=("times", "art", "memory"), default=("times", "art", "memory"))
    parser.add_argument("--keep", type=Path, help="keep the paintings")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    if not (SHARED / "weights").is_dir():
        print(f"no development data at {SHARED}: set DANQING_SHARED", file=sys.stderr)
        return 2
    state = State(args.state)
    about = machine.describe()
    print(f"{about}\n{torch.get_num_threads()} threads, torch {torch.__version__}")
    if (args.steps, args.size) != (300, 512):
        print(f"**a rehearsal: {args.steps} steps at {args.size} px**")
        state.values["plot"] = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for what in args.only:
            if what == "memory":
                memory(state, folder)
            else:
                {"times": times, "art": art}[what](state, folder, steps=args.steps, size=args.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
