"""`danqing`: finds the verb, runs it, and turns whatever happens into one line and an exit code.

The verbs are a table of strings: a verb's module is imported when it is asked for, so that `danqing --help` costs
little. The exit codes are those of `danqing.errors`.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from danqing.cli import console
from danqing.cli.options import SETTINGS, Group
from danqing.errors import DanqingError, UsageError
from danqing.messages import text

VERBS = {
    verb: f"danqing.cli.{verb}"
    for verb in (
        "paint",
        "batch",
        "video",
        "webcam",
        "studio",
        "redo",
        "train",
        "polish",
        "evaluate",
        "styles",
        "models",
        "recipe",
        "score",
        "doctor",
    )
}
"""verb -> the module whose `app` it is."""


class Root(Group):
    """`danqing` itself, its verbs imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs, in the order of their help."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb's command, or None."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: Any = typer.main.get_command(importlib.import_module(VERBS[cmd_name]).app)
        command.name = cmd_name
        return command

    def summary(self, ctx: Any, name: str) -> str:
        """A verb's line in the help, without importing it."""
        del ctx
        return text(f"cli.verb_{name}")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that is named first.

        Raises:
            UsageError: there is no such verb.
        """
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            near = ", ".join(difflib.get_close_matches(name, VERBS, n=2))
            key = "cli.unknown_verb_near" if near else "cli.unknown_verb"
            raise UsageError(text(key, name=name, near=near, known=", ".join(VERBS)))
        return super().resolve_command(ctx, args)


app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=Root, context_settings=SETTINGS)


@app.callback(invoke_without_command=True)
def danqing(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", show_default=False)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", show_default=False)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", show_default=False)] = False,
    debug: Annotated[bool, typer.Option("--debug", show_default=False)] = False,
    offline: Annotated[bool, typer.Option("--offline", show_default=False)] = False,
) -> None:
    """Say the version, or the help where no verb is named; the other options are taken off before."""
    del quiet, verbose, debug, offline
    if version:
        from danqing import __version__

        console.out(f"danqing {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        console.out(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.

    Args:
        arguments: without the program's name; by default the process's own.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        with contextlib.suppress(AttributeError, ValueError):
            getattr(sys, name).reconfigure(errors="backslashreplace")  # names that are no UTF-8
    given = console.take_flags(list(sys.argv[1:] if arguments is None else arguments))
    try:
        code = _run(lambda: _invoke(given))
        flushed = _run(console.flush)
        return code or flushed
    except BrokenPipeError:  # whoever read stdout has gone
        console.silence(sys.stdout)
        return 1
    except KeyboardInterrupt:
        console.tell(text("cli.interrupted"))
        return 130


def _invoke(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    with command.make_context("danqing", arguments) as context:
        command.invoke(context)


def _run(action: Callable[[], None]) -> int:
    try:
        action()
        return 0
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as error:
        line = " ".join(error.format_message().split())
        context = getattr(error, "ctx", None)
        console.tell(text("cli.usage", line=line.rstrip("."), verb=context.command_path if context else "danqing"))
        return error.exit_code
    except DanqingError as error:
        if console.manner.debug:
            raise
        console.tell(str(error))
        return error.exit_code
    except MemoryError:
        console.tell(text("cli.memory"))
        return 6
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:  # a bug: whatever it is, the user gets one line
        if console.manner.debug:
            raise
        first = (str(error).strip().splitlines() or [""])[0]
        console.tell(text("cli.bug", kind=type(error).__name__, reason=first))
        return 1


if __name__ == "__main__":
    sys.exit(main())
