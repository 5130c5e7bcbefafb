"""Polishing: the vector of one style is tuned for a minute, and nothing else.

Works, photographs and seconds go in, vectors for three brushes come out. They begin where the predictor puts them; what
is learnt is one shift of their learnt entries, the same for every brush. Photographs that are not learnt from decide
which shift is kept, none included, so that polishing never leaves a style worse than it was predicted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

from danqing import quality
from danqing.atelier.nets.pastiche import PasticheNet
from danqing.atelier.nets.predictor import Predictor
from danqing.atelier.train.data import U8, Folder, Held, Pictures, square
from danqing.atelier.train.loop import Loop, Plan, Report, joined
from danqing.atelier.train.pastiche import BRUSHES, Lesson, Look, Pastiches, Teaching, seer, stacked, together
from danqing.atelier.train.rendered import Rendered
from danqing.atelier.train.session import bundled
from danqing.ownstyle import OwnStyle, Papers, parts
from danqing.picture import Picture

LESSON = Lesson(
    seed=7,
    batch=4,
    crops=((0, 192),),
    gallery_share=1.0,
    style_weight=1.2,
    promise_weight=0.0,  # made, like the tone, for a network that learns: they hold a vector back
    tone_weight=0.05,
)
PLAN = Plan(seed=7, steps=1, learning_rate=4e-2, warmup=5, ema=0.9, save_every=1 << 30)

EXAM, EXAM_SIDE = 8, 384
"""Photographs that decide, and their side in px: what is better at the size of a lesson need not be at a picture's."""

CONTENT_SHARE = 2.4
"""What content counts in the exam: beside the VGGs, `compact` sees so much less of it than of style."""

ENOUGH = 0.02
"""So much better than the prediction is a shift that is kept: what gains less on eight photographs loses on others."""

LOOKS = 4
"""How often it is looked which shift is best, at most."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is told after a step: how the predicted vector is judged, and the best one so far; lower is better."""

    step: int
    steps: int
    remaining: float
    before: float
    best: float


F32 = NDArray[np.float32]

Examiner = Callable[[F32, F32], Callable[[F32], quality.Score]]
"""A photo and a work, (H, W, 3) in 0..1 each -> how good a painting of that photo is."""

OnProgress = Callable[[Progress], bool | None]
"""Called after every step; returning False keeps the best so far."""


@dataclass(frozen=True, kw_only=True)
class Polished:
    """What came of it.

    Attributes:
        file: the style's, with its vectors for the fine, the middling and the broad brush.
        before, after: how the predicted vector is judged, and these; lower is better.
        sheet: uint8 (H, W, 3): photographs, as they were painted before, and now.
    """

    file: bytes
    before: float
    after: float
    sheet: U8


class Shifted(Teaching):
    """A network that learns nothing but a shift of the predicted vectors.

    Args:
        net, predictor: which stay as they are.
    """

    def __init__(self, net: PasticheNet, predictor: Predictor) -> None:
        super().__init__(net, predictor, seer(), LESSON)
        self.requires_grad_(requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(len(net.neutral())))

    def vectors(self, look: Look) -> Tensor:
        """The style vectors (N, P)."""
        return torch.cat([look.given, self.predictor(look.stats) + self.shift], 1)


class Exam:
    """Photographs that decide: how good the vectors of works are, and how they look.

    Args:
        method: whose teaching is examined.
        photos: the photographs.
        works: what they are judged by, in turn.
        examiner: who judges.
    """

    def __init__(self, method: Pastiches, photos: Sequence[U8], works: Sequence[U8], examiner: Examiner) -> None:
        self.method, self.works = method, len(works)
        self.photos = stacked([square(photo, EXAM_SIDE) for photo in photos]).float() / 255
        shown = self.photos.permute(0, 2, 3, 1).numpy()
        self.judges = [
            examiner(photo, works[place % len(works)].astype(np.float32) / np.float32(255))
            for place, photo in enumerate(shown)
        ]

    def painted(self) -> Tensor:
        """The photographs, painted with the middling brush."""
        teaching, brush = self.method.teaching, len(BRUSHES) // 2
        looks = together([self.method.look(("gallery", number, brush)) for number in range(self.works)])
        with torch.no_grad():
            vector = teaching.vectors(looks).mean(0, keepdim=True)
            painted: Tensor = teaching.net(self.photos.to(vector.device), vector.expand(len(self.photos), -1))
        return painted.clamp(0, 1)

    def value(self, painted: Tensor) -> float:
        """How paintings of them are judged, lower is better: not by the objective, which is more easily pleased.

        The mean of the middle half of them; one picture that was far off would decide by itself.
        """
        shown = painted.permute(0, 2, 3, 1).cpu().numpy()
        scores = [judge(picture) for judge, picture in zip(self.judges, shown, strict=True)]
        arts = sorted(quality.art(CONTENT_SHARE * score.content, score.style) for score in scores)
        apart = len(arts) // 4
        return float(np.mean(arts[apart : len(arts) - apart]))


