"""The optimisation engine against the old optimisers, in one run on the same machine, at 512 px.

    python benchmarks/optimize.py --state FILE [--only times art memory] [--keep DIR]

(a) `lbfgs-tv` written plainly in float32 with a network of VGG-19's size (true to conv3_4, drawn above), 300 steps;
(b) the recipe of PyTorch's tutorial written plainly, 300 steps; both in benchmarks/peers/plain.py;
(c) danqing's engine with (a)'s network and (a)'s losses, until its picture is as good as the one that (a) wrote, both
judged by (a)'s loss. (a) searches beyond black and white and cuts off in the end what no picture can hold, so that its
loss while it searches is lower than that of its picture;
(d) `danqing paint --engine optimize` as it comes.

Times are those of whole processes, the medians of three held-out pairs; of (c) without the measuring. *art* is that of
ten pairs, the three included. A measurement that stands in FILE is not repeated, so that hours of (a) may be
interrupted. Needs the folder of development data: ../shared beside the checkout, or DANQING_SHARED. `--steps N` or
`--size N` rehearse with less, say so, and leave the plot in docs/ alone.

As (a)'s upper layers are drawn, its *art* tells what its kind of loss and descent do, not what the tool does with its
own network; (b) uses no layer that is not true.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import log10
from pathlib import Path
from typing import Any

import torch
from peers import plain
from process import run
from quality import PAIRS, SHARED, report, teachers_eye

from danqing import machine
from danqing.api import Judge
from danqing.atelier.encoders import CAFFE_BIAS, CAFFE_MATRIX, VGG, VGG_WIDTHS
from danqing.atelier.gatys import GatysStylizer
from danqing.card import Card
from danqing.image.fit import fit, square
from danqing.picture import Picture
from danqing.preset import find
from danqing.style import Style
from danqing.stylizer import Step

PEERS = Path(__file__).parent / "peers" / "plain.py"
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "optimize.svg"
FULL = (300, 512)  # steps, px
MEMORY_SIZES = (512, 1024, 2048)
TIMED, JUDGED = PAIRS[:3], PAIRS[:10]


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


def files_of(pair: tuple[str, str]) -> tuple[Path, Path]:
    """Photo and painting of a pair."""
    return SHARED / "data" / "photos" / f"{pair[0]}.jpg", SHARED / "data" / "paintings" / f"{pair[1]}.jpg"


class Runs:
    """The runs of (a), (b) and (d) on pairs: seconds, memory, and the *art* of what was painted."""

    def __init__(self, state: State, folder: Path, *, steps: int, size: int) -> None:
        self.state, self.folder, self.steps, self.size = state, folder, steps, size
        self.eye = functools.cache(teachers_eye)

    def of(self, letter: str, pair: tuple[str, str]) -> dict[str, Any]:
        """One run; (a) and (b) with their curve of (seconds, loss) besides."""
        out = self.painting(letter, pair)

        def measure() -> dict[str, Any]:
            done = ours(pair, out, size=self.size) if letter == "d" else self.peer(letter, pair, out)
            return done | {"art": self.art(pair, out, tutorial=letter == "b")}

        found: dict[str, Any] = self.state.get(f"{letter} {pair[0]} {self.size} {self.steps}", measure)
        return found

    def painting(self, letter: str, pair: tuple[str, str]) -> Path:
        """Where the picture of a run lies."""
        return self.folder / f"{letter} {pair[0]} {pair[1]}.png"

    def peer(self, letter: str, pair: tuple[str, str], out: Path) -> dict[str, Any]:
        """One run of a plain peer."""
        method = {"a": "lbfgs-tv", "b": "tutorial"}[letter]
        knobs = ["--steps", str(self.steps), "--size", str(self.size), "--weights", SHARED / "weights"]
        done = run([sys.executable, PEERS, method, *files_of(pair), out, *knobs])
        return done | {"curve": json.loads(done.pop("printed"))["curve"]}

    def art(self, pair: tuple[str, str], painted: Path, *, tutorial: bool) -> float:
        """The *art* of a painting; the tutorial paints the middle square of the photo."""
        photo, painting = (Picture.load(file) for file in files_of(pair))
        content = fit(square(photo) if tutorial else photo, size=self.size, enlarge=True)
        return Judge(content, painting, encoder=self.eye()).score(Picture.load(painted)).art


def ours(pair: tuple[str, str], out: Path, *, size: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """One run of `danqing paint`: seconds and memory."""
    photo, painting = files_of(pair)
    words = ["paint", photo, "--style", painting, "--engine", "optimize", "--size", str(size), "--enlarge"]
    words += ["-o", out, "--overwrite", "-q"]
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


def chase(pair: tuple[str, str], painted: Path, *, size: int) -> dict[str, Any]:
    """Our engine on (a)'s losses until (a)'s loss is that of a picture: the seconds of painting, and the curve."""
    content_file, style_file = files_of(pair)
    loss = plain.lbfgs_tv_loss(
        plain.network(SHARED / "weights"), plain.read(content_file, size), plain.read(style_file, size)
    )
    with torch.no_grad():
        goal = loss(plain.read(painted, size)).item()
    photo = fit(Picture.load(content_file), size=size, enlarge=True)
    style = Style(source=fit(Picture.load(style_file), size=size, enlarge=True), name="style")
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
    return {"seconds": curve[-1][0], "reached": curve[-1][1] <= goal, "goal": goal, "curve": curve}


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def times(runs: Runs) -> None:
    """How long each takes, what became of (a)'s loss, and whether the bars hold."""
    found: dict[str, list[dict[str, Any]]] = {letter: [runs.of(letter, pair) for pair in TIMED] for letter in "abd"}
    found["c"] = [
        runs.state.get(
            f"c {pair[0]} {runs.size} {runs.steps}",
            functools.partial(chase, pair, runs.painting("a", pair), size=runs.size),
        )
        for pair in TIMED
    ]
    middle = {letter: statistics.median(one["seconds"] for one in them) for letter, them in found.items()}
    labels = {
        "a": "(a) lbfgs-tv, written plainly",
        "b": "(b) the tutorial, written plainly",
        "c": "(c) ours to the loss of (a)'s picture",
        "d": "(d) `danqing paint --engine optimize`",
    }
    print("\n| | median of three, s | peak memory, MB | times as fast as (a) | as (b) |\n|---|---|---|---|---|")
    for letter, label in labels.items():
        memory = "" if letter == "c" else f"{max(one['memory'] for one in found[letter]) / 1e6:.0f}"
        faster = " | ".join(f"{middle[other] / middle[letter]:.1f}" for other in "ab")
        print(f"| {label} | {middle[letter]:.1f} | {memory} | {faster} |")
    for pair, c in zip(TIMED, found["c"], strict=True):
        if not c["reached"]:
            print(
                f"\n(c) did not reach the loss {c['goal']:.4g} of (a)'s picture on {pair[0]}: {c['curve'][-1][1]:.4g}."
            )
    if (runs.steps, runs.size) == FULL:
        FIGURE.write_text(plot({"(a)": found["a"][0]["curve"], "(c)": found["c"][0]["curve"]}), encoding="utf-8")
    bars = {
        "(c) at least 4 times as fast as (a)": middle["a"] >= 4 * middle["c"] and all(c["reached"] for c in found["c"]),
        "(d) at least 25 times as fast as (a)": middle["a"] >= 25 * middle["d"],
        "(d) at least 8 times as fast as (b)": middle["b"] >= 8 * middle["d"],
    }
    print()
    report(bars)


