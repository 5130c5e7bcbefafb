"""A worker: the process that looks at pictures and paints, with limits that hold whatever a picture makes it do.

Run as `python -m danqing.studio.worker LIMITS`. Orders come as lines of JSON on stdin; answers go to stdout, each a
line of JSON whose `bytes` says how many bytes follow it. While it paints, a line `{"stop": true}` ends the painting
after the step at hand and keeps what is there; the end of stdin ends the process. This side knows files by their path
alone and never the network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from danqing import catalog
from danqing.commission import Commission, prepare
from danqing.errors import BadRecipe, DoesNotFit, RunFailed
from danqing.files import atomic_write
from danqing.image.fit import fit
from danqing.messages import speaking, text
from danqing.picture import Picture, formats, provenance, save
from danqing.picture.load import measure
from danqing.recipe import Recipe, Source, StyleSource
from danqing.studio import filming
from danqing.studio.confine import allow, peak, restrict
from danqing.studio.orders import File, Filming, Layer, Order
from danqing.studio.refusal import told
from danqing.style import Style
from danqing.stylizer import Pastiche, Step

PREVIEW = 640
"""px: long side of a painting as it is shown while it is made."""

EVERY = 0.8
"""Seconds between two looks at a painting that is being made."""

KEPT = 24
"""Pictures that are kept in memory at the size of previews."""

STYLE = 1024
"""px: long side at which a painting is looked at as a style of a preview."""

PREVIEW_QUALITY = 82


class Worker:
    """What a worker does, by the name of the order.

    Args:
        limits: `pixels`, `edge`, `seconds` and those of `restrict`.
        out: where answers go.
    """

    def __init__(self, limits: dict[str, Any], out: BinaryIO) -> None:
        self.limits, self.out = limits, out
        self.stop = threading.Event()
        self.inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self._kept: OrderedDict[tuple[str, int], Picture] = OrderedDict()

    def listen(self, source: BinaryIO) -> None:
        """Take orders until there is nobody who gives any."""
        for line in source:
            order = json.loads(line)
            if "stop" in order:
                self.stop.set()
            else:
                self.stop.clear()
                self.inbox.put(order)
        os._exit(0)

    def serve(self) -> None:
        """Do one order after the other."""
        doing: dict[str, Callable[[dict[str, Any]], tuple[dict[str, Any], bytes]]] = {
            "look": self.look,
            "paint": self.paint,
            "look_film": self.look_film,
            "film": self.film,
            "preview": self.preview,
            "thumbnails": self.thumbnails,
            "polish": self.polish,
            "adopt": self.adopt,
            "picture": self.picture,
        }
        while True:
            order = self.inbox.get()
            allow(self.limits["seconds"])
            with speaking(order.get("language")):
                try:
                    answer, payload = doing[order["do"]](order)
                    self.say({"done": answer, "peak": peak()}, payload)
                except Exception as error:  # whatever happens to one order, the next one is done
                    code, message = told(error)
                    detail = "".join(traceback.format_exception(error))[-4000:] if code in ("failed", "model") else ""
                    worn = bool(detail) or isinstance(error, MemoryError)
                    self.say({"error": {"code": code, "message": message}, "detail": detail, "worn": worn})

    def say(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send an answer; an empty one is a sign of life. Threads may do so at the same time."""
        self.out.write(json.dumps(header | {"bytes": len(payload)}).encode() + b"\n" + payload)
        self.out.flush()

    # ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """What pictures are, without decoding them: format, size, and the recipe inside."""
        found = []
        for path, name in order["files"]:
            data = Path(path).read_bytes()
            kind, size = self.measured(data, name)
            found.append({"format": kind.lower(), "width": size[0], "height": size[1], "recipe": recipe_in(data)})
        return {"files": found}, b""

    def measured(self, data: bytes, name: str) -> tuple[str, tuple[int, int]]:
        """Format and size of a picture within the limits."""
        kind, size = measure(data, name=name, max_pixels=self.limits["pixels"])
        self.check_edge(size, name)
        return kind, size

    def check_edge(self, size: tuple[int, int], name: str) -> None:
        """Refuse what is too long."""
        if max(size) > self.limits["edge"]:
            width, height = size
            raise DoesNotFit(text("limits.edge", name=name, width=width, height=height, limit=self.limits["edge"]))

    def paint(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Paint an order, into a file where one is named; steps and pictures are shown on the way."""
        wanted = Order.model_validate(order["order"])
        commission = self.prepared(wanted, Path(order["folder"]), whole=True)
        self.say({"begun": {"seconds": commission.estimate.seconds, "notes": commission.notes}})
        shown = 0.0

        def on_step(step: Step) -> bool:
            nonlocal shown
            header: dict[str, Any] = {"step": step.number, "steps": step.total, "remaining": round(step.remaining, 1)}
            picture = b""
            if step.total > 1 and time.monotonic() - shown > EVERY and step.number < step.total:
                shown = time.monotonic()
                picture = jpeg(fit(step.preview(), size=PREVIEW))
            self.say({"step": header}, picture)
            return not self.stop.is_set()

        try:
            pastiche = commission.paint(on_step)
        except RunFailed as error:
            if not isinstance(error.kept, Pastiche):
                raise
            pastiche = error.kept
        return self.delivered(pastiche, commission, wanted, order.get("out"))

    def delivered(
        self, pastiche: Pastiche, commission: Commission, wanted: Order, out: str | None
    ) -> tuple[dict[str, Any], bytes]:
        """A painting as a file or as bytes, and what there is to say about it."""
        pastiche = dataclasses.replace(pastiche, recipe=named(pastiche.recipe, wanted))
        buffer = io.BytesIO()
        pastiche.save(buffer, format=wanted.format)
        data = buffer.getvalue()
        about = {
            "width": pastiche.picture.size[0],
            "height": pastiche.picture.size[1],
            "seconds": round(pastiche.seconds, 3),
            "complete": pastiche.complete,
            "engine": pastiche.recipe.engine,
            "model": pastiche.card.name,
            "notes": list(commission.notes),
            "recipe": pastiche.recipe.without_paths().to_toml(),
            "size": len(data),
        }
        if out is None:
            return about, data
        with atomic_write(out, overwrite=True) as stream:
            stream.write(data)
        return about, b""

    def look_film(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """What a film is, and whether what is asked of it is within the limits."""
        asked = Filming.model_validate(order["filming"])
        about = filming.look(Path(order["path"]), order["name"], asked, self.limits)
        self.check_edge((about["width"], about["height"]), order["name"])
        return about, b""

    def film(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Paint a film into a file; how far it is is said on the way."""
        wanted, folder = Order.model_validate(order["order"]), Path(order["folder"])
        styles = chosen(wanted, lambda file, _: self.loaded(folder / file.id, file.name))

        def on_frame(step: dict[str, Any]) -> bool:
            self.say({"step": step})
            return not self.stop.is_set()

        film = filming.Ordered(path=folder / wanted.photo.id, target=Path(order["out"]), order=wanted, styles=styles)
        return film.paint(on_frame, most=self.limits["frames"], on_work=lambda: self.say({})), b""

    def preview(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Paint an order small and at once."""
        wanted = Order.model_validate(order["order"])
        began = time.monotonic()
        commission = self.prepared(wanted, Path(order["folder"]), whole=False)
        pastiche = commission.paint()
        width, height = pastiche.picture.size
        return {"width": width, "height": height, "seconds": round(time.monotonic() - began, 3)}, jpeg(pastiche.picture)

    def thumbnails(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Paint a picture small in many styles, and show each when it is there."""
        photo = self.seen(Path(order["folder"]) / order["photo"], order["size"])
        for name in order["styles"]:
            if self.stop.is_set():
                break
            style = Style(source=name, name=name)
            self.say({"style": name}, jpeg(prepare(photo, style, engine="fast", offline=True).paint().picture))
        return {}, b""

    def polish(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Tune the style of a painting and put it into the gallery."""
        from danqing import polishing

        path = Path(order["folder"]) / order["painting"]
        ordered = polishing.prepare([path], name=order["name"], seconds=order["seconds"])

        def on_progress(told: Any) -> bool:
            self.say({"step": {"step": told.step, "steps": told.steps, "remaining": round(told.remaining, 1)}})
            return not self.stop.is_set()

        found = ordered.run(on_progress)
        with atomic_write(order["out"], overwrite=True) as stream:
            stream.write(save.encode(found.sheet, formats.FORMATS["PNG"], name=found.name))
        return {"style": found.name, "before": found.before, "after": found.after, "notes": list(ordered.notes)}, b""

    def adopt(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Take a style file into the gallery."""
        return {"style": catalog.import_style(Path(order["path"]), order["name"])}, b""

    def picture(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The picture of a style of the gallery, small."""
        return {}, jpeg(fit(catalog.picture(order["style"]), size=order["size"]))

    # ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────

    def prepared(self, wanted: Order, folder: Path, *, whole: bool) -> Commission:
        """A commission for an order: whole, or with pictures that are kept at the size of previews."""

        def read(file: File, long: int) -> Picture:
            path = folder / file.id
            return self.loaded(path, file.name) if whole else self.seen(path, long)

        photo = read(wanted.photo, int(wanted.knobs.get("size") or PREVIEW))
        return prepare(photo, **chosen(wanted, read), name=wanted.photo.name, offline=True, **wanted.knobs)

    def loaded(self, path: Path, name: str) -> Picture:
        """A picture within the limits."""
        data = path.read_bytes()
        self.measured(data, name)
        return Picture.load(data, name=name, max_pixels=self.limits["pixels"])

    def seen(self, path: Path, long: int) -> Picture:
        """A picture at the size of previews, kept in memory."""
        key = path.name, long
        if key not in self._kept:
            self._kept[key] = fit(self.loaded(path, path.name[:8]), size=long)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def chosen(wanted: Order, read: Callable[[File, int], Picture]) -> dict[str, Any]:
    """The styles of an order, and where they are painted.

    Args:
        wanted: the order.
        read: called with a file and the long side that is enough of it.
    """

    def source(layer: Layer) -> Picture | str:
        return read(layer.file, STYLE) if layer.file else str(layer.style)

    return {
        "style": [Style(source=source(layer), name=called(layer), weight=layer.weight) for layer in wanted.layers],
        "masks": [read(layer.mask, PREVIEW) if layer.mask else None for layer in wanted.layers],
        "protect": read(wanted.protect, PREVIEW) if wanted.protect else None,
    }


def called(layer: Layer) -> str:
    """What a style is called."""
    return layer.file.name if layer.file else str(layer.style)


def named(recipe: Recipe, wanted: Order) -> Recipe:
    """A recipe whose pictures are called as the client calls them, with the hashes of its files."""

    def source(file: File | None) -> Source | None:
        return Source(name=file.name, sha256=file.sha256) if file else None

    styles = []
    for layer, known in zip(wanted.layers, recipe.styles, strict=True):
        name, digest = (layer.file.name, layer.file.sha256) if layer.file else (known.name, None)
        styles.append(StyleSource(name=name, sha256=digest, weight=known.weight, mask=source(layer.mask)))
    about = {"content": source(wanted.photo), "styles": tuple(styles), "protect": source(wanted.protect)}
    return recipe.turned(about)


def recipe_in(data: bytes) -> dict[str, Any] | None:
    """The recipe inside a picture; None where there is none that can be used."""
    found = provenance.read(data)
    if found is None:
        return None
    with contextlib.suppress(BadRecipe):
        return Recipe.from_toml(found).without_paths().model_dump(mode="json", exclude_defaults=True)
    return None


def jpeg(picture: Picture) -> bytes:
    """A picture as it is shown while somebody waits for it."""
    return save.encode(picture, formats.FORMATS["JPEG"], name="preview", quality=PREVIEW_QUALITY)


def main() -> None:
    """Serve until stdin ends."""
    limits = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    restrict(limits)
    worker = Worker(limits, out)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    main()
