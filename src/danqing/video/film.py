"""Film: a painted film that is ordered, before a stroke of it is made; and how it is painted.

A film, styles and knobs go in; `prepare` reads and checks them all on the first frame and says what the film will cost.
`Film.paint` paints it and writes it with the sound of the other; it can be stopped after any frame, and resumed behind
the last durable segment. This module knows no engine by name and no terminal: progress is a `Progress` given to
`on_frame`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av

from danqing import commission, engines, files, machine
from danqing.commission import Commission, Styles
from danqing.engines import vectors
from danqing.engines.fast import FastStylizer
from danqing.errors import UsageError
from danqing.files import shown
from danqing.inputs import StyleLike
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.load import PictureSource
from danqing.video import clip as clips
from danqing.video import codecs, moments, mux
from danqing.video.clip import Clip, Cut, Frame
from danqing.video.codecs import Writing
from danqing.video.pixels import to_numbers
from danqing.video.protected import Protected, mask_film
from danqing.video.run import OnFrame, OnWork, Run
from danqing.video.segments import Look, Segments
from danqing.video.timeline import Timeline, shared

STEADY = 0.8
"""How far a painting is held still where nothing else is asked for."""

PREVIEWS = 3

ABREAST = 2
"""Frames that the fast engine paints side by side: threads of one need not wait for each other at every operation."""

READY = 5e7
"""Pixels of a film, in all its frames, for which it pays to make the network ready for its style."""

ALL = 0.9
"""A film with this share of the frames that it promised is whole: what it promises is not exact."""

_IDENTITY = 1 << 20  # bytes at each end of a film that tell it from others


@dataclass(frozen=True, kw_only=True)
class Filmed:
    """What came of a film.

    Attributes:
        path: where it is.
        frames: it has, those of earlier runs included.
        painted: by this run.
        seconds: this run took.
        complete: False when it was stopped.
        notes: what could not be taken along, a line each.
    """

    path: Path
    frames: int
    painted: int
    seconds: float
    complete: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """A film that is ordered.

    Attributes:
        clip: that is painted.
        cut: which of its frames.
        order: the painting of the first of them.
        target, writing: where it goes, and how it is encoded.
        steady: 0..1.
        timeline: how much of each of the order's styles there is, and when; None = the same all along.
        protect: a clip that is white where the film is left alone.
        overwrite: whether files may be replaced.
        begins: s on the clip's clock that are the beginning of the painted film.
        keep_gps: whether it may say where it was made.
    """

    clip: Clip
    cut: Cut
    begins: Fraction
    order: Commission
    target: Path
    writing: Writing
    steady: float = STEADY
    timeline: Timeline | None = None
    protect: Clip | None = None
    overwrite: bool = False
    keep_gps: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be decided, a line each."""
        lines = [*self.clip.notes, *self.order.notes]
        if self.clip.depth > self.writing.depth:
            lines.append(text("video.fewer_bits", have=self.clip.depth, written=self.writing.depth))
        size = self.order.content.size
        if self.writing.size(size) != size:
            width, height = self.writing.size(size)
            lines.append(text("video.even", width=size[0], height=size[1], new=f"{width} x {height}"))
        return tuple(lines)

    @property
    def total(self) -> int | None:
        """How many frames it has, as well as can be told."""
        return self.clip.expected(self.cut)

    @property
    def folder(self) -> Path:
        """Where its segments are kept until it is whole."""
        return self.target.with_name(f"{self.target.name}.parts")

    @property
    def abreast(self) -> int:
        """How many frames are painted side by side."""
        stylizer = self.order.stylizer
        return stylizer.abreast(self.order.content.size) if isinstance(stylizer, FastStylizer) else 1

    @property
    def measures(self) -> bool:
        """Whether what is measured of some frames is taken for those between."""
        stylizer, order = self.order.stylizer, self.order
        return isinstance(stylizer, FastStylizer) and stylizer.measures(order.content.size, order.styles, order.recipe)

    def at(self, frame: Frame) -> Commission:
        """The order for a painting of a frame."""
        styles = self.order.styles
        if self.timeline is not None:
            styles = shared(styles, self.timeline.shares(frame.at))
        return dataclasses.replace(self.order, content=Picture(pixels=to_numbers(frame.pixels)), styles=styles)

    def preview(self) -> list[tuple[Picture, Picture]]:
        """Three frames of the film, spread over it, each with its painting."""
        seconds = self.clip.seconds or Fraction(0)
        end = min(self.cut.end or seconds, seconds)
        pairs = []
        with closing(Protected(self.protect)) as protected:
            for place in range(PREVIEWS):
                start = self.cut.start + max(Fraction(0), end - self.cut.start) * Fraction(2 * place + 1, 2 * PREVIEWS)
                frame = clips.still(self.clip, start, self.cut.size)
                order = self.at(frame)
                painting = protected(order.content.pixels, order.paint().picture.pixels, frame.at)
                pairs.append((order.content, Picture(pixels=painting)))
        return pairs

    def paint(self, on_frame: OnFrame | None = None, *, on_work: OnWork | None = None, resume: bool = False) -> Filmed:
        """Paint it; `on_frame` returning False stops after that frame and writes the film of what is there.

        Args:
            on_frame: called after every frame.
            on_work: called in the midst of frames too, and while they are encoded at the end.
            resume: go on behind the last segment of a run that ended early, if there was one.

        Raises:
            UsageError: segments of an unfinished film are there and are not meant, or are of another; or something
                else has its name.
            BadInput: there is no frame.
            RunFailed: the disk, an encoder or the engine failed; what is durable stays for `resume`.
        """
        began = time.monotonic()
        segments = Segments(self.folder, fingerprint=self.fingerprint(), writing=self.writing, look=self._look())
        try:
            run = Run(self, segments, segments.begin(resume=resume, overwrite=self.overwrite), on_work)
            self._check(segments)
            complete = run.go(on_frame)
            source = mux.Source(
                path=None if self.clip.pictures else self.clip.path, begins=self.begins, keep_gps=self.keep_gps
            )
            replacing = self.overwrite or segments.written(self.target)
            ticks = self.clip.ticks(self.cut)
            notes = mux.assemble(segments, source, self.target, ticks=ticks, overwrite=replacing, on_work=on_work)
        except BaseException:
            segments.leave()
            raise
        if complete:
            segments.remove()
        else:
            segments.stop(self.target)
        return Filmed(
            path=self.target,
            frames=len(segments.times),
            painted=run.painted,
            seconds=time.monotonic() - began,
            complete=complete,
            notes=(*notes, *self.clip.damaged, *(self._shorter(len(segments.times)) if complete else ())),
        )

    def _check(self, segments: Segments) -> None:
        """Refuse, before the work, to replace what an earlier run of this film has not written."""
        folder = self.writing.container == "folder"
        there = self.target.iterdir() if folder and self.target.is_dir() else [self.target]
        replaces = self.target.exists() and (folder or not self.overwrite)
        if replaces and not all(segments.written(path) for path in there):
            raise UsageError(text("files.exists", path=shown(self.target)))

    def _shorter(self, frames: int) -> list[str]:
        """A line if a film that says how many frames it has was cut off."""
        expected = self.total
        if expected is None or self.clip.damaged or frames >= ALL * expected - 1:
            return []
        return [text("video.shorter", name=shown(self.clip.path), frames=frames, expected=expected)]

    def fingerprint(self) -> str:
        """Of everything that decides what the film looks like."""
        from danqing import __version__

        decides = {
            "danqing": __version__,
            "av": av.__version__,
            "recipe": self.order.recipe.fingerprint(),
            "source": _identity(self.clip),
            "cut": str(self.cut),
            "writing": str(self.writing),
            "steady": self.steady,
            "timeline": str(self.timeline),
            "protect": self.protect and _identity(self.protect),
            "runtime": getattr(self.order.stylizer, "runtime", None),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def _look(self) -> Look:
        return Look(
            size=self.order.content.size,
            rate=(self.cut.fps or self.clip.rate) / self.cut.every,
            colour=self.clip.colour,
            aspect=self.clip.aspect,
        )


def prepare(
    path: Path,
    style: Styles,
    *,
    target: Path,
    cut: Cut | None = None,
    codec: str | None = None,
    crf: int | None = None,
    depth: int | None = None,
    steady: float = STEADY,
    later: Sequence[tuple[Fraction, StyleLike]] = (),
    masks: Sequence[PictureSource | None] = (),
    protect: PictureSource | None = None,
    overwrite: bool = False,
    resume: bool = False,
    keep_gps: bool = False,
    runtime: str | None = None,
    **order: Any,
) -> Film:
    """Read and check everything that a painted film needs, without painting it.

    Args:
        path: a film, or a folder of numbered pictures.
        style: as for `danqing.paint`, and moments of other films (`moments`).
        target: the film to write; without an ending, a folder of pictures.
        cut: which frames; by default all.
        codec, crf, depth: how it is encoded; see `codecs.writing`.
        steady: 0..1, how far the painting is held still.
        later: styles that take the place of those before them, from so many s of the film on.
        masks: as for `danqing.prepare`.
        protect: likewise, or a film or a folder of pictures that is white where this one is to be left alone.
        overwrite: whether files may be replaced.
        resume: whether an unfinished film is gone on with.
        keep_gps: whether the film may say where it was made.
        runtime: what the fast engine runs on; by default what is quickest for many pictures.
        order: the further arguments of `danqing.prepare`, and knobs.

    Raises:
        DanqingError: one line that says what is wrong.
    """
    cut = cut or Cut()
    writing = codecs.writing(target, codec=codec, crf=crf, depth=depth)
    if not (resume and target.with_name(f"{target.name}.parts").is_dir()):
        _check_target(target, writing, overwrite=overwrite)
    clip = clips.load(path, fps=cut.fps)
    with closing(clip.read(cut)) as frames:
        first = next(frames)
    likes, times, drawn = _styles(style, later, masks)
    changes = len(set(times)) > 1
    filmed = mask_film(protect, fps=clip.rate)
    ordered = commission.prepare(
        Picture(pixels=to_numbers(first.pixels)),
        likes or None,
        masks=drawn if masks else (),
        protect=None if filmed else protect,
        name=str(path),
        runtime=runtime,
        **order,
    )
    if ordered.recipe.square:
        raise UsageError(text("video.square"))
    if ordered.recipe.engine in engines.BY_NAME:
        ordered = _for_frames(ordered, clip.expected(cut), runtime, changes=changes)
    return Film(
        clip=clip,
        cut=dataclasses.replace(cut, size=ordered.content.size),
        begins=clip.begins + (first.at if cut.start else 0),
        order=ordered,
        target=target,
        writing=writing,
        steady=steady,
        timeline=Timeline.of(times, [one.weight for one in ordered.styles]) if changes else None,
        protect=filmed,
        overwrite=overwrite,
        keep_gps=keep_gps,
    )


def _for_frames(order: Commission, frames: int | None, runtime: str | None, *, changes: bool) -> Commission:
    """An order whose engine is opened for so many frames, as well as can be told, and styles that change or not."""
    vectors.of(order.styles, order.recipe)  # styles that cannot be mixed are said now, not at their crossing
    width, height = order.content.size
    stylizer = engines.open(
        order.recipe.engine,
        runtime=settled(runtime),
        memory=getattr(order.stylizer, "memory", None),
        at_once=ABREAST,
        measuring=True,
        same=not changes and order.recipe.strength == 1 and (frames is None or frames * width * height >= READY),
    )
    return dataclasses.replace(order, stylizer=stylizer)


def _styles(
    style: Styles | None, later: Sequence[tuple[Fraction, StyleLike]], masks: Sequence[PictureSource | None]
) -> tuple[list[StyleLike], list[Fraction], list[PictureSource | None]]:
    """Every style, moments of films taken apart; from when on each of them holds; and their masks.

    Raises:
        UsageError: masks, where styles change.
    """
    if later and masks:
        raise UsageError(text("video.masks_later"))
    first: Sequence[Any] = style if isinstance(style, list | tuple) else [] if style is None else [style]
    likes: list[StyleLike] = []
    times: list[Fraction] = []
    drawn: list[PictureSource | None] = []
    for at, (start, one) in enumerate([*((Fraction(0), one) for one in first), *later]):
        parts = moments.styles(one)
        likes += parts
        times += [start] * len(parts)
        drawn += [masks[at] if at < len(masks) else None] * len(parts)
    return likes, times, [*drawn, *masks[len(first) :]]


def settled(runtime: str | None) -> str:
    """The runtime of a whole film, or camera: it must not change in the midst of it, and compiling pays."""
    if runtime not in (None, "auto"):
        return str(runtime)
    return "openvino" if find_spec("openvino") and machine.has_bf16() else "onnx"


def _check_target(target: Path, writing: Writing, *, overwrite: bool) -> None:
    parts = target.with_name(f"{target.name}.parts")
    if writing.container == "folder":
        if target.exists():
            raise UsageError(text("files.exists", path=shown(target)))
        if not parts.is_dir():
            files.check_target(parts)
    else:
        files.check_target(target, overwrite=overwrite)


def _identity(clip: Clip) -> list[Any]:
    """What tells a film from others, without reading all of it."""
    if clip.pictures:
        return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in clip.pictures]
    length = clip.path.stat().st_size
    with clip.path.open("rb") as stream:
        head = stream.read(_IDENTITY)
        stream.seek(max(0, length - _IDENTITY))
        return [length, hashlib.sha256(head + stream.read()).hexdigest()]