def art(runs: Runs) -> None:
    """Median *art* over ten pairs."""
    found: dict[str, list[float]] = {letter: [] for letter in "abd"}
    print("\n| photo | painting | (a) | (b) | (d) |\n|---|---|---|---|---|")
    for pair in JUDGED:
        for letter, arts in found.items():
            arts.append(runs.of(letter, pair)["art"])
        print(
            f"| {pair[0]} | {pair[1]} | " + " | ".join(f"{arts[-1]:.2f}" for arts in found.values()) + " |", flush=True
        )
    middle = {letter: statistics.median(arts) for letter, arts in found.items()}
    print("| **median** | | " + " | ".join(f"{value:.3f}" for value in middle.values()) + " |\n")
    report({"median *art* of (d) not above (a)'s and (b)'s": middle["d"] <= min(middle["a"], middle["b"])})


def memory(runs: Runs) -> None:
    """Peak memory of `danqing paint`, with and without activations computed twice."""
    print("\n| long side, px | peak, MB | with --checkpoint, MB |\n|---|---|---|")
    for size in MEMORY_SIZES:
        peaks = [
            runs.state.get(
                f"memory {size} {' '.join(more)}",
                functools.partial(ours, PAIRS[0], runs.folder / "memory.png", size=size, more=more),
            )
            for more in ((), ("--checkpoint",))
        ]
        print(f"| {size} | " + " | ".join(f"{one['memory'] / 1e6:.0f}" for one in peaks) + " |", flush=True)


def plot(curves: dict[str, list[tuple[float, float]]]) -> str:
    """Loss against time, both logarithmic, as SVG."""
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
    about = machine.describe()
    print(f"{about}\n{torch.get_num_threads()} threads, torch {torch.__version__}")
    if (args.steps, args.size) != FULL:
        print(f"**a rehearsal: {args.steps} steps at {args.size} px**")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        runs = Runs(State(args.state), folder, steps=args.steps, size=args.size)
        for what in args.only:
            {"times": times, "art": art, "memory": memory}[what](runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
