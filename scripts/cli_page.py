"""docs/cli.md from the command line itself: every command with its help, arguments and options.

    scripts/docs            write the page
    scripts/docs --check    fail if it is not up to date
    scripts/docs --json     print what it is made of, in the language of DANQING_LANG

The command line is walked, not run. Nothing about danqing is known here but where its app stands.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
OPENING = """# The command line

<!-- Written by scripts/docs from the help texts; change those instead. -->

`danqing COMMAND --help` says the same in a terminal, in Chinese where the locale is Chinese or `DANQING_LANG=zh`.
Data goes to stdout, everything else to stderr.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed while running: disk full, not finite, the machine |
| 2 | wrong usage |
| 3 | some inputs of many failed, the others are done |
| 4 | an input file that cannot be used |
| 5 | a model is missing or damaged |
| 6 | larger than the limits allow |
| 130 | interrupted; what was done is kept |
| 143 | terminated |
"""


@dataclass(frozen=True)
class Command:
    """One command: its path, what it is for, how it is called, and [(names, help)] of what it takes."""

    path: str
    help: str
    usage: str
    takes: list[tuple[str, str]]


def walk(command: Any, context: Any) -> Iterator[Command]:
    """A command of typer and, below it, its subcommands."""
    records = [
        parameter.get_help_record(context)
        for parameter in command.get_params(context)
        if not getattr(parameter, "hidden", False) and parameter.name != "help"
    ]
    yield Command(
        path=context.command_path,
        help=" ".join((command.help or "").split()),
        usage=" ".join([context.command_path, *command.collect_usage_pieces(context)]),
        takes=[(names, " ".join(said.split())) for names, said in filter(None, records)],
    )
    for name in getattr(command, "list_commands", lambda _: [])(context):
        child = command.get_command(context, name)
        if not child.hidden:
            yield from walk(child, child.context_class(child, info_name=name, parent=context))


def commands() -> list[Command]:
    """Every command of danqing, itself first."""
    import typer

    from danqing.cli.main import app

    root = typer.main.get_command(app)
    return list(walk(root, root.context_class(root, info_name="danqing")))


def page() -> str:
    """The text of docs/cli.md."""
    parts = [OPENING]
    for command in commands():
        parts.append(f"## {command.path}\n\n{html.escape(command.help, quote=False)}\n\n```\n{command.usage}\n```\n")
        if command.takes:
            rows = [f"| {code(names)} | {cell(said)} |" for names, said in command.takes]
            parts.append("\n".join(["| option | meaning |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def code(names: str) -> str:
    """Option names as code in a table's cell, where a bar must be escaped."""
    return "`" + names.replace("|", r"\|") + "`"


def cell(said: str) -> str:
    """A sentence as a table's cell: bars and angles do not end it."""
    return html.escape(said, quote=False).replace("|", r"\|").replace("*", r"\*")


def main() -> int:
    """Write, compare or print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.json:
        print(json.dumps([asdict(command) for command in commands()], ensure_ascii=False))
        return 0
    os.environ["DANQING_LANG"] = "en"
    text = page()
    if not chosen.check:
        PAGE.write_text(text, encoding="utf-8")
        print(PAGE)
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        print("docs/cli.md is up to date")
        return 0
    print("docs/cli.md is not up to date: run scripts/docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
