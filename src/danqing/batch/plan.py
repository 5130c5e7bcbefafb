"""A batch that is ordered: many photos in one or several styles, before a stroke of it is made.

Photos, styles and knobs go in; `prepare` checks everything that holds for all of them, once, and says which painting
goes where; `Plan.enlist` puts on a work list what is still to be painted. Which that is, is told by hashes: of a photo,
of its mask and of the recipe. This module paints nothing and knows no processes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from danqing import catalog, commission, engines, files, inputs, limits, machine
from danqing.batch.photos import KEPT, Photo, masks, targets
from danqing.card import Network
from danqing.commission import Commission, OnDownload
from danqing.engines import fast, vectors
from danqing.errors import BadInput, UsageError
from danqing.files import shown
from danqing.image.fit import fitted_size
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.save import target_format
from danqing.problems import choices
from danqing.recipe import Recipe
from danqing.style import split_weight
from danqing.work import Item, WorkList

_BLANK = (64, 48)  # px; of a photo on which an order is tried
_USUAL = (4, 3)
_BYTES_TO_PIXELS = 8  # a photo's file has rarely fewer than a byte for so many pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A batch that is ordered.

    Attributes:
        folder: where the paintings go.
        tasks: what `worker.paint` is told, by the place of the painting below `folder`, as JSON has it: the paths
            `photo`, `target` and `protect` (the photo's own mask, or None); `arguments` of `commission.prepare`; how
            to save it, `format`, `with_recipe`, `overwrite`, `resume`; and `mark`, what all of this comes to. The list
            adds `known`: whether a painting of ours is there.
        workers: how many processes are to paint.
        threads: for each of them.
        resume: whether what was painted before is kept, unless photo, mask or recipe have changed.
        notes: what had to be decided, a line each.
    """

    folder: Path
    tasks: Mapping[str, Mapping[str, Any]]
    workers: int
    threads: int
    resume: bool
    notes: tuple[str, ...] = ()

    def open(self) -> WorkList:
        """The work list in the folder of the paintings, which is made.

        Raises:
            RunFailed: it cannot be written.
        """
        kept = self.folder / KEPT
        files.make_folder(kept)
        for folder in {Path(task["target"]).parent for task in self.tasks.values()}:
            files.sweep(folder)
        return WorkList(kept / "work.db")

    def enlist(self, work: WorkList) -> list[str]:
        """Put on the list what is to be painted, and nothing that another process is painting or has just painted.

        Returns:
            The places of the paintings that are still to come, here or from another process.
        """
        work.recover()
        before = {item.key: item for item in work.items() if item.key in self.tasks}
        unchanged = {key for key, item in before.items() if self.resume and self._is_painted(item)}
        ours = {key for key, item in before.items() if item.state == "done" or item.task["known"]}
        tasks = {key: {**task, "known": key in ours} for key, task in self.tasks.items()}

        def keep(item: Item) -> bool:
            if item.state != "done" or item.task["mark"] != self.tasks[item.key]["mark"]:
                return False
            was = before.get(item.key)
            return item.key in unchanged or was is None or was.state != "done"  # else it was painted meanwhile

        work.put(tasks, keep=keep)
        ended = {item.key for item in work.items() if item.state not in ("queued", "running")}
        return [key for key in self.tasks if key not in ended]

    def _is_painted(self, item: Item) -> bool:
        """Whether the painting of an item is there, of this very photo, mask and recipe."""
        task = self.tasks[item.key]
        if item.state != "done" or item.result is None or not Path(task["target"]).exists():
            return False
        try:
            content = files.sha256(task["photo"])
            protect = files.sha256(task["protect"]) if task["protect"] is not None else None
        except BadInput:
            return False
        return bool(item.result["stamp"] == stamp(task["mark"], content, protect))


def stamp(mark: str, content: str, protect: str | None) -> str:
    """What a painting is made of: sha256 over the order's mark, the photo's hash and its mask's, if it has its own."""
    return hashlib.sha256(f"{mark} {content} {protect}".encode()).hexdigest()


