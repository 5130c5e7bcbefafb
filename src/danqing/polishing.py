"""Polishing: the style of a painting is tuned for a minute and lands in the user's gallery.

Paintings, a folder of photographs and seconds go in; `prepare` reads and checks them, `Polishing.run` polishes and puts
the style into the gallery. This module knows no network and no terminal: progress is handed to `on_progress`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, engines, inputs
from danqing.card import Card, LearntStyle
from danqing.engines import vectors
from danqing.errors import ModelMissing, UsageError
from danqing.files import shown
from danqing.image import mask
from danqing.image.fit import fit
from danqing.judge import Judge, compact_encoder
from danqing.messages import text
from danqing.ownstyle import Papers
from danqing.picture import Picture
from danqing.picture.load import PictureSource
from danqing.recipe import Source
from danqing.training import DEVICES

F32 = NDArray[np.float32]

LARGEST = 1024
"""px: long side at which a painting is looked at."""

SHORTEST, LONGEST = 5, 86_400
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Polished:
    """A style that was polished.

    Attributes:
        name: in the gallery.
        file: of the style.
        sheet: photographs, painted as predicted and as polished.
        before, after: the objective, of the predicted vector and of this one.
    """

    name: str
    file: Path
    sheet: Picture
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Polishing:
    """A polishing that is ordered.

    Attributes:
        style: what is known of it.
        works: the paintings.
        predicted: their vectors (3, P) for the fine, the middling and the broad brush, which are tuned.
        photos: the folder of photographs; None = pictures that danqing draws itself.
        seconds: how long.
        device: where.
        card: of the network.
        notes: what had to be decided, a line each.
    """

    style: LearntStyle
    works: Sequence[Picture]
    predicted: F32
    photos: Path | None
    seconds: float
    device: str
    card: Card
    notes: tuple[str, ...] = ()

    def run(self, on_progress: Callable[[Any], bool | None] | None = None) -> Polished:
        """Polish; `on_progress` returning False keeps the best so far.

        Raises:
            RunFailed, ModelMissing, BadInput: one line.
        """
        works = [(np.clip(work.pixels, 0, 1) * 255).round().astype(np.uint8) for work in self.works]
        encoder = compact_encoder()
        papers = Papers(network=self.card.name, network_sha256=self.card.sha256, style=self.style)
        found = engines.verb("polish")(
            works,
            papers,
            predicted=self.predicted,
            examiner=lambda photo, work: Judge(photo, work, encoder=encoder).score,
            photos=self.photos,
            seconds=self.seconds,
            device=self.device,
            on_progress=on_progress,
        )
        file = catalog.add_style(found.file, self.style.name)
        sheet = Picture(pixels=found.sheet.astype(np.float32) / 255)
        return Polished(name=self.style.name, file=file, sheet=sheet, before=found.before, after=found.after)


def prepare(
    paintings: Sequence[PictureSource],
    *,
    name: str | None = None,
    photos: str | Path | None = None,
    seconds: float = 60,
    device: str = "auto",
) -> Polishing:
    """Read and check everything that polishing needs, without beginning it.

    Args:
        paintings: paths or pictures that are one style.
        name: what it is called; by default as the first painting's file.
        photos: a folder of photographs; None = pictures that danqing draws itself.
        seconds: how long, from 5.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        DanqingError: one line that says what is wrong.
    """
    if not paintings:
        raise UsageError(text("train.no_painting"))
    if device not in DEVICES:
        raise UsageError(text("train.no_device", name=shown(device), known=", ".join(DEVICES)))
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(text("train.polish_seconds", least=SHORTEST, most=LONGEST))
    if photos is not None and not Path(photos).is_dir():
        raise UsageError(text("train.no_folder", path=shown(photos)))
    if engines.NETWORK not in {card.name for card in catalog.cards()}:
        raise ModelMissing(text("train.no_network"))
    card = catalog.card(engines.NETWORK)
    first = _seen(paintings[0], card)
    source = first[0]
    called = name or catalog.clean(Path(source.name).stem)
    catalog.new_style(called)
    seen = [first, *(_seen(painting, card) for painting in paintings[1:])]
    return Polishing(
        style=LearntStyle(name=called, title=called, sha256=source.sha256),
        works=[work for _, _, work in seen],
        predicted=np.mean([found for _, found, _ in seen], axis=0, dtype=np.float32),
        photos=Path(photos) if photos is not None else None,
        seconds=seconds,
        device=device,
        card=card,
        notes=() if photos is not None else (text("train.polish_note_no_photos"),),
    )


def _seen(painting: PictureSource, card: Card) -> tuple[Source, list[F32], Picture]:
    """The reference to a painting, its vectors for three brushes, and itself at the size at which it is looked at."""
    one = inputs.read(painting)
    found = [vectors.predicted(card, one.picture, octaves) for octaves in (-vectors.OCTAVES, 0.0, vectors.OCTAVES)]
    return one.source, found, fit(Picture(pixels=mask.flatten(one.picture)), size=LARGEST)
