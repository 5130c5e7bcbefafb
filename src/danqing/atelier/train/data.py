"""What is trained on: folders of pictures, and crops of them drawn as a pure function of (seed, step, place).

Folders go in, arrays uint8 (side, side, 3) come out. Pictures that cannot be read are passed over and counted. Threads
draw the batches of the next steps meanwhile; what they draw does not depend on how many there are.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danqing.errors import BadInput, DanqingError
from danqing.files import shown
from danqing.limits import kept_pictures
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.formats import FORMATS

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which a batch is asked of another worker."""

CACHED = 4096
"""Pictures kept in memory at most, at the size they are used at."""

LARGEST = 768
"""px: long side at which a picture is kept."""

U8 = NDArray[np.uint8]
Batch = TypeVar("Batch")


class Pictures(Protocol):
    """Pictures by number, however they come about."""

    def picture(self, number: int) -> U8:
        """A picture, uint8 (H, W, 3); always the same for a number."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...


@dataclass(eq=False)
class Held:
    """Pictures that are in memory already."""

    pictures: Sequence[U8]

    def picture(self, number: int) -> U8:
        """A picture by its number."""
        return self.pictures[number]

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(eq=False)
class Folder:
    """All pictures below a folder, in the order of their names.

    Args:
        files: of pictures.

    Attributes:
        broken: those that could not be read so far.
    """

    files: Sequence[Path]
    broken: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._read = lru_cache(kept_pictures(3 * LARGEST**2, most=CACHED))(self._read_now)

    @classmethod
    def below(cls, folder: Path, *, subset: int | None = None) -> Folder:
        """The pictures below a folder, however deep, by the ending of their names.

        Args:
            folder: such as COCO's `dataset/`, whose pictures lie in `train2014/`.
            subset: take so many of them, spread evenly.

        Raises:
            BadInput: there is no such folder, or no picture in it.
        """
        if not folder.is_dir():
            raise BadInput(text("train.no_folder", path=shown(folder)))
        endings = {suffix for kind in FORMATS.values() for suffix in kind.suffixes}
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file())
        if not files:
            raise BadInput(text("train.no_pictures", path=shown(folder)))
        if subset is not None and subset < len(files):
            files = [files[i * len(files) // subset] for i in range(subset)]
        return cls(files)

    def picture(self, number: int) -> U8:
        """A picture by its number, or the next that can be read: uint8 (H, W, 3).

        Raises:
            BadInput: none can be read.
        """
        for step in range(len(self.files)):
            path = self.files[(number + step) % len(self.files)]
            if path in self.broken:
                continue
            try:
                return self._read(path)
            except DanqingError as error:
                self.broken.add(path)
                log.warning(text("train.passed_over", reason=str(error)))
        raise BadInput(text("train.no_pictures", path=shown(self.files[0].parent)))

    def _read_now(self, path: Path) -> U8:
        return small(Picture.load(path))

    def __len__(self) -> int:
        return len(self.files)


def small(picture: Picture) -> U8:
    """A picture as it is trained on: uint8 (H, W, 3), its long side `LARGEST` px at most, transparent parts grey."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = pixels * picture.alpha[..., None] + np.float32(0.5) * (1 - picture.alpha[..., None])
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(image)


def square(source: U8, side: int) -> U8:
    """The middle of a picture, (side, side, 3)."""
    height, width = source.shape[:2]
    short = min(height, width)
    box = ((width - short) / 2, (height - short) / 2, (width + short) / 2, (height + short) / 2)
    return np.asarray(Image.fromarray(source).resize((side, side), Image.Resampling.LANCZOS, box=box))


@lru_cache(2)
def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which `count` pictures are seen in an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def crop(source: U8, side: int, rng: np.random.Generator, *, scale: float) -> U8:
    """A square cut at random out of a picture that is shown `scale` times as large, maybe mirrored: (side, side, 3).

    A picture that is too small for that is shown larger.
    """
    height, width = source.shape[:2]
    cut = min(side / scale, height, width)
    left, top = rng.uniform(0, width - cut), rng.uniform(0, height - cut)
    image = Image.fromarray(source)
    found = image.resize((side, side), Image.Resampling.LANCZOS, box=(left, top, left + cut, top + cut))
    pixels = np.asarray(found)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, every octave as likely as the next."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Feeder(Generic[Batch]):
    """Batches of the steps to come, drawn by threads ahead of time.

    A worker that has not answered for `patience` seconds, on a network folder for instance, is left behind and its
    batch asked of another.

    Args:
        draw: the batch of a step; a pure function.
        workers: threads, and batches drawn ahead.
    """

    def __init__(self, draw: Callable[[int], Batch], *, workers: int = 2, patience: float = PATIENCE) -> None:
        self._draw, self._workers, self._patience = draw, workers, patience
        self._drawn: dict[int, Batch | BaseException] = {}
        self._asked: set[int] = set()
        self._change = threading.Condition()

    def batch(self, step: int) -> Batch:
        """The batch of a step; those of the next steps are begun.

        Raises:
            BaseException: whatever drawing it raised.
        """
        for ahead in range(step, step + self._workers + 1):
            self._ask(ahead)
        with self._change:
            while not self._change.wait_for(lambda: step in self._drawn, timeout=self._patience):
                log.warning(text("train.stalled", step=step, seconds=round(self._patience)))
                self._start(step)
            self._asked = {other for other in self._asked if other > step}
            found = self._drawn.pop(step)
            for old in [other for other in self._drawn if other < step]:
                del self._drawn[old]
        if isinstance(found, BaseException):
            raise found
        return found

    def _ask(self, step: int) -> None:
        with self._change:
            if step in self._asked:
                return
            self._asked.add(step)
        self._start(step)

    def _start(self, step: int) -> None:
        threading.Thread(target=self._work, args=(step,), daemon=True).start()

    def _work(self, step: int) -> None:
        try:
            drawn: Batch | BaseException = self._draw(step)
        except BaseException as error:  # handed to whoever asks for the batch
            drawn = error
        with self._change:
            self._drawn.setdefault(step, drawn)
            self._change.notify_all()


def places(step: int, batch: int, *, rank: int, world: int) -> Iterator[int]:
    """The numbers, counted from the first step, of the places of a batch that one of `world` processes takes."""
    return iter(range(step * batch + rank, (step + 1) * batch, world))
