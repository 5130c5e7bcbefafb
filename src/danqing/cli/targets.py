"""Where a painting goes: the file beside the photo, the one that was named, or stdout.

A `Target` is checked before the work begins, so that nobody waits for a painting that cannot be written.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from danqing import files
from danqing.cli import console
from danqing.commission import Commission
from danqing.errors import UsageError
from danqing.files import shown
from danqing.image.fit import resize
from danqing.messages import text
from danqing.picture import Picture, formats
from danqing.picture.save import target_format
from danqing.recipe import FROM_MEMORY
from danqing.stylizer import Pastiche, Step

_LONGEST = 200
"""Bytes of a file name that we make; systems allow 255, and endings come on top."""

_GAP = 8  # px


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a painting goes.

    Attributes:
        path: the file, or None for stdout.
        format: `png`, `jpeg`, ..., or None to go by the path's ending; stdout always has one.
        overwrite: whether files may be replaced.
    """

    path: Path | None
    format: str | None = None
    overwrite: bool = False

    @classmethod
    def beside(cls, photo: str, order: Commission, *, format: str | None, overwrite: bool) -> Target:
        """`<stem>.<style>.<ext>` beside the photo, or beside the recipe.

        Raises:
            UsageError: the photo has no place, being stdin; or the file is there.
        """
        if photo == "-":
            raise UsageError(text("cli.stdin_needs_output"))
        content = order.recipe.content
        own = PurePath(photo)
        if own.suffix.lower() == ".toml" and content is not None and content.name != FROM_MEMORY:
            own = own.with_name(content.name)
        name = file_name(own.stem, [style.name for style in order.styles])
        ending = formats.ending(own.suffix, format=format, depth=order.recipe.depth)
        path = Path(own.parent) / f"{name}{ending}"
        return chosen_target(path, format=format, depth=order.recipe.depth, overwrite=overwrite)

    def check(self, order: Commission) -> None:
        """Refuse, before the work, a painting that the format cannot hold.

        Raises:
            UsageError: 16 bits where there are none.
            DoesNotFit: an edge that is too long.
        """
        target_format(self.path, format=self.format, depth=order.recipe.depth, size=order.content.size)

    @property
    def name(self) -> str:
        """What messages call it."""
        return text("cli.stdout") if self.path is None else shown(self.path)

    def write(self, pastiche: Pastiche, *, with_recipe: bool) -> None:
        """Write the painting there.

        Raises:
            RunFailed: the disk or the encoder failed; nothing is left behind.
        """
        if self.path is not None:
            pastiche.save(self.path, format=self.format, overwrite=self.overwrite, with_recipe=with_recipe)
            return
        held = io.BytesIO()
        pastiche.save(held, format=self.format, with_recipe=with_recipe)
        rest = held.getbuffer()
        with console.stdout():
            while rest:  # a stdout without a buffer (python -u) may take less than it is given
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()

    def write_step(self, step: Step) -> Path:
        """Write a painting as it stands as `<stem>.<step>.<ext>`; the path."""
        return self._write_other(f"{step.number:05d}", step.preview())

    def write_comparison(self, order: Commission, pastiche: Pastiche) -> Path:
        """Write photo, styles and painting side by side as `<stem>.compare.<ext>`; the path."""
        pictures = [order.content, *(s.source for s in order.styles if isinstance(s.source, Picture))]
        return self._write_other("compare", side_by_side([*pictures, pastiche.picture]))

    def _write_other(self, what: str, picture: Picture) -> Path:
        if self.path is None:
            raise UsageError(text("cli.piped_alone"))
        path = self.path.with_name(f"{self.path.stem}.{what}{self.path.suffix}")
        picture.save(path, format=self.format, overwrite=self.overwrite)
        return path


def chosen_target(output: Path, *, format: str | None, depth: int | None, overwrite: bool) -> Target:
    """A target that can be written, as far as can be told before the work.

    Raises:
        UsageError: the name is taken, or its ending or format is not written.
        RunFailed: the folder is missing, read-only or full.
    """
    if str(output) == "-":
        if sys.stdout.isatty():
            raise UsageError(text("cli.stdout_terminal"))
        format = format or "png"
        target_format(None, format=format, depth=depth or 8)
        return Target(path=None, format=format)
    target_format(output, format=format, depth=depth or 8)
    files.check_target(output, overwrite=overwrite)
    return Target(path=output, format=format, overwrite=overwrite)


def file_name(stem: str, styles: list[str]) -> str:
    """`<stem>.<style>` for a file, whatever the styles are called; several are joined by `+`."""
    joined = files.harmless("+".join(styles))[:60].strip(". ") or "painting"
    short = stem.encode("utf-8", "surrogateescape")[: _LONGEST - len(joined.encode())]
    return f"{short.decode('utf-8', 'ignore') if len(short) < len(stem.encode('utf-8', 'replace')) else stem}.{joined}"


def side_by_side(pictures: list[Picture]) -> Picture:
    """Pictures in a row, all as high as the last one, with a white gap between them."""
    height = pictures[-1].size[1]
    gap = np.ones((height, _GAP, 3), np.float32)
    row: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    for picture in pictures:
        width = max(1, round(picture.size[0] * height / picture.size[1]))
        pixels = picture.pixels if picture.size == (width, height) else resize(picture.pixels, (width, height))
        if picture.alpha is not None:
            alpha = picture.alpha[..., None]
            alpha = alpha if picture.size == (width, height) else resize(alpha, (width, height))
            pixels = pixels * alpha + (1 - alpha)
        row += [np.clip(pixels, 0, 1), gap]
    return Picture(pixels=np.ascontiguousarray(np.concatenate(row[:-1], axis=1), dtype=np.float32))
