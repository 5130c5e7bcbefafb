"""What the command line says, and where: data on stdout, everything else on stderr.

Lines go in and are printed, as the general options ask: `--quiet`, `--verbose`, `--debug`, `--offline` may stand
anywhere on the line and are taken off it here, before typer sees it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Manner:
    """How the run at hand is to behave."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    offline: bool = False


manner = Manner()

FLAGS: Mapping[str, str] = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--debug": "debug",
    "--offline": "offline",
}


def take_flags(arguments: Sequence[str]) -> list[str]:
    """The arguments without the general options, which are remembered in `manner`; after `--` nothing is taken."""
    for name in set(FLAGS.values()):
        setattr(manner, name, False)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = []
    for argument in arguments[:end]:
        if argument in FLAGS:
            setattr(manner, FLAGS[argument], True)
        else:
            rest.append(argument)
    return [*rest, *arguments[end:]]


def out(line: str) -> None:
    """A line of data, on stdout."""
    print(line)


def put_json(values: object) -> None:
    """One JSON object, on stdout."""
    print(json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False))


def say(line: str) -> None:
    """A line about what is going on, on stderr; left out when quiet."""
    if not manner.quiet:
        tell(line)


def detail(line: str) -> None:
    """A line for those who want to know more, on stderr."""
    if manner.verbose:
        tell(line)


def tell(line: str) -> None:
    """A line that must be seen, on stderr."""
    print(f"danqing: {line}", file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows in columns, on stdout; wide characters count as two."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
