"""Moments: styles that are frames of another film, as in `other.mp4@12.5,30`.

What a user writes as a style goes in; the frames that are shown at those seconds come out, as styles of equal shares.
This module knows no painter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from danqing.errors import BadInput
from danqing.files import shown
from danqing.inputs import ReadStyle, StyleLike, is_there
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import StyleSource, bare_name
from danqing.style import Style, split_weight
from danqing.video import clip
from danqing.video.pixels import to_numbers

_WRITTEN = re.compile(r"(?s)(?P<path>.+)@(?P<times>\d+(\.\d+)?(,\d+(\.\d+)?)*)")


def split(written: str) -> tuple[Path, Sequence[Fraction], float] | None:
    """A film, s of it and a weight from `FILM@S,S` or `FILM@S,S:WEIGHT`; None = something else is meant."""
    name, weight = split_weight(written, is_there)
    found = None if is_there(name) else _WRITTEN.fullmatch(name)
    if found is None or not Path(found["path"]).is_file():
        return None
    return Path(found["path"]), [Fraction(time) for time in found["times"].split(",")], weight


def styles(style: StyleLike) -> list[StyleLike]:
    """A style as it is, or the moments of a film that it stands for.

    Raises:
        BadInput: the film cannot be read, or is over by then.
        DoesNotFit: its frames are larger than the limits allow.
    """
    if not isinstance(style, str) or (found := split(style)) is None:
        return [style]
    path, times, weight = found
    film = clip.load(path)
    return [_moment(film, time, weight / len(times)) for time in times]


def _moment(film: clip.Clip, time: Fraction, weight: float) -> ReadStyle:
    if film.seconds is not None and time >= film.seconds:
        raise BadInput(text("video.no_moment", name=shown(film.path), time=f"{float(time):g}"))
    pixels = clip.still(film, time).pixels
    name = f"{bare_name(film.path)}@{float(time):g}"
    reference = StyleSource(name=name, sha256=hashlib.sha256(pixels.tobytes()).hexdigest(), weight=weight)
    style = Style(source=Picture(pixels=to_numbers(pixels)), name=f"{film.path.stem}@{float(time):g}", weight=weight)
    return ReadStyle(style=style, reference=reference)
