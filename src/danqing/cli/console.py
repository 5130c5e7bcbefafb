"""What the command line says, and where: data on stdout, everything else on stderr.

Lines go in and are printed, as the general options ask: `--quiet`, `--verbose`, `--debug`, `--offline` may stand
anywhere on the line and are taken off it here, before typer sees it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from danqing.files import write_failure
from danqing.messages import text


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


@contextlib.contextmanager
def stdout() -> Iterator[None]:
    """Whatever is written to stdout is written inside this block.

    Raises:
        RunFailed: it cannot be written, the disk being full. That a reader has gone stays a BrokenPipeError.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise write_failure(text("cli.stdout"), error) from error


def silence(stream: TextIO) -> None:
    """Lead a stream that takes no more nowhere, so that nothing complains about it on the way out."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def out(line: str) -> None:
    """A line of data, on stdout."""
    with stdout():
        print(line)


def put_json(values: object) -> None:
    """One JSON object, on stdout."""
    out(json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False))


def flush() -> None:
    """Let go of what was put on stdout."""
    with stdout():
        sys.stdout.flush()


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
    try:
        print(f"danqing: {line}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:  # a full disk: there is nobody to be told, and what goes on can go on
        silence(sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows in columns, on stdout; wide characters count as two."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        out("  ".join(cells).rstrip())
