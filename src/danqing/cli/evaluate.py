"""`danqing evaluate`: how well networks paint, a table of styles on stdout."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer

from danqing.cli import console, progress
from danqing.cli.options import Json, single
from danqing.evaluation import Verdict
from danqing.evaluation import evaluate as judge_styles
from danqing.messages import text


def evaluate(
    names: Annotated[list[str], typer.Argument(metavar="STYLE|MODEL...", show_default=False)],
    photos: Annotated[Path, typer.Option("--photos", metavar="DIR", show_default=False)],
    paintings: Annotated[Path | None, typer.Option("--paintings", metavar="DIR", show_default=False)] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, show_default=False)] = 40,
    size: Annotated[int, typer.Option("--size", metavar="N", min=64, max=4096, show_default=False)] = 512,
    equivalent: Annotated[int, typer.Option("--equivalent", metavar="N", min=0, show_default=False)] = 0,
    json: Json = False,
) -> None:
    """Judge; what the options mean stands in the catalogues."""
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
    if json:
        console.put_json([values(verdict) for verdict in verdicts])
        return
    heads = ("style", "content", "distance", "art", "transfer", "failed", *(("equivalent",) if equivalent else ()))
    rows = [[str(_short(values(verdict)[head])) for head in heads] for verdict in verdicts]
    console.table([[text(f"train.head_{head}") for head in heads], *rows])


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
