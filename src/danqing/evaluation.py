"""Evaluation: how well networks paint, style by style, on photographs that the caller names.

Names of styles or networks and a folder of photographs go in; distances, and on demand equivalent steps, come out. The
paintings that the styles were learnt from are found by their hashes. Against a collection, what is judged is whether
the paintings of a network look as if they belonged to it. This module knows no terminal.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from danqing import catalog, engines, inputs, quality
from danqing.commission import prepare
from danqing.errors import BadInput, DanqingError, UsageError
from danqing.files import sha256, shown
from danqing.image import mask
from danqing.image.fit import fit, square
from danqing.judge import Judge, compact_encoder, features
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.formats import by_suffix
from danqing.quality import FAILED_CONTENT, Score

log = logging.getLogger(__name__)

EQUIVALENT_SIDE = 256
"""px: equivalent steps are counted of the middle squares of photographs, reduced to this side."""

OnProgress = Callable[[int, int], None]
"""Called with the pictures that are judged and that there are."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a network does with a style.

    Attributes:
        style: its name.
        scores: of each photograph.
        baselines: of the mere transfer of colours, for each.
        equivalent: steps of optimisation that reach the painting, for each of some photographs.
    """

    style: str
    scores: tuple[Score, ...]
    baselines: tuple[Score, ...]
    equivalent: tuple[int, ...] = field(default=())

    @property
    def content(self) -> float:
        """Median content distance."""
        return statistics.median(score.content for score in self.scores)

    @property
    def distance(self) -> float:
        """Median style distance."""
        return statistics.median(score.style for score in self.scores)

    @property
    def art(self) -> float:
        """Median *art*."""
        return statistics.median(score.art for score in self.scores)

    @property
    def transfer(self) -> float:
        """Median style distance of the transfer of colours."""
        return statistics.median(score.style for score in self.baselines)

    @property
    def failed(self) -> int:
        """Pictures in which the photograph is no longer recognisable."""
        return sum(score.content > FAILED_CONTENT for score in self.scores)


def evaluate(
    names: Sequence[str],
    photos: str | Path,
    *,
    paintings: str | Path | None = None,
    count: int = 40,
    size: int = 512,
    equivalent: int = 0,
    on_progress: OnProgress | None = None,
) -> list[Verdict]:
    """Judge styles of the gallery.

    Args:
        names: of styles, or of networks, whose styles are meant then.
        photos: a folder, searched with its sub-folders.
        paintings: a folder with the works that were learnt from; those of the user's own styles are found without.
        count: photographs, spread evenly over the folder.
        size: px, long side at which they are painted.
        equivalent: for so many photographs a style, count equivalent steps too, at 256 px (needs torch).

    Raises:
        UsageError: no such style or network, or one that no network has learnt.
        BadInput: no photograph, or a work that is not there.
    """
    entries = [entry for name in names for entry in named(name)]
    originals = found([entry.name for entry in entries], paintings)
    pictures: list[Picture] = []
    squares: list[Picture] = []
    for picture in photographs(Path(photos), count):  # one at a time: as they come from a camera they are large
        pictures.append(fit(picture, size=size))
        if len(squares) < equivalent:
            squares.append(fit(square(picture), size=EQUIVALENT_SIDE))
    verdicts = []
    done, total = 0, len(entries) * (len(pictures) + len(squares))

    def tell() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    for entry in entries:
        scores, baselines, steps = [], [], []
        for photo in pictures:
            judge = Judge(photo, originals[entry.name])
            painting = prepare(photo, entry.name, engine="fast", size=size).paint().picture
            scores.append(judge.score(painting))
            baselines.append(judge.baseline())
            tell()
        for photo in squares:
            steps.append(equivalent_steps(photo, originals[entry.name], entry.name))
            tell()
        verdicts.append(
            Verdict(style=entry.name, scores=tuple(scores), baselines=tuple(baselines), equivalent=tuple(steps))
        )
    return verdicts


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What a network makes of photographs, beside a collection.

    Attributes:
        name: of the style or network.
        content: content distance of each painting from its photograph.
        frechet: distance between the paintings and the collection.
        before: between the photographs themselves and the collection.
    """

    name: str
    content: tuple[float, ...]
    frechet: float
    before: float


