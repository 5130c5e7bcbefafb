"""Training: danqing's loop against that of the old fast-neural-style scripts, in one run on the same machine.

    python benchmarks/train.py
    python benchmarks/train.py --objective [--minutes 5]

Johnson's network, the losses of pytorch/examples with a VGG-16-shaped encoder to relu4_3, batch 4, 256 px: pictures a
second, medians over steps after the first three. The peer is benchmarks/peers/plain_train.py, a process of its own; the
encoder's weights are drawn, since time does not depend on them. With --objective both learn the same painting by
danqing's own objective: Johnson's network from nothing, plainly in float32, for so many minutes, and the pastiche
network as `danqing train` does, until it is as good on photographs that neither learns from. Needs a folder of
photographs: the development data beside the checkout, or `--photos`.
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

import torch
from torch import Tensor

from danqing import machine
from danqing.atelier.encoders import VGG, VGG16_DEPTHS
from danqing.atelier.nets.johnson import Johnson
from danqing.atelier.train.data import Folder, Held, square
from danqing.atelier.train.johnson import LOSSES, Classic, OneStyle, Own
from danqing.atelier.train.loop import Loop, Plan
from danqing.atelier.train.pastiche import Judgement, Lesson, Pastiches, Teaching, seer, stacked
from danqing.atelier.train.session import bundled, scaled

SHARED = Path(os.environ.get("DANQING_SHARED", Path(__file__).parents[2] / "shared"))
PEER = Path(__file__).parent / "peers" / "plain_train.py"
BATCH, SIZE, SKIPPED, HELD = 4, 256, 3, 8
BAR = 1.8


def peer(photos: Path, style: Path, steps: int) -> float:
    """Seconds of a step of the old loop."""
    command = [sys.executable, str(PEER), str(photos), str(style), str(steps), str(BATCH), str(SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return statistics.median(json.loads(done.stdout)["seconds"][SKIPPED:])


def ours(photos: Path, style: Path, steps: int) -> float:
    """Seconds of a step of danqing's loop with the same network, losses and sizes."""
    torch.manual_seed(0)
    std = (0.229, 0.224, 0.225)
    matrix = tuple(tuple(1 / std[row] * (row == column) for column in range(3)) for row in range(3))
    bias = tuple(-mean / spread for mean, spread in zip((0.485, 0.456, 0.406), std, strict=True))
    seer = VGG(depths=VGG16_DEPTHS, last="conv4_3", matrix=matrix, bias=bias).requires_grad_(requires_grad=False)
    seer = seer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    picture = stacked([scaled(Folder([style]).picture(0), SIZE)]).float() / 255
    model = Classic(Johnson(), seer, LOSSES["pytorch-examples"], picture)
    lesson = Lesson(seed=0, batch=BATCH, crops=((0, SIZE),))
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(OneStyle(model, Folder.below(photos), lesson), Plan(steps=steps, learning_rate=1e-3), Path(folder))
        seconds = []
        for _ in range(steps):
            began = time.monotonic()
            loop.take_step()
            seconds.append(time.monotonic() - began)
    return statistics.median(seconds[SKIPPED:])


def objective(photos: Path, style: Path, minutes: float) -> bool:
    """How long both need to the same objective on photographs that are kept apart; whether danqing needs less."""
    source = Folder.below(photos)
    apart = [source.files[place * len(source) // HELD] for place in range(HELD)]
    learnt_from = Folder([path for path in source.files if path not in apart])
    exam = stacked([square(Folder(apart).picture(number), SIZE) for number in range(HELD)]).float() / 255
    painting = Folder([style]).picture(0)
    lesson = Lesson(seed=0, batch=BATCH, crops=((0, SIZE),), gallery_share=1.0)
    judgement, picture = Judgement(seer("compact"), lesson), stacked([scaled(painting, 512)]).float() / 255
    targets = judgement.targets(picture)

    def value(painted: Tensor) -> float:
        with torch.no_grad():
            return float(judgement(exam, painted.float().clamp(0, 1), targets)[0])

    torch.manual_seed(0)
    plain = Own(Johnson(), judgement, picture)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
    method, step, began = OneStyle(plain, learnt_from, lesson), 0, time.monotonic()
    while time.monotonic() - began < 60 * minutes:
        adam.zero_grad()
        method.loss(step, rank=0, world=1)[0].backward()  # type: ignore[no-untyped-call]
        adam.step()
        step += 1
    taken = time.monotonic() - began
    with torch.no_grad():
        wanted = value(plain.net(exam * 255) / 255)
    held = Held([painting])
    net, predictor = bundled()
    teaching = Teaching(net, predictor, judgement.seer, lesson, styles=1)
    ours = Pastiches(teaching, learnt_from, held, gallery=held)
    ours.fill_table()
    reached, found, after = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(ours, Plan(steps=1 << 16, learning_rate=3e-4, warmup=10), Path(folder))
        while True:
            with torch.no_grad():
                found = value(net(exam, ours.table()[0][1:2].expand(HELD, -1)))
            if found <= wanted or reached > taken:
                break
            began = time.monotonic()
            for _ in range(10):
                loop.take_step()
            reached, after = reached + time.monotonic() - began, after + 10
    print("| | objective on photographs kept apart | steps | seconds |\n|---|---|---|---|")
    print(f"| Johnson's network from nothing, float32 | {wanted:.4f} | {step} | {taken:.0f} |")
    print(f"| `danqing train`, as it begins and goes on | {found:.4f} | {after} | {reached:.0f} |\n")
    holds = found <= wanted
    print(f"{'holds' if holds else 'FAILS'}: danqing needs {reached:.0f} s for what takes {taken:.0f} s from nothing")
    return holds


def main() -> int:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED / "data" / "photos")
    parser.add_argument("--style", type=Path, default=SHARED / "data" / "paintings" / "baby-cradle-gustav-klimt.jpg")
    parser.add_argument("--steps", type=int, default=13)
    parser.add_argument("--objective", action="store_true")
    parser.add_argument("--minutes", type=float, default=5)
    args = parser.parse_args()
    if not args.photos.is_dir():
        print(f"no photographs at {args.photos}: give --photos", file=sys.stderr)
        return 2
    print(f"{machine.describe()}\n{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    if args.objective:
        return 0 if objective(args.photos, args.style, args.minutes) else 1
    theirs, mine = peer(args.photos, args.style, args.steps), ours(args.photos, args.style, args.steps)
    print("| | seconds a step | pictures/s |\n|---|---|---|")
    print(f"| the old loop, float32 | {theirs:.2f} | {BATCH / theirs:.2f} |")
    print(f"| danqing's loop | {mine:.2f} | {BATCH / mine:.2f} |\n")
    holds = theirs >= BAR * mine
    print(f"{'holds' if holds else 'FAILS'}: {theirs / mine:.2f} times the pictures/s, at least {BAR}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
