"""A worker: a process that paints what it is told, one painting after the other, its engine kept open.

It is run as a module by `local`, and speaks lines of JSON: a task comes in on stdin, what becomes of it goes out on
stdout. When stdin ends the process ends at once, whatever it is doing, so that no worker outlives whoever gave it work.
It knows no work list: what a line means to the list is for the other side to say.

    in      {"task": …, "tries": 1}    {"stop": true}
    out     {"ready": true}    {"begun": seconds}    {"step": 3}
            {"done": {…}}    {"failed": "…"}    {"full": "…"}    {"stopped": true}
"""

from __future__ import annotations

import errno
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from danqing import api, inputs
from danqing.batch import plan
from danqing.commission import prepare
from danqing.errors import DanqingError, Interrupted, RunFailed
from danqing.files import make_folder, shown
from danqing.inputs import ReadStyle
from danqing.messages import text
from danqing.picture.load import read_bytes
from danqing.picture.save import target_format
from danqing.recipe import Recipe
from danqing.stylizer import Step

Tell = Callable[[Mapping[str, Any]], None]

_NO_SPACE = (errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))


def paint(task: Mapping[str, Any], *, again: bool, tell: Tell, stop: threading.Event) -> dict[str, Any] | None:
    """Paint and save one photo.

    Args:
        task: of `plan.Plan`.
        again: whether it was begun before, so that what is there may be this very painting.
        tell: called with lines of progress.
        stop: set when the painting is to be given up.

    Returns:
        What is to be remembered of it; None when it was given up.

    Raises:
        DanqingError: one line.
    """
    target = Path(task["target"])
    arguments = {name: value for name, value in task["arguments"].items() if name != "style"}
    if task["protect"] is not None:
        arguments["protect"] = task["protect"]
    styles = _styles(tuple(task["arguments"]["style"])) or None
    order = prepare(Path(task["photo"]), styles, offline=True, **arguments)
    target_format(target, format=task["format"], depth=order.recipe.depth, size=order.content.size)
    tell({"begun": order.estimate.seconds})
    result = {"stamp": _stamp(task, order.recipe), "size": list(order.content.size), "notes": list(order.notes)}
    replace = task["overwrite"]
    if target.exists() and (again or not replace or task["resume"]):
        inside = _recipe_inside(target)
        if inside == order.recipe.fingerprint():
            return result | {"seconds": 0.0, "kept": True}
        replace = replace or task["known"] or (task["resume"] and inside is not None)

    def on_step(step: Step) -> bool:
        tell({"step": step.number})
        return not stop.is_set()

    pastiche = order.paint(on_step)
    if not pastiche.complete:
        return None
    make_folder(target.parent)
    pastiche.save(target, format=task["format"], overwrite=replace, with_recipe=task["with_recipe"])
    return result | {"seconds": round(pastiche.seconds, 3), "kept": False}


def _stamp(task: Mapping[str, Any], recipe: Recipe) -> str:
    protect = recipe.protect if task["protect"] is not None else None
    content = recipe.content.sha256 if recipe.content is not None else None
    return plan.stamp(task["mark"], str(content), protect.sha256 if protect is not None else None)


@lru_cache(8)
def _styles(written: tuple[str, ...]) -> list[ReadStyle]:
    """Styles as they are written on a line, read once."""
    styles, references = inputs.read_styles(written)
    return [ReadStyle(style=s, reference=r) for s, r in zip(styles, references, strict=True)]


def _recipe_inside(path: Path) -> str | None:
    """The fingerprint of the recipe inside a file, None if it has none."""
    try:
        return api.recipe_inside(read_bytes(path, shown(path)), name=shown(path)).fingerprint()
    except DanqingError:
        return None


def answer(order: Mapping[str, Any], *, tell: Tell, stop: threading.Event) -> dict[str, Any]:
    """Do what is asked for; the last line about it, whatever happens."""
    try:
        result = paint(order["task"], again=order["tries"] > 1, tell=tell, stop=stop)
        return {"done": result} if result is not None else {"stopped": True}
    except Interrupted:
        return {"stopped": True}
    except DanqingError as error:
        cause = error.__cause__
        full = isinstance(error, RunFailed) and isinstance(cause, OSError) and cause.errno in _NO_SPACE
        return {"full" if full else "failed": str(error)}
    except MemoryError:
        return {"failed": text("batch.memory")}
    except Exception as error:  # a bug: it costs one picture, not all
        first = (str(error).strip().splitlines() or [""])[0]
        return {"failed": text("batch.bug", kind=type(error).__name__, reason=first)}


def main() -> int:
    """Work until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever gave the work
    lines = _own_stdout()
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()
    voice = threading.Lock()

    def tell(line: Mapping[str, Any]) -> None:
        with voice:
            lines.write(json.dumps(line) + "\n")
            lines.flush()

    def listen() -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if "stop" in order:
                stop.set()
            else:
                orders.put(order)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    tell({"ready": True})
    while True:
        tell(answer(orders.get(), tell=tell, stop=stop))


def _own_stdout() -> TextIO:
    """Stdout for our lines alone: what libraries print goes to stderr."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


if __name__ == "__main__":
    sys.exit(main())
