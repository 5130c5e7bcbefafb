"""`danqing video`: films and styles in, painted films with their sound out.

Styles and knobs are those of `danqing paint`; only what concerns films is written here. What paints them is imported
when it is needed, so that the help is there without the extra.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from danqing.cli import console, progress
from danqing.cli.interrupt import Interrupt, listening
from danqing.cli.options import From, Json, Output, Overwrite, single
from danqing.cli.paint import KNOBS, PaintVerb, options_of
from danqing.cli.rooms import film_room
from danqing.cli.targets import file_name, side_by_side
from danqing.errors import DanqingError, SomeFailed, UsageError
from danqing.files import make_folder, shown
from danqing.messages import catalogue, text
from danqing.picture import Picture
from danqing.style import split_weight

if TYPE_CHECKING:
    from danqing.video.film import Film, Filmed
    from danqing.video.run import Progress

PICTURES = {"square", "quality", "depth"}
"""Knobs that make sense for pictures only."""

Show = Callable[["Progress"], None]


class VideoVerb(PaintVerb):
    """`video`, with the help of `paint` where it takes the same."""

    def section(self, name: str) -> str:
        """What is called as a knob of pictures and is none stands with the options."""
        if name == "steady":
            return text("cli.section_knobs")
        if name == "style_at":
            return super().section("style")
        return text("cli.section_options") if name in ("start", "depth") else super().section(name)

    def said(self, name: str) -> str:
        """The help of an option: its own, else that of `paint`."""
        for key in (f"video_{name}", f"paint_{name}"):
            if key in catalogue("cli") and name not in set(KNOBS) - PICTURES:
                return text(f"cli.{key}")
        return super().said(name)


def video(
    films: Annotated[list[Path], typer.Argument(metavar="FILM...", show_default=False)],
    style: Annotated[list[str] | None, typer.Option("--style", "-s", metavar="STYLE", show_default=False)] = None,
    mask: Annotated[list[str] | None, typer.Option("--mask", metavar="FILE", show_default=False)] = None,
    protect: Annotated[str | None, typer.Option("--protect", metavar="FILE", show_default=False)] = None,
    style_at: Annotated[list[str] | None, typer.Option("--style-at", metavar="TIME:STYLE", show_default=False)] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", metavar="FILE", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", show_default=False)] = None,
    steady: Annotated[float | None, typer.Option("--steady", metavar="N", min=0, max=1, show_default=False)] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", show_default=False)] = False,
    preview: Annotated[bool, typer.Option("--preview", show_default=False)] = False,
    start: Annotated[str | None, typer.Option("--start", metavar="TIME", show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", show_default=False)] = None,
    fps: Annotated[str | None, typer.Option("--fps", metavar="N", show_default=False)] = None,
    every: Annotated[int, typer.Option("--every", metavar="N", min=1, show_default=False)] = 1,
    codec: Annotated[str | None, typer.Option("--codec", metavar="NAME", show_default=False)] = None,
    crf: Annotated[int | None, typer.Option("--crf", metavar="N", show_default=False)] = None,
    depth: Annotated[int | None, typer.Option("--depth", metavar="N", show_default=False)] = None,
    keep_gps: Annotated[bool, typer.Option("--keep-gps", show_default=False)] = False,
    max_memory: Annotated[str | None, typer.Option("--max-memory", metavar="SIZE", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option("--runtime", metavar="NAME", show_default=False)] = None,
    folders: From = None,
    json: Json = False,
    *,
    ctx: typer.Context,
    **knobs: Any,
) -> None:
    """Paint films; what the options mean stands in the catalogues."""
    prepare, Cut = film_room("film").prepare, film_room("clip").Cut
    times = _seconds("start", start) or Fraction(0), _seconds("end", end)
    if times[1] is not None and times[1] <= times[0]:
        raise UsageError(text("cli.video_span", start=start or "0", end=end))
    cut = Cut(start=times[0], end=times[1], every=every, fps=_rate(fps))
    later = [_later(written) for written in style_at or ()]
    named = [*(style or ()), *(name for _, name in later)]
    targets = _targets(films, output, named or [Path(recipe or "painting").stem])
    optional = {"steady": steady, "preset": preset, "recipe": recipe, "max_memory": max_memory, "protect": protect}
    given = {name: value for name, value in optional.items() if value is not None}
    job = _Job(resume=resume, preview=preview, overwrite=overwrite)
    done: list[Filmed] = []
    failed = 0
    with listening() as interrupt:
        for path, target in zip(films, targets, strict=True):
            try:
                film = prepare(
                    path,
                    style,
                    target=target,
                    cut=cut,
                    codec=codec,
                    crf=crf,
                    depth=depth,
                    overwrite=overwrite,
                    resume=resume,
                    keep_gps=keep_gps,
                    runtime=runtime,
                    later=later,
                    masks=ctx.obj if mask else (),
                    folders=folders or (),
                    offline=console.manner.offline,
                    **given,
                    **knobs,
                )
                done.append(job.painted(film, interrupt))
            except DanqingError as error:
                if len(films) == 1 or isinstance(error, UsageError):
                    raise
                failed += 1
                console.tell(str(error))
            if interrupt.code is not None:
                break
    _report(done, json=json)
    if interrupt.code is not None:
        raise typer.Exit(interrupt.code)
    if failed:
        raise SomeFailed(text("cli.video_failed", failed=failed, films=len(films)))


@dataclass(frozen=True, kw_only=True)
class _Job:
    """How films are painted one after the other."""

    resume: bool
    preview: bool
    overwrite: bool

    def painted(self, film: Film, interrupt: Interrupt) -> Filmed:
        """Paint a film, everything that looks on told about it."""
        for note in film.notes:
            console.say(note)
        if self.preview:
            sheet = film.target.with_name(f"{film.target.stem}.preview.jpg")
            _sheet(film).save(sheet, overwrite=self.overwrite or self.resume)
            console.say(text("cli.video_preview_made", path=shown(sheet)))
        width, height = film.order.content.size
        frames = film.total or "?"
        console.say(text("cli.filming", width=width, height=height, frames=frames, path=shown(film.target)))
        with showing() as show:

            def on_frame(step: Progress) -> bool:
                interrupt.begun = True
                show(step)
                return interrupt.code is None

            filmed = film.paint(on_frame, resume=self.resume)
        for note in filmed.notes:
            console.tell(note)
        key = "cli.filmed" if filmed.complete else "cli.film_stopped"
        seconds, rate = progress.duration(filmed.seconds), f"{filmed.painted / max(filmed.seconds, 1e-6):.1f}"
        fields = {"frames": filmed.frames, "seconds": seconds, "rate": rate, "path": shown(filmed.path)}
        console.say(text(key, **fields))
        return filmed


def _targets(films: list[Path], output: Path | None, styles: list[str]) -> list[Path]:
    """Where each film goes: the file that is named, into the folder that is named, or beside the film.

    Raises:
        UsageError: several films into one file, or two into the same.
        RunFailed: the folder cannot be made.
    """
    codecs = film_room("codecs")
    if output is not None and len(films) == 1 and not (output.is_dir() and not films[0].is_dir()):
        return [output]
    if output is not None and len(films) > 1 and output.suffix:
        raise UsageError(text("cli.video_one_file", path=shown(output)))
    if output is not None and len(films) > 1:
        make_folder(output)
    named = [_name(style) for style in styles]
    targets = []
    for film in films:
        suffix = film.suffix.lower()
        ending = film.suffix if suffix and suffix in {**codecs.SUFFIXES, **codecs.PLAIN} else ".mp4"
        targets.append((output or film.parent) / f"{file_name(film.stem, named)}{ending}")
    if twice := next((target for target in targets if targets.count(target) > 1), None):
        raise UsageError(text("cli.video_same_name", path=shown(twice)))
    return targets


def _name(style: str) -> str:
    """What a style is called in a file's name."""
    film = film_room("moments").split(style)
    return film[0].stem if film else Path(split_weight(style, lambda path: Path(path).exists())[0]).stem


