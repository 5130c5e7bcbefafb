"""`danqing evaluate`: how well networks paint, a table of styles on stdout."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer

from danqing.cli import console, progress
from danqing.cli.options import Json, single
from danqing.errors import UsageError
from danqing.evaluation import Likeness, Verdict, likeness
from danqing.evaluation import evaluate as judge_styles
from danqing.messages import text


def evaluate(
    names: Annotated[list[str], typer.Argument(metavar="STYLE|MODEL...", show_default=False)],
    photos: Annotated[Path, typer.Option("--photos", metavar="DIR", show_default=False)],
    paintings: Annotated[Path | None, typer.Option("--paintings", metavar="DIR", show_default=False)] = None,
    collection: Annotated[Path | None, typer.Option("--collection", metavar="DIR", show_default=False)] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, show_default=False)] = 40,
    size: Annotated[int, typer.Option("--size", metavar="N", min=64, max=4096, show_default=False)] = 512,
    equivalent: Annotated[int, typer.Option("--equivalent", metavar="N", min=0, show_default=False)] = 0,
    json: Json = False,
) -> None:
    """Judge; what the options mean stands in the catalogues."""
    if collection is not None:
        if paintings is not None or equivalent:
            raise UsageError(text("train.collection_alone"))
        with progress.counting() as on_progress:
            found = likeness(names, photos, collection, count=count, size=size, on_progress=on_progress)
        put([beside(one) for one in found], ("style", "content", "frechet", "before"), json=json)
        return
    with progress.counting() as on_progress:
        verdicts = judge_styles(
            names,
            photos,
            paintings=paintings,
            count=count,
            size=size,
            equivalent=equivalent,
            on_progress=on_progress,
        )
    heads = ("style", "content", "distance", "art", "transfer", "failed", *(("equivalent",) if equivalent else ()))
    put([values(verdict) for verdict in verdicts], heads, json=json)


def put(found: list[dict[str, object]], heads: tuple[str, ...], *, json: bool) -> None:
    """What was measured, as a table or as JSON."""
    if json:
        console.put_json(found)
        return
    rows = [[str(_short(one[head])) for head in heads] for one in found]
    console.table([[text(f"train.head_{head}") for head in heads], *rows])


def beside(one: Likeness) -> dict[str, object]:
    """A likeness as `--json` tells it."""
    content = statistics.median(one.content)
    return {
        "style": one.name,
        "photos": len(one.content),
        "content": content,
        "frechet": one.frechet,
        "before": one.before,
    }


def values(verdict: Verdict) -> dict[str, object]:
    """A verdict as `--json` tells it."""
    found: dict[str, object] = {
        "style": verdict.style,
        "photos": len(verdict.scores),
        "content": verdict.content,
        "distance": verdict.distance,
        "art": verdict.art,
        "transfer": verdict.transfer,
        "failed": verdict.failed,
    }
    if verdict.equivalent:
        found["equivalent"] = statistics.median(verdict.equivalent)
    return found


def _short(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value


app = single(evaluate)
