"""Commands of typer whose help stands in the catalogues.

A verb is a plain function with typer's annotations but no help: `Verb` fills in the sentences of `messages/cli.toml`
when the command is made, in the language of that moment. The command `danqing models pull` is the function
`models_pull`, its help `cli.verb_models_pull`; of an option `name` the help is `cli.models_pull_name`, else
`cli.option_name`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from danqing.cli import console
from danqing.messages import catalogue, text

Json = Annotated[bool, typer.Option("--json", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", "-o", show_default=False, metavar="FILE")]
Overwrite = Annotated[bool, typer.Option("--overwrite", show_default=False)]
From = Annotated[list[Path] | None, typer.Option("--from", show_default=False, metavar="DIR")]


SETTINGS = {"help_option_names": ["--help", "-h"]}


class Verb(TyperCommand):
    """One command, its help in the user's language."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.key = str(getattr(self.callback, "__name__", name))
        self.help = text(f"cli.verb_{self.key}")
        for parameter in self.params:
            fill_in(parameter, self.said(str(parameter.name)))

    def said(self, name: str) -> str:
        """The help of an argument or option."""
        own = f"{self.key}_{name}"
        return text(f"cli.{own if own in catalogue('cli') else f'option_{name}'}")

    def section(self, name: str) -> str:
        """The heading under which an argument or option stands in the help."""
        arguments = {p.name for p in self.params if p.param_type_name == "argument"}
        return text("cli.section_arguments" if name in arguments else "cli.section_options")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options under their headings."""
        write_sections(self, self.section, ctx, formatter)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """How the command is called."""
        write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, its help in the user's language."""
        return translated_help(super().get_help_option(ctx))


class Group(TyperGroup):
    """A command with commands of its own, its help in the user's language."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.help = text(f"cli.verb_{getattr(self.callback, '__name__', '')}")
        for parameter in self.params:
            fill_in(parameter, text(f"cli.option_{parameter.name}"))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options and commands under their headings."""
        self.format_commands(ctx, formatter)
        write_sections(self, lambda _: text("cli.section_options"), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands with a line each."""
        rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section(text("cli.section_verbs")):
            formatter.write_dl(rows)

    def summary(self, ctx: Any, name: str) -> str:
        """A command's line in the help."""
        return str(getattr(self.get_command(ctx, name), "help", ""))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """How the command is called."""
        write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, its help in the user's language."""
        return translated_help(super().get_help_option(ctx))


def write_sections(command: Any, section: Callable[[str], str], ctx: Any, formatter: Any) -> None:
    """The help of all arguments and options, under the headings that `section` gives by name."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is not None:
            sections.setdefault(section(str(parameter.name)), []).append(record)
    for title, records in sections.items():
        with formatter.section(title):
            formatter.write_dl(records)


def write_usage(command: Any, ctx: Any, formatter: Any) -> None:
    """The line that says how a command is called."""
    formatter.write_usage(
        ctx.command_path, " ".join(command.collect_usage_pieces(ctx)), text("cli.section_usage") + " "
    )


def fill_in(parameter: Any, said: str) -> None:
    """Give a parameter its help."""
    parameter.help = said


def translated_help(option: Any) -> Any:
    """The option `--help` with a sentence of the catalogue, its text put out as all data are."""
    if option is not None:
        fill_in(option, text("cli.option_help"))
        option.callback = show_help
    return option


def show_help(context: Any, option: Any, given: bool) -> None:
    """Put out the help of a command, and end."""
    del option
    if given and not context.resilient_parsing:
        console.out(context.get_help())
        context.exit()


def single(function: Any, *, cls: type[Verb] = Verb) -> typer.Typer:
    """An app that is one command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(function.__name__, cls=cls, context_settings=SETTINGS)(function)
    return app


def group(callback: Any) -> typer.Typer:
    """An app of several commands; the callback's name is its key."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=Group, context_settings=SETTINGS)
    app.callback()(callback)
    return app
