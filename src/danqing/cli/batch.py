"""`danqing batch`: many photos and styles in, a folder of paintings out, whatever happens on the way.

What it shares with `danqing paint` is declared there.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from danqing.batch import photos as places
from danqing.batch import plan as plans
from danqing.batch.local import QUIET_SECONDS, Crew
from danqing.batch.plan import Plan
from danqing.cli import console, progress
from danqing.cli.interrupt import Interrupt, listening
from danqing.cli.options import Json, single
from danqing.cli.paint import PaintVerb, layers, paint, signature
from danqing.errors import SomeFailed, UsageError
from danqing.files import shown
from danqing.messages import catalogue, text
from danqing.work import Item, WorkList

SHARED = (
    "style", "model", "mask", "protect", "preset", "max_memory", "runtime", "overwrite", "format", "no_recipe",
    "keep_gps", "start", "encoder_weights", "content_layer", "style_layer",
)  # fmt: skip
"""Options that are `paint`'s too."""


NOTES = 5
"""So many of the notes on single paintings are said; the others are in the report."""


class BatchVerb(PaintVerb):
    """`batch`, with the help of `paint` where it has none of its own."""

    def said(self, name: str) -> str:
        """The help of an option."""
        if f"batch_{name}" not in catalogue("cli") and f"paint_{name}" in catalogue("cli"):
            return text(f"cli.paint_{name}")
        return super().said(name)


def batch(
    photos: Annotated[list[str], typer.Argument(metavar="IN", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", show_default=False)],
    blend: Annotated[bool, typer.Option("--blend", show_default=False)] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", show_default=False)] = False,
    resume: Annotated[bool, typer.Option("--resume", show_default=False)] = False,
    protect_dir: Annotated[Path | None, typer.Option("--protect-dir", metavar="DIR", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", min=1, show_default=False)] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="N", min=1, show_default=False)] = QUIET_SECONDS,
    json: Json = False,
    *,
    ctx: typer.Context,
    **shared: Any,
) -> None:
    """Paint many photos; what the options mean stands in the catalogues."""
    apart = [output] if protect_dir is None else [output, protect_dir]
    stdin = _stdin() if "-" in photos else None
    with listening() as interrupt:
        found = places.find(photos, recursive=recursive, apart=apart, stdin=stdin)
        layer_knobs = layers(content_layer=shared.pop("content_layer"), style_layer=shared.pop("style_layer"))
        with progress.downloading() as on_download:
            plan = plans.prepare(
                found,
                output,
                styles=shared.pop("style") or (),
                style_masks=ctx.obj if shared.pop("mask") else (),
                blend=blend,
                protect_dir=protect_dir,
                resume=resume,
                workers=workers,
                with_recipe=not shared.pop("no_recipe"),
                offline=console.manner.offline,
                on_download=on_download,
                **layer_knobs,
                **shared,
            )
        for note in plan.notes:
            console.say(note)
        with plan.open() as work:
            began = time.monotonic()
            painted = _painted(plan, work, interrupt, quiet=timeout)
            report = _report(plan, work, painted, time.monotonic() - began)
    _tell(report, json=json, code=interrupt.code)


def _stdin() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UsageError(text("batch.stdin"))
    return sys.stdin.buffer


def _painted(plan: Plan, work: WorkList, interrupt: Interrupt, *, quiet: float) -> int:
    """Paint, with everything that looks on; how many paintings came of it."""
    todo = plan.enlist(work)
    total = len(plan.tasks)
    if len(todo) < total:
        console.say(text("batch.unchanged", count=total - len(todo), total=total))
    if not todo:
        return 0
    fields = {"count": len(todo), "folder": shown(plan.folder), "workers": min(plan.workers, len(todo))}
    console.say(text("batch.begins", **fields))
    crew = Crew(work, workers=plan.workers, threads=plan.threads, quiet=quiet, debug=console.manner.debug)
    interrupt.begun = True
    began = time.monotonic()
    ended = painted = 0
    said: set[str] = set()
    with progress.painting_many(len(todo)) as show:

        def on_end(item: Item) -> None:
            nonlocal ended, painted
            ended += 1
            if item.state == "done":
                painted += 1
                for note in (item.result or {}).get("notes", ()):
                    if note not in said:
                        (console.say if len(said) < NOTES else console.detail)(note)
                        said.add(note)
                console.detail(shown(item.task["target"]))
            elif item.problem is not None:
                console.tell(failure(item.task["photo"], item.problem))
            show(ended, ended / max(1e-3, time.monotonic() - began))

        crew.run(todo, on_end, stopping=lambda: interrupt.code is not None)
    return painted


def failure(photo: str, problem: str) -> str:
    """The one line for a photo that could not be painted; most problems name it themselves."""
    return problem if shown(photo) in problem else text("batch.failed", photo=shown(photo), problem=problem)


def _report(plan: Plan, work: WorkList, painted: int, seconds: float) -> dict[str, Any]:
    """A batch as `--json` tells it."""
    items = {item.key: item for item in work.items()}
    entries = [_entry(items[key], plan.tasks[key]) for key in plan.tasks]
    count = {state: sum(entry["state"] == state for entry in entries) for state in ("done", "failed")}
    return {
        "folder": str(plan.folder),
        "total": len(entries),
        "painted": painted,
        "unchanged": count["done"] - painted,
        "failed": count["failed"],
        "complete": count["done"] + count["failed"] == len(entries),
        "seconds": round(seconds, 3),
        "rate": round(painted / seconds, 3),
        "workers": plan.workers,
        "pictures": entries,
    }


def _entry(item: Item, task: Mapping[str, Any]) -> dict[str, Any]:
    result = item.result or {}
    told = {name: result[name] for name in ("size", "seconds", "notes") if name in result}
    return {"photo": task["photo"], "path": task["target"], "state": item.state, "problem": item.problem} | told


def _tell(report: Mapping[str, Any], *, json: bool, code: int | None) -> None:
    done = report["painted"] + report["unchanged"]
    folder = shown(report["folder"])
    if code is not None:
        console.tell(text("batch.stopped", done=done, total=report["total"]))
    else:
        fields = {"seconds": progress.duration(report["seconds"]), "rate": f"{report['rate']:.2f}", "folder": folder}
        console.say(text("batch.done", painted=report["painted"], total=report["total"], **fields))
    if json:
        console.put_json(report)
    else:
        console.out(folder)
    if code is not None:
        raise typer.Exit(code)
    if report["failed"]:
        raise SomeFailed(text("batch.some_failed", failed=report["failed"], total=report["total"]))


_OF_PAINT = inspect.signature(paint).parameters
batch.__signature__ = signature(  # type: ignore[attr-defined]
    batch, [_OF_PAINT[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in SHARED]
)
app = single(batch, cls=BatchVerb)
