"""`danqing train`: paintings or folders of pictures in, a model that `--style NAME` paints with out.

The options that turn knobs are made from the fields of `TrainRecipe`; only what concerns files is written here.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from danqing.card import Card
from danqing.cli import console
from danqing.cli.interrupt import listening
from danqing.cli.options import Json, Verb, single
from danqing.cli.paint import default_of
from danqing.cli.progress import EVERY, EVERY_VERBOSE, duration
from danqing.errors import UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.problems import bare, bounds, choices
from danqing.recipe import TrainRecipe
from danqing.training import Training, prepare

KNOBS = {name: f for name, f in TrainRecipe.model_fields.items() if name not in ("version", "name", "styles")}


UNTOLD = frozenset({"loss", "gradient", "tv", "range", "promise", "tone", "loss_judge", "gradient_judge", "steepness"})
"""Terms that stand in the log alone."""


class TrainVerb(Verb):
    """`train`, with the help of the knobs from their own catalogue."""

    def said(self, name: str) -> str:
        """The help of an option; of a knob with its range and default."""
        if name not in KNOBS:
            return super().said(name)
        field = KNOBS[name]
        default = default_of(field)
        extras = ["" if choices(field) else bounds(field), text("cli.default", value=default) if default else ""]
        about = "; ".join(extra for extra in extras if extra)
        return f"{text(f'train.knob_{name}')} [{about}]" if about else text(f"train.knob_{name}")

    def section(self, name: str) -> str:
        """Knobs stand apart from what concerns files."""
        if name not in KNOBS:
            return super().section(name)
        extra = KNOBS[name].json_schema_extra
        adversary = isinstance(extra, dict) and extra.get("section") == "adversary"
        return text("cli.section_adversary" if adversary else "cli.section_knobs")


def train(
    paintings: Annotated[list[Path] | None, typer.Argument(metavar="PAINTING", show_default=False)] = None,
    photos: Annotated[Path | None, typer.Option("--photos", metavar="DIR", show_default=False)] = None,
    domain_a: Annotated[Path | None, typer.Option("--domain-a", metavar="DIR", show_default=False)] = None,
    domain_b: Annotated[Path | None, typer.Option("--domain-b", metavar="DIR", show_default=False)] = None,
    pairs: Annotated[tuple[Path, Path] | None, typer.Option("--pairs", metavar="DIR DIR", show_default=False)] = None,
    collection: Annotated[Path | None, typer.Option("--paintings", metavar="DIR", show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", show_default=False)] = None,
    folder: Annotated[Path | None, typer.Option("--folder", metavar="DIR", show_default=False)] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="DIR", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", show_default=False)] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", show_default=False)] = "auto",
    json: Json = False,
    **knobs: Any,
) -> None:
    """Train; what the options mean stands in the catalogues."""
    order = prepare(
        paintings or (),
        photos=photos,
        domains=domains(domain_a, domain_b),
        pairs=pairs or (),
        collection=collection,
        name=name,
        folder=folder,
        resume=resume,
        preset=preset,
        device=device,
        **knobs,
    )
    first = os.environ.get("RANK", "0") == "0"  # of the processes that `torchrun` starts, it speaks for all
    console.manner.quiet |= not first
    for note in order.notes:
        console.say(note)
    recipe = order.recipe
    console.say(text("train.begins", folder=shown(order.folder), name=recipe.name, what=what_of(order)))
    began = time.monotonic()
    last: Any = None
    with listening() as interrupt, showing(recipe.batch) as show:

        def on_report(report: Any) -> bool:
            nonlocal last
            last = report
            interrupt.begun = True
            show(report)
            return interrupt.code is None

        card = order.run(on_report)
    if not first:
        raise typer.Exit(interrupt.code or 0)
    seconds = time.monotonic() - began
    if card is None:
        steps = {"step": last.step, "steps": last.steps}
        console.tell(text("train.stopped", folder=shown(order.folder), **steps))
    else:
        styles = " | ".join(order.makes[:2])
        console.say(text("train.done", name=recipe.name, style=styles, seconds=duration(seconds)))
    report(order, card, last, seconds, json=json)
    if interrupt.code is not None:
        raise typer.Exit(interrupt.code)


def domains(a: Path | None, b: Path | None) -> tuple[Path, ...]:
    """Both folders, or none.

    Raises:
        UsageError: one of them is missing.
    """
    if (a is None) != (b is None):
        raise UsageError(text("train.needs_cyclegan"))
    return () if a is None or b is None else (a, b)


def what_of(order: Training) -> str:
    """What is learnt from, in few words."""
    if not order.kinds:
        return text("train.of_paintings", method=order.recipe.method, count=len(order.paintings))
    counts = " + ".join(str(len(kind.files)) for kind in order.kinds)
    fields = {"channels": order.kinds[0].channels, "depth": order.kinds[0].depth, "crop": order.recipe.crop}
    return text("train.of_kinds", method=order.recipe.method, count=counts, **fields)


def report(order: Training, card: Card | None, last: Any, seconds: float, *, json: bool) -> None:
    """What came of it, on stdout."""
    if json:
        found = {
            "name": order.recipe.name,
            "styles": list(order.makes),
            "folder": str(order.folder),
            "complete": card is not None,
            "step": last.step if last else None,
            "losses": dict(last.terms) if last else {},
            "seconds": round(seconds, 1),
            "fingerprint": order.recipe.fingerprint(),
        }
        console.put_json(found)
    else:
        console.out(shown(order.folder))


@contextlib.contextmanager
def showing(batch: int) -> Iterator[Callable[[Any], None]]:
    """Something to call after every step: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""
    if console.manner.quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _lines(batch)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.fields[line]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, line="")
        yield lambda r: progress.update(task, completed=r.step, total=r.steps, line=line_of(r, batch))


def _lines(batch: int) -> Callable[[Any], None]:
    last = time.monotonic()
    every = EVERY_VERBOSE if console.manner.verbose else EVERY

    def show(report: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= every or report.step == report.steps:
            last = time.monotonic()
            console.tell(line_of(report, batch))

    return show


def line_of(report: Any, batch: int) -> str:
    """A step in one line."""
    rate = f"{report.per_second * batch:.1f}"
    line = text("train.step", step=report.step, steps=report.steps, rate=rate, remaining=duration(report.remaining))
    terms = "  ".join(f"{name} {value:.3g}" for name, value in report.terms.items() if name not in UNTOLD)
    return f"{line}  {terms}"


def _signature() -> inspect.Signature:
    own = inspect.signature(train, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    for name, field in KNOBS.items():
        kind = bare(field.annotation)
        flag = f"--{name.replace('_', '-')}"
        declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
        option = typer.Option(declared, metavar=None if kind is bool or choices(field) else "N", show_default=False)
        annotation: Any = Annotated[kind | None, option]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return own.replace(parameters=parameters)


train.__signature__ = _signature()  # type: ignore[attr-defined]
app = single(train, cls=TrainVerb)