class Choice:
    """Which shift is kept: the best one in the exam, and none where none gains `ENOUGH`.

    Args:
        teaching: whose shift it is; as it stands it is none.
        exam: that decides.

    Attributes:
        first: how the exam's photographs are painted without a shift.
        before, best: how that is judged, and what is best so far; lower is better.
        kept: the shift that is best.
        seconds: that a look takes.
    """

    def __init__(self, teaching: Shifted, exam: Exam) -> None:
        self.teaching, self.exam = teaching, exam
        began = time.monotonic()
        self.first = exam.painted()
        self.before = self.best = exam.value(self.first)
        self.seconds = time.monotonic() - began
        self.kept = teaching.shift.detach().clone()

    def look(self, shift: Tensor) -> None:
        """At what a shift would paint; it is kept if it is best."""
        learning = self.teaching.shift.detach().clone()
        self.teaching.shift.data.copy_(shift)
        if (value := self.exam.value(self.exam.painted())) < min(self.best, (1 - ENOUGH) * self.before):
            self.best, self.kept = value, shift.detach().clone()
        self.teaching.shift.data.copy_(learning)


def afforded(left: float, *, step: float, look: float) -> tuple[int, int]:
    """How many steps and looks there is time for in `left` seconds: looking takes half of them at most.

    The pictures are painted once more at the end, so that a look is paid for that is none.
    """
    looks = min(LOOKS, max(1, int(left / (2 * look)) - 1))
    return max(looks, int((left - (looks + 1) * look) / step)), looks


def polish(
    works: Sequence[U8],
    papers: Papers,
    *,
    predicted: F32,
    examiner: Examiner,
    photos: Path | None,
    seconds: float,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Polished:
    """Polish the vectors of one style.

    Args:
        works: uint8 (H, W, 3) each.
        papers: what the style's file says of itself.
        predicted: the vectors (3, P) that are tuned, for the fine, the middling and the broad brush.
        examiner: who judges what is best.
        photos: a folder; None = pictures that danqing draws itself.
        seconds: that it may take, everything included.
        device: `auto`, `cpu`, `cuda` or `mps`.
        on_progress: called after every step.

    Raises:
        BadInput: there is no photograph in the folder.
        RunFailed: the numbers got out of hand.
        ModelMissing: the network is not here.
    """
    began = time.monotonic()
    source: Pictures = Rendered() if photos is None else Folder.below(photos)
    apart = min(EXAM, len(source) // 2) or len(source)
    asked = [source.picture(len(source) - 1 - place) for place in range(apart)]
    held = Held(works)
    teaching = Shifted(*bundled())
    method = Pastiches(teaching, First(source, max(1, len(source) - apart)), held, gallery=held)
    with tempfile.TemporaryDirectory() as scratch:
        loop = Loop(method, PLAN, Path(scratch), device=joined(device))
        choice = Choice(teaching, Exam(method, asked, works, examiner))
        loop.plan = replace(PLAN, steps=1 << 20)
        loop.take_step()  # the first one warms up
        tried = time.monotonic()
        loop.take_step()
        now = time.monotonic()
        more, looks = afforded(seconds - (now - began), step=now - tried, look=choice.seconds)
        steps = loop.step + more
        looked = {steps - more * place // looks for place in range(looks)}
        loop.plan = replace(PLAN, steps=steps)

        def look(report: Report) -> bool:
            late = time.monotonic() - began > seconds
            if report.step in looked or late:
                choice.look(loop.average["shift"])
            remaining = max(0.0, seconds - (time.monotonic() - began))
            told = Progress(step=report.step, steps=steps, remaining=remaining, before=choice.before, best=choice.best)
            going = on_progress is None or on_progress(told) is not False
            return going and not late

        loop.run(look)
    return polished(choice, works, papers, predicted)


def polished(choice: Choice, works: Sequence[U8], papers: Papers, predicted: F32) -> Polished:
    """The style with the shift that was chosen; arguments as of `polish`."""
    choice.teaching.shift.data.copy_(choice.kept)
    vectors = predicted.copy()
    vectors[:, -len(choice.kept) :] += choice.kept.cpu().numpy()
    rows = [choice.exam.photos, choice.first.cpu(), choice.exam.painted().cpu()]
    pixels = torch.cat([torch.cat(list(row), 2) for row in rows], 1).permute(1, 2, 0).numpy()
    sheet = (pixels * 255).round().astype(np.uint8)
    work = Picture(pixels=works[0].astype(np.float32) / np.float32(255))
    arrays, header = parts(OwnStyle(papers=papers, vectors=vectors, picture=work))
    return Polished(file=bytes(save(arrays, metadata=header)), before=choice.before, after=choice.best, sheet=sheet)


@dataclass(frozen=True)
class First:
    """The first of some pictures."""

    pictures: Pictures
    count: int

    def picture(self, number: int) -> U8:
        """A picture, uint8 (H, W, 3)."""
        return self.pictures.picture(number)

    def __len__(self) -> int:
        return self.count
