"""`danqing paint`: a photo and styles in, a painting beside the photo out.

The options that turn knobs are made from the fields of `Recipe`; only what concerns files is written here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from danqing.cli import console, progress
from danqing.cli.interrupt import Interrupt, listening
from danqing.cli.options import From, Json, Output, Overwrite, Verb, single
from danqing.cli.targets import Target, chosen_target
from danqing.commission import Commission, prepare
from danqing.errors import DanqingError, RunFailed, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.picture import formats
from danqing.picture.load import read_bytes
from danqing.preset import find as find_preset
from danqing.problems import bare, bounds, choices
from danqing.recipe import Recipe
from danqing.stylizer import Pastiche, Step

OWN = {"content_layers", "style_layers", "start", "encoder_weights"}
"""Knobs whose options are written here, because on a line they look otherwise than in a recipe."""

REFERENCES = {"version", "content", "styles", "start_picture", "protect"}
"""Fields that are no knobs."""

KNOBS = {name: field for name, field in Recipe.model_fields.items() if name not in OWN | REFERENCES}


class PaintVerb(Verb):
    """`paint`, with the help of the knobs from their own catalogue, and masks that belong to the style before them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever, with the mask of each style in `ctx.obj`, because options come without their order."""
        ctx.obj = masks_of(args)
        return super().parse_args(ctx, args)

    def said(self, name: str) -> str:
        """The help of an option; of a knob with its range and default."""
        if name not in KNOBS:
            return super().said(name)
        field = KNOBS[name]
        allowed = "" if choices(field) else bounds(field)
        default = default_of(field)
        extras = [allowed, text("cli.default", value=default) if default else ""]
        about = "; ".join(extra for extra in extras if extra)
        return f"{text(f'recipe.{name}')} [{about}]" if about else text(f"recipe.{name}")

    def section(self, name: str) -> str:
        """Knobs of the optimisation engine stand apart."""
        field = Recipe.model_fields.get(name.replace("_layer", "_layers"))
        extra = field.json_schema_extra if field is not None else None
        if isinstance(extra, dict) and extra.get("engine") == "optimize":
            return text("cli.section_optimize")
        if name in KNOBS or name in ("style", "model"):
            return text("cli.section_knobs")
        return super().section(name)


def masks_of(args: Sequence[str]) -> list[str | None]:
    """The mask of every `--style` on a line, None where there is none.

    Raises:
        UsageError: a mask before any style, or a second one for the same.
    """
    masks: list[str | None] = []
    words = iter(args)
    for word in words:
        flag, _, value = word.partition("=")
        if word == "--":
            break
        if flag == "--style" or word.startswith("-s"):
            masks.append(None)
            if word in ("--style", "-s"):
                next(words, None)
        elif flag == "--mask":
            value = value or next(words, "")
            if not masks:
                raise UsageError(text("cli.mask_first", mask=shown(value)))
            if masks[-1] is not None:
                raise UsageError(text("cli.mask_twice", mask=shown(value)))
            masks[-1] = value
    return masks


def default_of(field: FieldInfo) -> str:
    """A knob's default as the help tells it; empty where there is none to tell."""
    if field.default is None or field.default is False:
        return ""
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def paint(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", show_default=False)],
    style: Annotated[list[str] | None, typer.Option("--style", "-s", metavar="STYLE", show_default=False)] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="FILE|MODEL", show_default=False)] = None,
    mask: Annotated[list[str] | None, typer.Option("--mask", metavar="FILE", show_default=False)] = None,
    protect: Annotated[str | None, typer.Option("--protect", metavar="FILE", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", show_default=False)] = None,
    max_memory: Annotated[str | None, typer.Option("--max-memory", metavar="SIZE", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option("--runtime", metavar="NAME", show_default=False)] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    format: Annotated[str | None, typer.Option("--format", metavar="FORMAT", show_default=False)] = None,
    compare: Annotated[bool, typer.Option("--compare", show_default=False)] = False,
    save_every: Annotated[int | None, typer.Option("--save-every", metavar="N", min=1, show_default=False)] = None,
    no_recipe: Annotated[bool, typer.Option("--no-recipe", show_default=False)] = False,
    keep_gps: Annotated[bool, typer.Option("--keep-gps", show_default=False)] = False,
    folders: From = None,
    json: Json = False,
    start: Annotated[str | None, typer.Option("--start", metavar="WORD|PICTURE", show_default=False)] = None,
    encoder_weights: Annotated[
        Path | None, typer.Option("--encoder-weights", metavar="FILE", show_default=False)
    ] = None,
    content_layer: Annotated[
        list[str] | None, typer.Option("--content-layer", metavar="NAME=WEIGHT", show_default=False)
    ] = None,
    style_layer: Annotated[
        list[str] | None, typer.Option("--style-layer", metavar="NAME=WEIGHT", show_default=False)
    ] = None,
    *,
    ctx: typer.Context,
    **knobs: Any,
) -> None:
    """Paint a photo; what the options mean stands in the catalogues."""
    piped = str(output) == "-"
    if piped and (json or compare or save_every):
        raise UsageError(text("cli.piped_alone"))
    from_toml = photo.lower().endswith(".toml")
    if from_toml and preset:
        raise UsageError(text("api.preset_and_recipe", preset=shown(preset)))
    if save_every is None and preset is not None and not piped and not json:
        save_every = find_preset(preset).save_every
    early = chosen_target(output, format=format, depth=knobs.get("depth"), overwrite=overwrite) if output else None
    source = None if from_toml else _photo(photo)
    with listening() as interrupt:
        with progress.downloading() as on_download:
            order = prepare(
                source,
                style,
                recipe=photo if from_toml else None,
                model=model,
                preset=preset,
                masks=ctx.obj if mask else (),
                protect=protect,
                max_memory=max_memory,
                folders=folders or (),
                name=text("cli.stdin") if photo == "-" else None,
                keep_gps=keep_gps,
                start=start,
                encoder_weights=encoder_weights,
                runtime=runtime,
                offline=console.manner.offline,
                on_download=on_download,
                **layers(content_layer=content_layer, style_layer=style_layer),
                **knobs,
            )
        target = early or Target.beside(photo, order, format=format, overwrite=overwrite)
        if piped and format is None:
            target = Target(path=None, format=_own_format(source, order.recipe.depth))
        target.check(order)
        _announce(order)
        pastiche = _painted(order, target, interrupt, save_every=save_every, with_recipe=not no_recipe)
        target.write(pastiche, with_recipe=not no_recipe)
        compared = target.write_comparison(order, pastiche) if compare else None
    _report(order, pastiche, target, json=json, compared=compared)
    if interrupt.code is not None:
        raise typer.Exit(interrupt.code)


def _photo(photo: str) -> str | bytes:
    """The photo's path, or its bytes from stdin."""
    if photo != "-":
        return photo
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError(text("cli.stdin_closed"))
    if sys.stdin.isatty():
        raise UsageError(text("cli.stdin_terminal"))
    return read_bytes(sys.stdin.buffer, text("cli.stdin"))


def _own_format(photo: str | bytes | None, depth: int) -> str:
    """What a painting in a pipe is written as: as the photo is, where it can be."""
    kind = formats.sniff(photo[:512]) if isinstance(photo, bytes) else formats.by_suffix(photo or "")
    return formats.ending(kind.suffixes[0] if kind else "", depth=depth).lstrip(".")


def layers(**given: list[str] | None) -> dict[str, Any]:
    """`--content-layer relu4_1=0.5 ...` as the knob `content_layers`, and the same for styles."""
    knobs: dict[str, dict[str, float]] = {}
    for option, entries in given.items():
        for entry in entries or ():
            name, _, weight = entry.partition("=")
            try:
                knobs.setdefault(f"{option}s", {})[name.strip()] = float(weight or 1)
            except ValueError as error:
                raise UsageError(text("cli.layer", option=option.replace("_", "-"), entry=shown(entry))) from error
    return knobs


def _announce(order: Commission) -> None:
    for note in order.notes:
        console.say(note)
    width, height = order.content.size
    seconds = progress.duration(order.estimate.seconds)
    memory = f"{order.estimate.memory / 1e9:.1f}"
    console.say(text("cli.painting", width=width, height=height, seconds=seconds, memory=memory))


def _painted(
    order: Commission, target: Target, interrupt: Interrupt, *, save_every: int | None, with_recipe: bool
) -> Pastiche:
    """Paint with everything that looks on; what a failing engine kept is saved before the failure goes on."""
    saving = _Saving(target, save_every)
    with progress.shown() as show:

        def on_step(step: Step) -> bool:
            interrupt.begun = True
            show(step)
            saving(step)
            return interrupt.code is None

        with _kept(target, with_recipe=with_recipe):
            return order.paint(on_step)


@contextmanager
def _kept(target: Target, *, with_recipe: bool) -> Iterator[None]:
    try:
        yield
    except RunFailed as error:
        if isinstance(error.kept, Pastiche):
            target.write(error.kept, with_recipe=with_recipe)
            console.tell(text("cli.kept", path=target.name))
        raise


class _Saving:
    """Writes the picture as it stands every so many steps; a full disk is said once and stops no painting."""

    def __init__(self, target: Target, every: int | None) -> None:
        self.target, self.every = target, every

    def __call__(self, step: Step) -> None:
        if self.every is None or step.number % self.every or step.number == step.total:
            return
        try:
            console.detail(text("cli.saved", path=shown(self.target.write_step(step))))
        except DanqingError as error:
            self.every = None
            console.tell(str(error))


def _report(order: Commission, pastiche: Pastiche, target: Target, *, json: bool, compared: Path | None) -> None:
    seconds = progress.duration(pastiche.seconds)
    done = "cli.painted" if pastiche.losses else "cli.painted_at_once"
    key = done if pastiche.complete else "cli.stopped"
    console.say(text(key, seconds=seconds, steps=len(pastiche.losses), path=target.name))
    if pastiche.card.note:
        console.say(pastiche.card.note)
    if json:
        console.put_json(summary(pastiche, target, compared) | {"notes": list(order.notes)})
    elif target.path is not None:
        console.out(shown(target.path))


def summary(pastiche: Pastiche, target: Target, compared: Path | None = None) -> dict[str, object]:
    """A painting as `--json` tells it."""
    return {
        "path": str(target.path),
        "comparison": str(compared) if compared else None,
        "size": list(pastiche.picture.size),
        "seconds": round(pastiche.seconds, 3),
        "complete": pastiche.complete,
        "steps": len(pastiche.losses),
        "losses": dict(pastiche.losses[-1]) if pastiche.losses else {},
        "engine": pastiche.recipe.engine,
        "model": pastiche.card.name,
        "recipe": pastiche.recipe.model_dump(mode="json", exclude_none=True),
        "fingerprint": pastiche.recipe.fingerprint(),
    }


def options_of(fields: Mapping[str, FieldInfo]) -> list[inspect.Parameter]:
    """An option for each knob: its type is the field's, unset means as the recipe has it."""
    parameters = []
    for name, field in fields.items():
        kind = bare(field.annotation)
        flag = f"--{name.replace('_', '-')}"
        declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
        shape = None if kind is bool or choices(field) else "TEXT" if kind is str else "N"
        option = typer.Option(declared, metavar=shape, show_default=False)
        annotation: Any = Annotated[kind | None, option]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return parameters


def signature(function: Callable[..., None], shared: Iterable[inspect.Parameter] = ()) -> inspect.Signature:
    """A verb's own parameters, then those that it shares with another, then an option for each knob."""
    own = inspect.signature(function, eval_str=True)
    written = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[*written, *shared, *options_of(KNOBS)])


paint.__signature__ = signature(paint)  # type: ignore[attr-defined]
app = single(paint, cls=PaintVerb)
