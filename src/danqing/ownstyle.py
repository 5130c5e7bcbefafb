"""The user's own styles: each one small file that holds everything needed to paint like it, and to check that.

A file goes in, a style comes out, and back: the vectors for three brushes, the network they belong to by its hash, what
is known of the work, and the work itself at 512 px, from which another network can predict vectors of its own. The
format is safetensors with the papers as JSON in its header. This module knows no gallery.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from danqing.card import Hash, LearntStyle
from danqing.errors import BadInput, ModelDamaged
from danqing.files import shown
from danqing.image.fit import fit
from danqing.messages import text
from danqing.picture import Picture
from danqing.weights import safetensors

SUFFIX = ".style"

LONG, QUALITY = 512, 92
"""px: long side of the work inside, and the quality of its JPEG."""

MAX_BYTES = 4_000_000
"""The largest style file that is read."""

PAPERS = "danqing"
"""The key of the papers in the header."""


class Papers(BaseModel):
    """What a style file says of itself.

    Attributes:
        version: of the format.
        network, network_sha256: which the vectors are of.
        style: what is known of the work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    network: str
    network_sha256: Hash
    style: LearntStyle


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnStyle:
    """A style of the user's own.

    Attributes:
        papers: what is known of it.
        vectors: float32 (3, P), for the fine, the middling and the broad brush.
        picture: the work.
    """

    papers: Papers
    vectors: NDArray[np.float32]
    picture: Picture


def papers(path: Path) -> Papers:
    """What a style file says of itself.

    Raises:
        ModelMissing, ModelDamaged: it cannot be read, or is no style file.
    """
    about = safetensors.metadata(path)
    try:
        return Papers.model_validate_json(about[PAPERS])
    except (KeyError, ValidationError) as error:
        raise ModelDamaged(text("catalog.no_style_file", path=shown(path))) from error


def read(path: Path) -> OwnStyle:
    """A style from its file.

    Raises:
        ModelMissing, ModelDamaged: it cannot be read, or is no style file, or is not whole.
    """
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # the reader says why
    if size > MAX_BYTES:
        raise ModelDamaged(text("catalog.no_style_file", path=shown(path)))
    known, arrays = papers(path), safetensors.read(path)
    vectors, coded = arrays.get("vectors"), arrays.get("picture")
    if vectors is None or coded is None or vectors.ndim != 2 or len(vectors) != 3 or coded.dtype != np.uint8:
        raise ModelDamaged(text("catalog.no_style_file", path=shown(path)))
    try:
        picture = Picture.load(coded.tobytes())
    except BadInput as error:
        raise ModelDamaged(text("catalog.no_style_file", path=shown(path))) from error
    return OwnStyle(papers=known, vectors=vectors.astype(np.float32), picture=picture)


def parts(style: OwnStyle) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays of a style's file, and what its header says."""
    pixels = fit(style.picture, size=LONG).pixels
    buffer = io.BytesIO()
    Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    arrays: dict[str, NDArray[Any]] = {
        "vectors": np.ascontiguousarray(style.vectors, dtype=np.float32),
        "picture": np.frombuffer(buffer.getvalue(), dtype=np.uint8),
    }
    told = json.dumps(style.papers.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
    return arrays, {PAPERS: told}