def prepare(
    photos: Sequence[Photo],
    folder: str | Path,
    *,
    styles: Sequence[str] = (),
    model: str | None = None,
    style_masks: Sequence[str | None] = (),
    blend: bool = False,
    protect: str | None = None,
    protect_dir: Path | None = None,
    format: str | None = None,
    with_recipe: bool = True,
    overwrite: bool = False,
    resume: bool = False,
    workers: int | None = None,
    max_memory: int | str | None = None,
    offline: bool = False,
    on_download: OnDownload | None = None,
    **arguments: Any,
) -> Plan:
    """Read and check everything that holds for all photos, and find every painting its place.

    Args:
        photos: from `photos.find`.
        folder: where the paintings go; each style gets a folder of its own in it where there are several.
        styles: names and paths, as on a line; without `blend` each is painted by itself.
        model: a network instead of styles, as for `commission.prepare`.
        style_masks: for each style the mask that belongs to it, or None.
        blend: mix the styles in one painting.
        protect: a picture that is white where every photo is left alone.
        protect_dir: a folder with such a picture for each photo, of the same place and name.
        format: of the paintings; by default each photo's own.
        with_recipe: whether paintings hold their recipe.
        overwrite: whether files that are there may be replaced.
        resume: paint only what is missing or has changed.
        workers: processes; by default as many as cores and memory allow.
        max_memory: for all of them together, as for `commission.prepare`.
        arguments: further ones of `commission.prepare`, knobs included; None counts as not given.

    Raises:
        UsageError: paintings would replace photos, or are there already without `overwrite` or `resume`.
        DanqingError: as `commission.prepare`.
    """
    if format is not None:
        target_format(None, format=format)
    if protect is not None and protect_dir is not None:
        raise UsageError(text("batch.protect_twice"))
    root = Path(os.path.normpath(Path(folder).absolute()))
    if model is not None:
        if styles:
            raise UsageError(text("api.model_and_style"))
        styles = [str(inputs.of_model(model))]
    asked = _asked(styles, style_masks, blend=blend, others=arguments | {"protect": protect})
    orders = [_tried(one, max_memory=max_memory, offline=offline, on_download=on_download) for one in asked]
    for order in orders if format is not None else ():
        target_format(None, format=format, depth=order.recipe.depth)
    sizes = [_size(photo, orders[0].recipe) for photo in photos]
    budget = limits.budget(max_memory)
    count = min(workers or _workers(orders, sizes, budget), len(photos) * len(orders))
    area = sum(width * height for width, height in sizes)
    runtime = fast.suited(len(orders) * area, each=area // len(sizes) if sizes else 0)
    drawn = masks(photos, protect_dir) if protect_dir is not None else [None] * len(photos)
    saving = {"format": format, "with_recipe": with_recipe, "overwrite": overwrite, "resume": resume}
    tasks = {}
    for one, order, below in zip(asked, orders, _folders(orders), strict=True):
        mark = _mark(order.recipe, one, with_recipe=with_recipe)
        shared = one | {"max_memory": budget // count}
        if order.recipe.engine in engines.BY_NAME and one.get("runtime", "auto") == "auto":
            shared["runtime"] = runtime
        places = targets(photos, format=format, depth=order.recipe.depth)
        for photo, place, mask in zip(photos, places, drawn, strict=True):
            paths = {"photo": photo.path, "target": root / below / place, "protect": mask}
            tasks[_key(below / place)] = {
                **{name: None if path is None else str(path) for name, path in paths.items()},
                **saving,
                "arguments": shared,
                "mark": mark,
            }
    _check(tasks, photos, anew=not (overwrite or resume))
    return Plan(
        folder=root,
        tasks=tasks,
        workers=count,
        threads=max(1, machine.cores() // count),
        resume=resume,
        notes=_notes(photos, drawn, protect_dir),
    )


def _key(place: PurePosixPath) -> str:
    """What a painting is called on the list, which takes text only."""
    return place.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


def _asked(
    styles: Sequence[str], style_masks: Sequence[str | None], *, blend: bool, others: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The arguments of `commission.prepare` for each painting of a photo; paths hold wherever a worker stands."""
    words = choices(Recipe.model_fields["start"])
    given = {name: value for name, value in others.items() if value is not None}
    for name in ("protect", "start", "encoder_weights"):
        if name in given and not (name == "start" and given[name] in words):
            given[name] = _absolute(given[name])
    written = [_located(style) for style in styles]
    drawn = [_absolute(mask) if mask else None for mask in style_masks]
    if blend or len(written) < 2:
        return [given | {"style": written, "masks": drawn}]
    return [given | {"style": [style], "masks": drawn[at : at + 1]} for at, style in enumerate(written)]


def _tried(
    asked: Mapping[str, Any], *, max_memory: int | str | None, offline: bool, on_download: OnDownload | None
) -> Commission:
    """The order of one painting of nothing, so that what is wrong with all of them is said once and before the work."""
    blank = Picture(pixels=np.full((*_BLANK[::-1], 3), 0.5, dtype=np.float32))
    styles = asked["style"] or None
    rest = {name: value for name, value in asked.items() if name != "style"}
    order = commission.prepare(blank, styles, max_memory=max_memory, offline=offline, on_download=on_download, **rest)
    if order.recipe.engine in engines.BY_NAME:
        card, _ = vectors.of(order.styles, order.recipe)
        if not any(isinstance(style.source, Network) for style in order.styles):
            catalog.find(card.name)
    return order


def _located(written: str) -> str:
    """A style as it was written, its path absolute if it is one."""
    name, _ = split_weight(written, inputs.is_there)
    return _absolute(name) + written[len(name) :] if inputs.is_there(name) else written


def _absolute(path: str | Path) -> str:
    return str(Path(path).absolute())


def _mark(recipe: Recipe, asked: Mapping[str, Any], *, with_recipe: bool) -> str:
    """What decides how a photo is painted and saved, in one word."""
    keep_gps = bool(asked.get("keep_gps", False))
    plain = recipe.turned({"content": None}).fingerprint()
    return hashlib.sha256(f"{plain} {keep_gps} {with_recipe}".encode()).hexdigest()


def _size(photo: Photo, recipe: Recipe) -> tuple[int, int]:
    """(width, height) in px at which a photo is likely to be painted, its file unopened; rather too large."""
    asked = recipe.size or recipe.width
    side = asked or commission.UNASKED.get(recipe.engine, commission.UNASKED_ELSE)
    width, height = side, side * _USUAL[1] // _USUAL[0]
    try:
        most = photo.path.stat().st_size * _BYTES_TO_PIXELS
    except OSError:  # it will be said when it is to be painted
        most = 0
    if width * height > most and not recipe.enlarge:
        width, height = fitted_size((width, height), size=max(16, round((most * _USUAL[0] / _USUAL[1]) ** 0.5)))
    return width, height


def _workers(orders: Sequence[Commission], sizes: Sequence[tuple[int, int]], budget: int) -> int:
    """As many processes as there are cores and as fit into memory; one for engines that take the whole machine."""
    if any(order.recipe.engine not in engines.BY_NAME for order in orders):
        return 1
    needs = orders[0].stylizer.estimate(max(sizes), orders[0].recipe).memory
    return max(1, min(machine.cores(), budget // needs))


def _folders(orders: Sequence[Commission]) -> list[PurePosixPath]:
    """The folder of each order below that of all paintings: none for one, else its style's name, each another."""
    if len(orders) == 1:
        return [PurePosixPath()]
    names: list[str] = []
    for order in orders:
        plain = name = files.harmless(order.styles[0].name).strip(". ") or "painting"
        number = 1
        while name.casefold() in {other.casefold() for other in names}:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return [PurePosixPath(name) for name in names]


def _check(tasks: Mapping[str, Mapping[str, Any]], photos: Sequence[Photo], *, anew: bool) -> None:
    own = {os.path.realpath(photo.path) for photo in photos}
    there = [Path(task["target"]) for task in tasks.values() if Path(task["target"]).exists()]
    for target in there:
        if os.path.realpath(target) in own:
            raise UsageError(text("batch.onto_photos", path=shown(target)))
    if anew and there:
        raise UsageError(text("batch.there", count=len(there), path=shown(there[0])))


def _notes(photos: Sequence[Photo], found: Sequence[PurePath | None], folder: Path | None) -> tuple[str, ...]:
    bare = [photo for photo, mask in zip(photos, found, strict=True) if mask is None]
    if folder is None or not bare:
        return ()
    return (text("batch.note_no_mask", count=len(bare), name=shown(bare[0].place), folder=shown(folder)),)
