"""Safetensors files: named arrays out of them, or one line that says what is wrong.

The format is eight bytes of length, a JSON header {name: {dtype, shape, data_offsets}}, and the arrays without gaps
(https://github.com/huggingface/safetensors, "Format"). We read it ourselves because the library lets pass what we must
not: a name that stands there twice, and weights that are not numbers. Everything is checked against the file's own
size before anything of that size is taken. This module knows arrays, not what they are for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import limits
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights.source import Source, not_this, opened, told

Arrays = dict[str, NDArray[Any]]

MAX_HEADER = 8_000_000
"""Bytes; a header of a thousand tensors has a hundred thousand."""

MAX_TENSORS = 20_000
MAX_DIMENSIONS = 16

DTYPES = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",  # widened to float32 after reading
    "F32": "<f4",
    "F64": "<f8",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of a header: its bytes are [begin, end) after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read(source: Path | str | bytes, *, name: str | None = None) -> Arrays:
    """Every array of a file, by name.

    Args:
        source: path of the file, or its bytes.
        name: what messages call it.

    Returns:
        Arrays of the file's own types, float32 for bfloat16, in the machine's byte order.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: truncated, with holes or overlaps, doubled names, unknown types, NaN or infinity, or no
            safetensors file at all.
        DoesNotFit: larger than the memory that is free.
    """
    with opened(source, name) as file:
        limits.check_file(file.size, name=file.name)
        start, entries, _ = _header(file)
        return {entry.name: _array(file, start, entry) for entry in entries}


def metadata(source: Path | str | bytes, *, name: str | None = None) -> dict[str, str]:
    """What the file says of itself (`__metadata__`); no array is read.

    Raises:
        ModelMissing, ModelDamaged: as `read`.
    """
    with opened(source, name) as file:
        return _header(file)[2]


def widened(half: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 as its 16 bits, to float32: the upper half of its 32."""
    return (half.astype(np.uint32) << 16).view(np.float32)


def check_numbers(array: NDArray[Any], *, name: str, tensor: str) -> None:
    """Refuse weights that are not numbers.

    Raises:
        ModelDamaged: NaN or infinity in it.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelDamaged(text("weights.not_finite", name=name, tensor=told(tensor)))


def _header(file: Source) -> tuple[int, list[Entry], dict[str, str]]:
    """Where the arrays begin, what they are, and what the file says of itself; all of it consistent with the file."""
    if file.size < 8:
        raise not_this(file, "safetensors")
    length = int.from_bytes(file.take(0, 8), "little")
    if length > MAX_HEADER:
        raise not_this(file, "safetensors")
    raw = file.take(8, length)
    if not raw.startswith(b"{"):
        raise not_this(file, "safetensors")
    try:
        values = json.loads(raw.decode("utf-8"), object_pairs_hook=lambda pairs: _once(pairs, file.name))
    except (ValueError, RecursionError) as error:
        raise ModelDamaged(text("weights.header", name=file.name)) from error
    about = values.pop("__metadata__", {})
    if not (isinstance(about, dict) and all(isinstance(v, str) for v in about.values())):
        raise ModelDamaged(text("weights.header", name=file.name))
    if len(values) > MAX_TENSORS:
        raise ModelDamaged(text("weights.too_many", name=file.name, limit=MAX_TENSORS))
    entries = [_entry(key, value, file.name) for key, value in values.items()]
    _check_cover(entries, file, 8 + length)
    return 8 + length, entries, about


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ModelDamaged(text("weights.doubled", name=name, tensor=told(doubled)))
    return found


def _entry(key: str, value: object, name: str) -> Entry:
    wrong = ModelDamaged(text("weights.entry", name=name, tensor=told(key)))
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not (isinstance(dtype, str) and _sizes(shape) and _sizes(offsets) and len(offsets) == 2):
        raise wrong
    if dtype not in DTYPES:
        raise ModelDamaged(text("weights.dtype", name=name, tensor=told(key), dtype=told(dtype)))
    begin, end = offsets
    if len(shape) > MAX_DIMENSIONS or end - begin != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise wrong
    return Entry(name=key, dtype=dtype, shape=tuple(shape), begin=begin, end=end)


def _sizes(values: object) -> bool:
    """Whether this is a list of whole numbers >= 0 that fit in 63 bits."""
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in values)


def _check_cover(entries: list[Entry], file: Source, start: int) -> None:
    """The arrays must cover the rest of the file, without gaps and without overlaps."""
    at = 0
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != at:
            raise ModelDamaged(text("weights.entry", name=file.name, tensor=told(entry.name)))
        at = entry.end
    if start + at > file.size:
        raise ModelDamaged(text("weights.cut", name=file.name, size=file.size, needed=start + at))
    if start + at < file.size:
        raise ModelDamaged(text("weights.surplus", name=file.name, count=file.size - start - at))


def _array(file: Source, start: int, entry: Entry) -> NDArray[Any]:
    raw = file.take(start + entry.begin, entry.end - entry.begin)
    stored = np.frombuffer(raw, DTYPES[entry.dtype])
    if entry.dtype == "BOOL" and stored.view(np.uint8).max(initial=0) > 1:
        raise ModelDamaged(text("weights.entry", name=file.name, tensor=told(entry.name)))
    values = widened(stored) if entry.dtype == "BF16" else stored.astype(stored.dtype.newbyteorder("="))
    check_numbers(values, name=file.name, tensor=entry.name)
    return values.reshape(entry.shape)
