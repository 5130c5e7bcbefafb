"""Filming: what a worker does with a film.

A film and what is asked of it go in; what it is, and the painted film as a file, come out. Sentences that speak of the
film call it as its client does. `danqing.video` is imported when it is needed: it is an extra.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danqing import limits
from danqing.errors import DanqingError, DoesNotFit
from danqing.files import shown
from danqing.messages import text
from danqing.studio.orders import Filming, Order

if TYPE_CHECKING:
    from danqing.video.clip import Cut
    from danqing.video.run import OnWork, Progress

OnFrame = Callable[[dict[str, Any]], bool]
"""Called with how far a film is; what it returns says whether to go on."""


def look(path: Path, name: str, asked: Filming, caps: dict[str, Any]) -> dict[str, Any]:
    """What a film is: width, height, seconds and the frames of the part that is asked for.

    Args:
        path: of the film.
        name: what its client calls it.
        asked: which part of it.
        caps: `pixels` of a frame, `frames` and `film_seconds` of that part, at most.

    Raises:
        BadInput: it is no film.
        DoesNotFit: it is more than that.
    """
    from danqing.video import clip

    with _calling(name, path):
        found = clip.load(path)
        limits.check_size(found.size, name=name, cap=caps["pixels"])
    frames = found.expected(cut_of(asked))
    end = min(asked.end or found.seconds or 0, found.seconds or 0)
    seconds = float(end) - asked.start
    if (frames or 0) > caps["frames"] or seconds > caps["film_seconds"]:
        fields = {"frames": frames, "seconds": round(seconds), "most": caps["frames"], "longest": caps["film_seconds"]}
        raise DoesNotFit(text("studio.long_film", name=name, **fields))
    return {"width": found.size[0], "height": found.size[1], "seconds": seconds, "frames": frames}


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """A film that is ordered.

    Attributes:
        path: of the film.
        target: of the painted one.
        order: with knobs and what is asked of films.
        styles: for `danqing.prepare`: style, masks, protect.
    """

    path: Path
    target: Path
    order: Order
    styles: dict[str, Any]

    def paint(self, on_frame: OnFrame, *, most: int, on_work: OnWork | None = None) -> dict[str, Any]:
        """Paint it, or go on with it where an earlier worker ended; what there is to say about it.

        Args:
            on_frame: called after every frame.
            most: frames; it ends with the first one beyond them, whatever its head promised.
            on_work: called in the midst of frames too, and while they are encoded at the end.

        Raises:
            DanqingError: it cannot be painted.
        """
        from danqing.video import film

        asked = self.order.filming or Filming()
        written = self.target.with_suffix(f".{asked.format}")
        knobs = self.order.knobs | ({} if asked.steady is None else {"steady": asked.steady})

        def step(now: Progress) -> bool:
            told = {"step": now.frames, "steps": now.total or 0, "remaining": round(now.remaining or 0, 1)}
            return on_frame(told | {"rate": round(now.per_second, 1)}) and now.frames <= most

        name, parts = self.order.photo.name, written.with_name(f"{written.name}.parts")
        with _calling(name, self.path, parts, written):
            ordered = film.prepare(
                self.path,
                target=written,
                cut=cut_of(asked),
                overwrite=True,
                resume=True,
                offline=True,
                **self.styles,
                **knobs,
            )
            filmed = ordered.paint(step, on_work=on_work, resume=True)
        written.replace(self.target)
        width, height = ordered.order.content.size
        notes = [line.replace(shown(self.path), name) for line in (*ordered.notes, *filmed.notes)]
        return {
            "width": width, "height": height, "frames": filmed.frames, "seconds": round(filmed.seconds, 3),
            "complete": filmed.complete, "notes": notes, "size": self.target.stat().st_size,
        }  # fmt: skip


def cut_of(asked: Filming) -> Cut:
    """The part of a film that is asked for."""
    from danqing.video.clip import Cut

    return Cut(start=Fraction(str(asked.start)), end=None if asked.end is None else Fraction(str(asked.end)))


@contextlib.contextmanager
def _calling(name: str, *places: Path) -> Iterator[None]:
    """Errors call a film by its client's name and not by its places; longer ones come before what they begin with."""
    try:
        yield
    except DanqingError as error:
        told = str(error)
        for place in places:
            told = told.replace(shown(place), name)
        error.args = (told,)
        raise
