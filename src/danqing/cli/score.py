"""`danqing score`: how good paintings are, in numbers; of films, how still."""

from __future__ import annotations

import statistics
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from danqing.cli import console
from danqing.cli.options import Json, single
from danqing.cli.progress import counting
from danqing.cli.rooms import film_room
from danqing.errors import UsageError
from danqing.files import shown
from danqing.judge import Judge
from danqing.messages import text
from danqing.quality import Score


class Baseline(StrEnum):
    """What else is judged for comparison."""

    COLOUR = "colour"


def score(
    content: Annotated[Path, typer.Argument(metavar="PHOTO", show_default=False)],
    style: Annotated[str | None, typer.Argument(metavar="STYLE", show_default=False)] = None,
    paintings: Annotated[list[Path] | None, typer.Argument(metavar="PAINTING...", show_default=False)] = None,
    baseline: Annotated[Baseline | None, typer.Option("--baseline", show_default=False)] = None,
    video: Annotated[Path | None, typer.Option("--video", metavar="FILM", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Judge paintings of one photo in one style, or of one film."""
    if video is not None:
        if baseline is not None:
            raise UsageError(text("cli.score_video_baseline"))
        _films(video, [content, *([Path(style)] if style else []), *(paintings or [])], json=json)
        return
    if style is None or not paintings:
        raise UsageError(text("cli.score_three"))
    judge = Judge(str(content), style)
    scores = {shown(path): judge.score(path) for path in paintings}
    reference = judge.baseline() if baseline is not None else None
    middle = _median(list(scores.values()))
    if json:
        told: dict[str, object] = {"features": "compact", "paintings": {k: _values(v) for k, v in scores.items()}}
        told["median"] = _values(middle)
        if reference is not None:
            told["baseline"] = _values(reference)
        console.put_json(told)
        return
    rows = [("", text("cli.score_column_content"), text("cli.score_column_style"), text("cli.score_column_art"))]
    rows += [(name, *_row(found)) for name, found in scores.items()]
    if len(scores) > 1:
        rows.append((text("cli.score_median"), *_row(middle)))
    if reference is not None:
        rows.append((text("cli.score_colour"), *_row(reference)))
    console.table(rows)
    console.say(text("cli.score_features"))
    for name, found in scores.items():
        if found.failed:
            console.say(text("cli.score_failed", name=name))


def _films(film: Path, painted: list[Path], *, json: bool) -> None:
    """Temporal errors of painted films, and of the film itself."""
    consistency = film_room("consistency").consistency
    found = {}
    for path in painted:
        with counting() as count:
            found[shown(path)] = consistency(film, path, count)
    own = next(iter(found.values())).own
    if json:
        told = {
            name: {"error": one.error, "frames": one.frames, "rate": round(one.rate, 3), "cuts": one.cuts}
            for name, one in found.items()
        }
        console.put_json({"film": own, "paintings": told})
        return
    columns = ("temporal", "frames", "rate")
    rows = [("", *(text(f"cli.score_column_{column}") for column in columns))]
    rows += [(name, f"{1e3 * one.error:.3f}", str(one.frames), f"{one.rate:.3g}") for name, one in found.items()]
    console.table([*rows, (shown(film), f"{1e3 * own:.3f}", "", "")])
    console.say(text("cli.score_temporal"))


def _median(scores: list[Score]) -> Score:
    return Score(content=statistics.median(s.content for s in scores), style=statistics.median(s.style for s in scores))


def _values(found: Score) -> dict[str, float]:
    return {"content": round(found.content, 4), "style": round(found.style, 4), "art": round(found.art, 4)}


def _row(found: Score) -> tuple[str, str, str]:
    return f"{found.content:.3f}", f"{found.style:.3f}", f"{found.art:.3f}"


app = single(score)
