"""Forms: from what a browser or curl sends to an order.

The parts of a multipart form come in; pictures are kept in the store under ids, fields become knobs. Everything is
counted by `guard` before it arrives here, and by the parser's own limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from danqing.errors import DanqingError
from danqing.messages import language, text
from danqing.picture import formats
from danqing.studio.orders import (
    FILM_KNOBS,
    ID,
    KNOBS,
    MAX_STYLES,
    File,
    Filming,
    Layer,
    Order,
    read_filming,
    read_format,
    read_knobs,
    read_style,
)
from danqing.studio.refusal import Refused, refusal
from danqing.studio.service import Studio

log = logging.getLogger("danqing.studio")

FORM = ("photo", "style", "weight", "mask", "protect", "recipe", "format", "job")
"""The fields of a painting that are no knobs."""

FILM_FORM = ("film", "style", "weight", "mask", "protect", "recipe")

_HEAD = 512


class Form:
    """A form that has arrived.

    Args:
        data: its parts.
        studio: where its pictures are kept.
        durable: whether they are forced to the disk.
    """

    def __init__(self, data: FormData, studio: Studio, *, durable: bool = True) -> None:
        self.data, self.studio, self.durable = data, studio, durable
        self.kept: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A field that is text; the last one of its name.

        Raises:
            Refused: it is a file.
        """
        found = self.data.getlist(name)
        if found and not isinstance(found[-1], str):
            raise Refused("usage", text("studio.not_a_file", name=name))
        return str(found[-1]) if found else default

    async def picture(self, part: UploadFile | str, name: str, *, sniffed: bool = True) -> File:
        """A picture that comes along, or the one of an id.

        Raises:
            Refused: it is empty or no picture by its first bytes, or there is none of that id.
        """
        if isinstance(part, str):
            if not re.fullmatch(ID, part):
                raise Refused("usage", text("studio.not_an_id", name=name))
            return self.studio.store.find(part)
        head = await part.read(_HEAD)
        await part.seek(0)
        if sniffed and formats.sniff(head) is None:
            _logged("refused", size=part.size, head=head)
            kind = formats.kind_of(head)
            readable = ", ".join(formats.READ)
            called = (part.filename or name)[-80:]
            if not head:
                raise Refused("bad_picture", text("picture.empty", name=called))
            if kind:
                raise Refused("bad_picture", text("picture.kind", name=called, kind=kind, formats=readable))
            raise Refused("bad_picture", text("picture.unknown", name=called, formats=readable))
        file = await asyncio.to_thread(self.studio.store.put, part.file, part.filename, durable=self.durable)
        self.kept.append(file.id)
        _logged("kept", size=part.size, sha256=file.sha256)
        return file

    async def order(self) -> Order:
        """The painting that is ordered.

        Raises:
            Refused: it cannot be meant; all problems of the knobs at once.
        """
        self._check_names(*KNOBS, *FORM)
        with _refusing():
            knobs = read_knobs(self._texts(*KNOBS, "recipe"))
            chosen = read_format(self.text("format", "png") or "png")
        photo = await self.picture(self._part("photo", "studio.no_photo"), "photo")
        return Order(photo=photo, knobs=knobs, format=chosen, **await self._along())

    async def film(self) -> Order:
        """The painted film that is ordered.

        Raises:
            Refused: it cannot be meant.
        """
        self._check_names(*FILM_KNOBS, *FILM_FORM, *Filming.model_fields)
        with _refusing():
            knobs = read_knobs(self._texts(*FILM_KNOBS, "recipe"))
            filming = read_filming(self._texts(*Filming.model_fields))
        film = await self.picture(self._part("film", "studio.no_film"), "film", sniffed=False)
        return Order(photo=film, knobs=knobs, format=filming.format, filming=filming, **await self._along())

    async def _along(self) -> dict[str, Any]:
        """What photos and films have in common."""
        protect = self.data.get("protect") or None
        return {
            "layers": await self._layers(),
            "protect": await self.picture(protect, "protect") if protect is not None else None,
            "language": language(),
        }

    def _texts(self, *names: str) -> dict[str, str]:
        return {name: self.text(name) for name in names if name in self.data}

    def _part(self, name: str, missing: str) -> UploadFile | str:
        part = self.data.get(name)
        if part is None:
            raise Refused("usage", text(missing))
        return part

    async def _layers(self) -> tuple[Layer, ...]:
        styles, weights, masks = (self.data.getlist(name) for name in ("style", "weight", "mask"))
        if not styles:
            raise Refused("usage", text("engines.no_style"))
        if len(styles) > MAX_STYLES or len(weights) > len(styles) or len(masks) > len(styles):
            raise Refused("usage", text("studio.too_many_styles", limit=MAX_STYLES))
        layers = []
        for at, part in enumerate(styles):
            given = weights[at] if at < len(weights) else None
            drawn = masks[at] if at < len(masks) else None
            mask = await self.picture(drawn, "mask") if drawn else None
            if isinstance(part, str) and not re.fullmatch(ID, part):
                name, weight = read_style(part)
                weight = _weight(given) if given else weight
                layers.append(Layer(style=name[:100], weight=_weight(str(weight)), mask=mask))
            else:
                file = await self.picture(part, "style")
                layers.append(Layer(file=file, weight=_weight(given) if given else 1.0, mask=mask))
        return tuple(layers)

    def _check_names(self, *known: str) -> None:
        strange = sorted({name[:40] for name in self.data if name not in known})
        if strange:
            raise Refused("usage", text("studio.strange_fields", names=", ".join(strange)))

    def forget(self) -> None:
        """Forget the pictures that came along."""
        for key in self.kept:
            self.studio.store.drop(key)


@contextlib.asynccontextmanager
async def received(
    request: Request, studio: Studio, *, keep: bool = False, durable: bool = True
) -> AsyncIterator[Form]:
    """The form of a request; what came along is forgotten at the end, unless it is to be kept.

    Raises:
        Refused: no form, or with more parts than are taken.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise Refused("form")
    limits = studio.settings
    try:
        data = await request.form(max_files=limits.files, max_fields=limits.fields, max_part_size=limits.field)
    except ClientDisconnect as error:
        raise Refused("superseded") from error
    except HTTPException as error:
        raise Refused("parts" if "many" in error.detail or "exceeded" in error.detail else "form") from error
    except (UnicodeError, ValueError, KeyError) as error:
        raise Refused("form") from error
    form = Form(data, studio, durable=durable)
    try:
        yield form
    except BaseException:
        form.forget()
        raise
    else:
        if not keep:
            form.forget()
    finally:
        await data.close()


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except DanqingError as error:
        raise refusal(error) from error


def _weight(written: Any) -> float:
    try:
        weight = float(written)
    except (TypeError, ValueError):
        weight = 0.0
    if not 0 < weight <= 1e6:
        raise Refused("usage", text("studio.weight"))
    return weight


def _logged(verdict: str, *, size: int | None, sha256: str = "", head: bytes = b"") -> None:
    """What came, in one line of JSON; never what it was called."""
    kind = formats.sniff(head)
    about = {"verdict": verdict, "bytes": size, "sha256": sha256 or hashlib.sha256(head).hexdigest()}
    log.info("%s", json.dumps(about | {"format": kind.name if kind else None}))
