"""The studio itself: what its routes do, without HTTP's shapes.

It holds the pictures, the workers and the jobs. One worker looks at pictures and paints previews, so that neither
waits behind a large painting; the others paint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from danqing import catalog, commission
from danqing.errors import DanqingError
from danqing.messages import language, text
from danqing.studio.doors import Doors
from danqing.studio.jobs import Jobs, paint_task, polish_task
from danqing.studio.keys import Keys
from danqing.studio.orders import File, Order, at_once, painted_size
from danqing.studio.pool import Answer, Died, Pool, Stalled
from danqing.studio.refusal import Refused, refusal
from danqing.studio.settings import Settings
from danqing.studio.store import Store

log = logging.getLogger("danqing.studio")

LOOK, PREVIEW, THUMBNAIL = 0, 5, 20
"""Seconds by which what the quick worker does lets other things go first."""

SWEEP = 30.0
"""Seconds between two looks for what is too old."""

PREVIEW_SECONDS = 30.0

VIDEO = ("av", "cv2")
"""What the extra for films brings."""

LEISURE = 40
"""Twentieths of a second that a thumbnail gives way to a painting."""


class Studio:
    """Everything that requests share.

    Args:
        settings: limits, and where things lie.
        keys: that let strangers in; None where no token is asked for.
    """

    def __init__(self, settings: Settings, keys: Keys | None = None) -> None:
        self.settings = settings
        self.doors = Doors(settings, keys)
        self.store = Store(settings.folder / "pictures", quota=settings.quota, age=settings.age)
        self.quick, self.painters = Pool(1, settings), Pool(settings.workers, settings, yielding=True)
        self.jobs = Jobs(settings.folder / "jobs", self.painters, settings)
        self._previews: dict[str, asyncio.Task[Answer]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._usual = 1.0  # s that a painting took of late

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The studio with its workers; all of them are gone at the end."""
        await self.quick.start()
        await self.painters.start()
        try:
            await self.jobs.start()
            self._sweeper = asyncio.create_task(self._sweep())
            yield
        finally:
            if self._sweeper is not None:
                self._sweeper.cancel()
            await self.jobs.close()
            await self.quick.close()
            await self.painters.close()

    # ── whether there is room ───────────────────────────────────────────────────────────────────────────────────────

    async def admit(self, visitor: str) -> None:
        """Refuse a painting that would wait too long.

        Raises:
            Refused: the queue is full, or this visitor has enough in it.
        """
        jobs = await self.jobs.unfinished()
        if self.painters.waiting + jobs >= self.settings.queue:
            raise Refused("busy", retry=self._usual * self.settings.queue / self.settings.workers / 4)
        if self.settings.guarded and await self.jobs.unfinished(visitor) >= self.settings.each:
            raise Refused("busy", retry=self._usual * 4)

    # ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def look(self, files: Sequence[File]) -> list[dict[str, Any]]:
        """What pictures are.

        Raises:
            Refused: one is no picture, damaged, or too large.
        """
        named = [(str(self.store.path(file.id)), file.name) for file in files]
        order = {"do": "look", "files": named, "language": language()}
        about, _ = await self._quick(order, priority=LOOK)
        found: list[dict[str, Any]] = about["files"]
        return found

    async def preview(self, order: Order, visit: str) -> Answer:
        """A painting at the size of a preview; of one visit, a later one takes the place of an earlier.

        Raises:
            Refused: it cannot be painted, or a later one was asked for.
        """
        if (earlier := self._previews.get(visit)) is not None:
            earlier.cancel()
        work = {"do": "preview", "order": order.model_dump(mode="json"), "folder": str(self.store.folder)}
        task = asyncio.create_task(self._quick(work | {"language": language()}, priority=PREVIEW))
        self._previews[visit] = task
        try:
            return await task
        except asyncio.CancelledError:
            if self._previews.get(visit) is task:  # it is the visitor who has gone
                task.cancel()
                raise
            raise Refused("superseded") from None
        finally:
            if self._previews.get(visit) is task:
                del self._previews[visit]

    async def thumbnails(self, photo: File, styles: Sequence[str], size: int) -> AsyncIterator[tuple[str, bytes]]:
        """A picture painted small in every style, one after the other; others go in between."""
        for name in styles:
            await self._leisure()
            found: list[bytes] = []
            order = {
                "do": "thumbnails", "folder": str(self.store.folder), "photo": photo.id, "size": size, "styles": [name],
            }  # fmt: skip
            with contextlib.suppress(Refused):
                await self._quick(order, priority=THUMBNAIL, on_event=lambda _, p, found=found: found.append(p))
            if found:
                yield name, found[0]

    async def _leisure(self) -> None:
        """Wait a little while something is painted for which somebody waits."""
        for _ in range(LEISURE):
            if not self.painters.busy:
                return
            await asyncio.sleep(0.05)

    async def _quick(self, order: dict[str, Any], *, priority: int, on_event: Any = None) -> Answer:
        return await _twice(self.quick, order, priority=priority, seconds=PREVIEW_SECONDS, on_event=on_event)

    # ── paintings ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def is_short(self, order: Order) -> bool:
        """Whether an order is painted while its client waits.

        Raises:
            Refused: it names a style that is not here, or is larger than anything that is painted here.
        """
        looks = await self.look(order.files())
        fast = await self._is_fast(order)
        width, height = self._sized(order, looks[0], fast=fast)
        return fast and width * height <= self.settings.at_once

    async def check_film(self, order: Order) -> None:
        """Refuse a film that is none or too long, or that is painted in styles that are not here.

        Raises:
            Refused: it is.
        """
        await self.look(order.files()[1:])
        film = {"path": str(self.store.path(order.photo.id)), "name": order.photo.name, "language": language()}
        filming = order.model_dump(mode="json")["filming"]
        about, _ = await self._quick({"do": "look_film", "filming": filming} | film, priority=LOOK)
        self._sized(order, about, fast=await self._is_fast(order))

    def _sized(self, order: Order, look: dict[str, Any], *, fast: bool) -> tuple[int, int]:
        return painted_size(
            order,
            (look["width"], look["height"]),
            unasked=commission.UNASKED["fast"] if fast else commission.UNASKED_ELSE,
            pixels=self.settings.pixels,
            edge=self.settings.edge,
        )

    async def _is_fast(self, order: Order) -> bool:
        """Whether a network paints it in one pass."""
        entries = await asyncio.to_thread(gallery)
        known = [entry.name for entry in entries]
        for layer in order.layers:
            if layer.style is not None and layer.style not in known:
                await asyncio.to_thread(check_style, layer.style)
        learnt = [entry.name for entry in entries if entry.network]
        networks = [card.name for card in await asyncio.to_thread(catalog.cards)]
        fast = at_once(order, learnt, networks)
        if not fast:
            self.check_torch()
            pictures = {entry.name for entry in entries if entry.path is not None or entry.file is not None}
            for layer in order.layers:
                if layer.style is not None and layer.style not in pictures:
                    raise Refused("usage", text("studio.no_original", name=layer.style))
        return fast

    def check_torch(self) -> None:
        """Refuse what needs torch where it is not installed.

        Raises:
            Refused: with what to install.
        """
        try:
            metadata.version("torch")
        except metadata.PackageNotFoundError:
            raise Refused("needs") from None

    def check_video(self) -> None:
        """Refuse films where what reads them is not installed.

        Raises:
            Refused: with what to install.
        """
        if any(find_spec(module) is None for module in VIDEO):
            raise Refused("needs_video")

    async def paint(self, order: Order) -> Answer:
        """Paint while the client waits.

        Raises:
            Refused: it cannot be painted, or takes too long.
        """
        work = {"do": "paint", "order": order.model_dump(mode="json"), "folder": str(self.store.folder)}
        work |= {"language": language()}
        about, data = await _twice(self.painters, work, seconds=self.settings.wait_seconds, limit=self.settings.queue)
        self._usual += 0.2 * (about["seconds"] - self._usual)
        return about, data

    async def submit(self, order: Order, visitor: str) -> dict[str, Any]:
        """Put a painting on the list."""
        files = [(file, self.store.path(file.id)) for file in order.files()]
        return await self.jobs.submit(paint_task(order, visitor), dict(files).items())

    # ── the gallery ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def polish(self, painting: File, name: str, *, seconds: float, visitor: str) -> dict[str, Any]:
        """Put the polishing of a painting on the list."""
        self.check_torch()
        try:
            await asyncio.to_thread(catalog.check_style_name, name)
        except DanqingError as error:
            raise refusal(error) from error
        task = polish_task(painting, name, seconds=seconds, language=language(), visitor=visitor)
        return await self.jobs.submit(task, [(painting, self.store.path(painting.id))])

    async def adopt(self, file: File, name: str | None) -> str:
        """Take a style file into the gallery; its name there."""
        order = {"do": "adopt", "path": str(self.store.path(file.id)), "name": name, "language": language()}
        about, _ = await self._quick(order, priority=LOOK)
        return str(about["style"])

    async def picture(self, name: str, size: int) -> bytes:
        """The picture of a style of the gallery."""
        order = {"do": "picture", "style": name, "size": size, "language": language()}
        _, data = await self._quick(order, priority=THUMBNAIL)
        return data

    async def remove(self, name: str) -> None:
        """Take a style of the user's own out of the gallery."""
        try:
            await asyncio.to_thread(catalog.remove_style, name)
        except DanqingError as error:
            raise refusal(error) from error

    # ── tidying ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.store.sweep)
                await asyncio.to_thread(self.jobs.sweep)
            except (DanqingError, OSError) as error:  # the next look may go better
                log.error("%s", error)
            await asyncio.sleep(SWEEP)


async def _twice(pool: Pool, order: dict[str, Any], **options: Any) -> Answer:
    """Have an order done; where its worker dies, once more, and then it is given up."""
    for last in (False, True):
        try:
            return await pool.run(order, **options)
        except Died:
            if last:
                raise Refused("killed") from None
        except Stalled:
            raise Refused("killed") from None
    raise AssertionError  # not reached


def gallery() -> list[catalog.StyleEntry]:
    """The styles of the gallery."""
    return list(catalog.styles())


def check_style(name: str) -> None:
    """Refuse a name that is not in the gallery, with those that are.

    Raises:
        Refused: it is not.
    """
    try:
        catalog.style(name)
    except DanqingError as error:
        raise refusal(error) from error