def _later(written: str) -> tuple[Fraction, str]:
    """A style and the seconds from which it holds, from `20:ink-cliffs` or `1:02.5:ink-cliffs`."""
    match = re.fullmatch(r"(?s)(?P<time>(\d+:){0,2}\d+(\.\d+)?):(?P<style>.+)", written)
    seconds = _seconds("style-at", match["time"]) if match else None
    if match is None or seconds is None:
        raise UsageError(text("cli.video_later", value=shown(written)))
    return seconds, match["style"]


def _seconds(option: str, written: str | None) -> Fraction | None:
    """Seconds from `12.5`, `1:02.5` or `1:02:03`."""
    if written is None:
        return None
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", written.strip())
    if match is None:
        raise UsageError(text("cli.video_time", option=option, value=shown(written)))
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _rate(written: str | None) -> Fraction | None:
    """Frames/s from `24`, `29.97` or `30000/1001`."""
    if written is None:
        return None
    try:
        rate = Fraction(written)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, 100) <= rate <= 1000:
        raise UsageError(text("cli.video_rate", value=shown(written)))
    return rate.limit_denominator(1001)


def _sheet(film: Film) -> Picture:
    """The previews of a film, one below the other."""
    rows = [side_by_side([frame, painting]).pixels for frame, painting in film.preview()]
    return Picture(pixels=np.ascontiguousarray(np.concatenate(rows)))


@contextlib.contextmanager
def showing() -> Iterator[Show]:
    """Something to call after every frame: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""
    if console.manner.quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.fields[line]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, line="")
        yield lambda step: bar.update(task, completed=step.frames, total=step.total, line=line_of(step))


def _lines() -> Show:
    last = time.monotonic()
    every = progress.EVERY_VERBOSE if console.manner.verbose else progress.EVERY

    def show(step: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            console.tell(line_of(step))

    return show


def line_of(step: Progress) -> str:
    """How far a film is, in one line."""
    rate = f"{step.per_second:.1f}"
    if step.total is None or step.remaining is None:
        return text("cli.film_frame", frame=step.frames, rate=rate)
    left = progress.duration(step.remaining)
    return text("cli.film_frame_of", frame=step.frames, total=step.total, rate=rate, remaining=left)


def _report(done: list[Filmed], *, json: bool) -> None:
    told = [
        {
            "path": str(filmed.path),
            "frames": filmed.frames,
            "painted": filmed.painted,
            "seconds": round(filmed.seconds, 3),
            "complete": filmed.complete,
            "notes": list(filmed.notes),
        }
        for filmed in done
    ]
    if json:
        console.put_json({"films": told})
        return
    for filmed in done:
        console.out(shown(filmed.path))


def _signature() -> inspect.Signature:
    own = inspect.signature(video, eval_str=True)
    written = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[*written, *options_of({n: f for n, f in KNOBS.items() if n not in PICTURES})])


video.__signature__ = _signature()  # type: ignore[attr-defined]
app = single(video, cls=VideoVerb)