def likeness(
    names: Sequence[str],
    photos: str | Path,
    collection: str | Path,
    *,
    count: int = 40,
    size: int = 512,
    on_progress: OnProgress | None = None,
) -> list[Likeness]:
    """Judge styles or networks beside a collection; of several styles of a network the photographs take turns.

    Args:
        names: of styles, or of networks.
        photos: a folder, searched with its sub-folders.
        collection: a folder with what the paintings are to be like.
        count: pictures of each folder, spread evenly.
        size: px, long side at which photographs are painted.

    Raises:
        UsageError: no such style or network, or one that no network has learnt.
        BadInput: no picture in a folder.
    """
    groups = [named(name) for name in names]
    encoder, large = compact_encoder(), quality.WORKING_SIZES[0]
    pictures = [fit(picture, size=size) for picture in photographs(Path(photos), count)]
    shown = [fit(picture, size=size) for picture in photographs(Path(collection), count)]
    wanted = [quality.cells(features(encoder, one.pixels, large)) for one in shown]
    seen = [features(encoder, picture.pixels, large) for picture in pictures]
    target = np.concatenate(wanted)
    before = quality.frechet_distance(np.concatenate([quality.cells(one) for one in seen]), target)
    found = []
    for place, (name, entries) in enumerate(zip(names, groups, strict=True)):
        content, drawn = [], []
        for number, photo in enumerate(pictures):
            style = entries[number % len(entries)].name
            painting = prepare(photo, style, engine="fast", size=size).paint().picture
            own = features(encoder, painting.pixels, large)
            content.append(quality.content_distance(own, seen[number]))
            drawn.append(quality.cells(own))
            if on_progress is not None:
                on_progress(place * len(pictures) + number + 1, len(names) * len(pictures))
        distance = quality.frechet_distance(np.concatenate(drawn), target)
        found.append(Likeness(name=name, content=tuple(content), frechet=distance, before=before))
    return found


def named(name: str) -> list[catalog.StyleEntry]:
    """The styles that a name means: one, or all of a network."""
    every = catalog.styles()
    mine = [entry for entry in every if entry.network == name] or [entry for entry in every if entry.name == name]
    if not mine:
        mine = [catalog.style(name)]
    if any(entry.network is None for entry in mine):
        raise UsageError(text("catalog.no_vector", name=name))
    return mine


def found(names: Sequence[str], folder: str | Path | None) -> dict[str, Picture]:
    """The works that styles were learnt from.

    Raises:
        BadInput: some are not there; all of them are listed.
    """
    held, wanted = {}, {}
    for name in names:
        entry = catalog.style(name)
        if entry.file is not None:
            held[name] = catalog.picture(name)
            continue
        card = catalog.card(str(entry.network))
        own = catalog.home() / "runs" / card.name / "paintings" / f"{name}.png"
        wanted[name] = (own, next(style for style in card.styles if style.name == name))
    there = [path for path in Path(folder).rglob("*") if by_suffix(path.name)] if folder is not None else []
    hashes = {sha256(path): path for path in there if path.is_file()}
    places = {name: own if own.is_file() else hashes.get(about.sha256 or "") for name, (own, about) in wanted.items()}
    if missing := [name for name, path in places.items() if path is None]:
        raise BadInput(text("train.no_works", styles=", ".join(missing)))
    works = {name: Picture.load(path) for name, path in places.items() if path is not None}
    return held | {name: Picture(pixels=wanted[name][1].part(mask.flatten(work))) for name, work in works.items()}


def photographs(folder: Path, count: int) -> Iterator[Picture]:
    """So many photographs below a folder, spread evenly, one by one; those that cannot be read are passed over.

    Raises:
        BadInput: there is none.
    """
    files = sorted(path for path in folder.rglob("*") if by_suffix(path.name)) if folder.is_dir() else []
    chosen = [files[place * len(files) // count] for place in range(count)] if len(files) > count else files
    there = False
    for path in chosen:
        try:
            picture = Picture(pixels=mask.flatten(inputs.read(path).picture))
        except DanqingError as error:
            log.warning(text("train.passed_over", reason=str(error)))
            continue
        there = True
        yield picture
    if not there:
        raise BadInput(text("train.no_pictures", path=shown(folder)))


def equivalent_steps(photo: Picture, original: Picture, style: str) -> int:
    """Steps of optimisation that reach what the network paints of a photo."""
    painting = prepare(photo, style, engine="fast").paint().picture.pixels
    seen = mask.flatten(fit(original, size=512))
    steps: int = engines.verb("equivalent")(photo.pixels, seen, painting)
    return steps
