"""PyTorch checkpoints: named arrays out of them, without torch and without executing anything.

Two containers are read: the zip archive of today (`data.pkl` and a file a storage) and the stream of pickles and
storages from before PyTorch 1.6, in which torchvision still publishes its VGGs; the tar archive from before 2017 and
TorchScript are refused by name. The pickle inside is run by our own machine (`pickled`), which knows the few names
that tensors are made of; every other name is refused, and told. A state dict is taken, bare or one level down, as in
`{"state_dict": ..., "epoch": 3}`; and, where that is asked for, the parameters and buffers of a module that was pickled
whole, whose classes become inert records. Sizes are checked against the file before anything is allocated.

Not known here: what the arrays are for. Source of the formats: `torch/serialization.py` and `torch/_utils.py`.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from danqing import limits
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights import pickled
from danqing.weights.pickled import Record
from danqing.weights.safetensors import MAX_TENSORS, Arrays, check_numbers, widened
from danqing.weights.source import Source, not_this, opened, told
from danqing.weights.tensors import Names, Storage, Tensor

MAX_PICKLE = 16_000_000
"""Bytes; the pickle of a thousand tensors has two hundred thousand."""

MAX_DIRECTORY = 16_000_000
"""Bytes of a zip archive's list of contents."""

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of the older container."""

MAX_PATH = 1000
"""Characters of a parameter's name."""

MAX_SPREAD = 1 << 20
"""So many elements a tensor may have that repeats those of a smaller storage."""

_ZIP_ERRORS = (  # what `zipfile` raises over a damaged archive, found by altering good ones
    zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, LookupError, OverflowError, RuntimeError
)  # fmt: skip

Keep = Callable[[str], bool]


def read(
    source: Path | str | bytes, *, name: str | None = None, keep: Keep | None = None, whole: bool = False
) -> Arrays:
    """The arrays of a checkpoint's state dict, by name.

    Args:
        source: path of the file, or its bytes.
        name: what messages call it.
        keep: which tensors are wanted; the storages of the others are not read.
        whole: whether a module that was pickled whole is read too.

    Returns:
        Contiguous arrays of the tensors' own types, float32 for bfloat16, in the machine's byte order.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: truncated, no checkpoint, without tensors, with NaN or infinity, or with anything in it that is
            not weights.
        DoesNotFit: larger than the memory that is free.
    """
    with opened(source, name) as file:
        head = file.take(0, min(file.size, 512))
        if head.startswith(b"PK\x03\x04"):
            return _Zip(file, whole=whole).arrays(keep)
        if head.startswith(b"\x80") and file.size > 2:
            return _Stream(file, whole=whole).arrays(keep)
        raise not_this(file, "PyTorch")


class _Container:
    """What the two containers have in common: a pickle that speaks of storages, and the storages."""

    def __init__(self, file: Source, *, whole: bool = False) -> None:
        self.file = file
        self.names = Names(file.name, whole=whole)
        self.order: Literal["<", ">"] = "<"

    def fetch(self, storage: Storage) -> bytes:
        raise NotImplementedError

    def run(self, data: bytes, start: int = 0) -> tuple[Any, int]:
        return pickled.run(
            data, name=self.file.name, resolve=self.names.resolve, persistent=self.names.persistent, start=start
        )

    def chosen(self, value: Any, keep: Keep | None) -> Arrays:
        """The arrays of what a pickle built."""
        tensors = state(value, name=self.file.name)
        wanted = {key: tensor for key, tensor in tensors.items() if keep is None or keep(key)}
        if len(tensors) > MAX_TENSORS:
            raise ModelDamaged(text("weights.too_many", name=self.file.name, limit=MAX_TENSORS))
        for key, tensor in wanted.items():
            self.check(key, tensor)
        storages = {tensor.storage.key: tensor.storage.bytes for tensor in wanted.values()}
        total = sum(storages.values()) + sum(tensor.bytes for tensor in wanted.values())
        limits.check_file(total, name=self.file.name)
        raw: dict[str, bytes] = {}
        arrays = {}
        for key, tensor in wanted.items():
            if tensor.storage.key not in raw:
                raw[tensor.storage.key] = self.fetch(tensor.storage)
            arrays[key] = self.array(raw[tensor.storage.key], tensor)
            check_numbers(arrays[key], name=self.file.name, tensor=key)
        return arrays

    def check(self, key: str, tensor: Tensor) -> None:
        """Refuse a tensor that reaches beyond its storage, or a storage beyond the file."""
        last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
        count, there = math.prod(tensor.shape), tensor.storage.count * tensor.storage.itemsize // tensor.itemsize
        beyond = tensor.storage.bytes > self.file.size or (count and last >= there)
        if beyond or count > max(there, MAX_SPREAD) or tensor.storage.bytes % tensor.itemsize:
            raise ModelDamaged(text("weights.entry", name=self.file.name, tensor=told(key)))

    def array(self, raw: bytes, tensor: Tensor) -> NDArray[Any]:
        kind = {"bf16": "u2", "bool": "u1"}.get(tensor.dtype, tensor.dtype)
        flat = np.frombuffer(raw, np.dtype(kind).newbyteorder(self.order))
        if math.prod(tensor.shape) == 0:
            values: NDArray[Any] = np.empty(tensor.shape, kind)
        else:
            steps = tuple(step * flat.itemsize for step in tensor.strides)
            values = as_strided(flat[tensor.offset :], tensor.shape, steps, writeable=False)
        values = values.astype(np.dtype(kind), order="C")
        if tensor.dtype == "bf16":
            return widened(values)
        return values != 0 if tensor.dtype == "bool" else values


class _Zip(_Container):
    """The container of PyTorch 1.6 and later: an uncompressed zip archive."""

    def arrays(self, keep: Keep | None) -> Arrays:
        _check_directory(self.file)
        try:
            with zipfile.ZipFile(self.file.stream) as self.archive:
                self.open()
                value, _ = self.run(self.entry("data.pkl", MAX_PICKLE))
                return self.chosen(value, keep)
        except _ZIP_ERRORS as error:
            raise ModelDamaged(text("weights.zip", name=self.file.name)) from error

    def open(self) -> None:
        """Look the list of contents through before anything is taken out."""
        infos = self.archive.infolist()
        self.entries: Mapping[str, zipfile.ZipInfo] = {info.filename: info for info in infos}
        stored = all(i.compress_type == zipfile.ZIP_STORED and i.file_size == i.compress_size for i in infos)
        if not stored or sum(info.file_size for info in infos) > self.file.size:
            raise ModelDamaged(text("weights.zip_bomb", name=self.file.name))
        fronts = [info.filename.removesuffix("data.pkl") for info in infos if info.filename.endswith("/data.pkl")]
        if len(fronts) != 1 or len(self.entries) < len(infos):
            raise not_this(self.file, "PyTorch")
        self.front = fronts[0]
        if f"{self.front}constants.pkl" in self.entries:
            raise ModelDamaged(text("weights.torchscript", name=self.file.name))
        if f"{self.front}byteorder" in self.entries:
            orders: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
            self.order = orders[self.entry("byteorder", 16)]

    def entry(self, name: str, most: int) -> bytes:
        info = self.entries[self.front + name]
        if info.file_size > most:
            raise ModelDamaged(text("weights.pickle_limits", name=self.file.name))
        return self.archive.read(info)

    def fetch(self, storage: Storage) -> bytes:
        raw = self.entry(f"data/{storage.key}", self.file.size)
        if len(raw) != storage.bytes:
            raise ModelDamaged(text("weights.entry", name=self.file.name, tensor=told(storage.key)))
        return raw


class _Stream(_Container):
    """The container of PyTorch before 1.6: pickles one after the other, then the storages."""

    def arrays(self, keep: Keep | None) -> Arrays:
        data = self.file.take(0, min(self.file.size, MAX_PICKLE))
        magic, at = self.run(data)
        if type(magic) is not int or magic != MAGIC:
            raise ModelDamaged(text("weights.plain_pickle", name=self.file.name))
        _, at = self.run(data, at)  # the number of the protocol, 1001 ever since
        system, at = self.run(data, at)
        value, at = self.run(data, at)
        keys, at = self.run(data, at)
        if isinstance(system, dict) and system.get("little_endian") is False:
            self.order = ">"
        self.places = self.found(keys, at)
        return self.chosen(value, keep)

    def found(self, keys: Any, at: int) -> dict[str, int]:
        """Where the bytes of each storage begin: each has its count of elements in front."""
        places: dict[str, int] = {}
        for key in keys if isinstance(keys, list) else ():
            storage = self.names.storages.get(key) if isinstance(key, str) else None
            if storage is None or key in places:
                raise ModelDamaged(text("weights.entry", name=self.file.name, tensor=told(type(key).__name__)))
            count = int.from_bytes(self.file.take(at, 8), "big" if self.order == ">" else "little")
            if count != storage.count:
                raise ModelDamaged(text("weights.entry", name=self.file.name, tensor=told(key)))
            places[key] = at + 8
            at += 8 + storage.bytes
        if at > self.file.size:
            raise ModelDamaged(text("weights.cut", name=self.file.name, size=self.file.size, needed=at))
        return places

    def fetch(self, storage: Storage) -> bytes:
        if storage.key not in self.places:
            raise ModelDamaged(text("weights.entry", name=self.file.name, tensor=told(storage.key)))
        return self.file.take(self.places[storage.key], storage.bytes)


def state(value: Any, *, name: str) -> dict[str, Tensor]:
    """The state dict in what a checkpoint holds: the dictionary itself, or the only one in it that has tensors.

    Raises:
        ModelDamaged: no tensors there, or several dictionaries of them of which none is called `state_dict`.
    """
    if isinstance(value, Record):
        value = parameters(value, name=name)
    if isinstance(value, dict):
        if found := _tensors(value):
            return found
        dicts = {
            key: parameters(entry, name=name) if isinstance(entry, Record) else entry for key, entry in value.items()
        }
        inner = {key: found for key, entry in dicts.items() if isinstance(entry, dict) and (found := _tensors(entry))}
        if len(inner) == 1 or "state_dict" in inner:
            return inner["state_dict"] if "state_dict" in inner else next(iter(inner.values()))
        if inner:
            raise ModelDamaged(text("weights.several", name=name, names=told(", ".join(map(str, inner)))))
    raise ModelDamaged(text("weights.no_tensors", name=name))


def parameters(module: Record, *, name: str) -> dict[str, Tensor]:
    """The parameters and buffers of a module that was pickled whole, by the names that its state dict would have.

    Raises:
        ModelDamaged: modules within each other without end.
    """
    found: dict[str, Tensor] = {}
    waiting = [("", module)]
    for _ in range(MAX_TENSORS):
        if not waiting:
            return found
        path, one = waiting.pop()
        for kind in ("_parameters", "_buffers", "_modules"):
            own = one.state.get(kind)
            for key, value in own.items() if isinstance(own, dict) else ():
                if not isinstance(key, str) or len(path) + len(key) > MAX_PATH:
                    continue
                if isinstance(value, Tensor) and kind != "_modules":
                    found[path + key] = value
                elif isinstance(value, Record) and kind == "_modules":
                    waiting.append((f"{path}{key}.", value))
        if len(found) + len(waiting) > MAX_TENSORS:
            break
    raise ModelDamaged(text("weights.pickle_limits", name=name))


def _tensors(values: dict[Any, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in values.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _check_directory(file: Source) -> None:
    """Refuse a zip archive whose list of contents is missing, or too long to be read at all."""
    tail = file.take(max(0, file.size - 70_000), min(file.size, 70_000))
    if (end := tail.rfind(b"PK\x05\x06")) < 0:
        raise ModelDamaged(text("weights.zip", name=file.name))
    sizes = [int.from_bytes(tail[end + 12 : end + 16], "little")]
    if (large := tail.rfind(b"PK\x06\x06")) >= 0:
        sizes.append(int.from_bytes(tail[large + 40 : large + 48], "little"))
    if sizes[-1] > MAX_DIRECTORY:
        raise ModelDamaged(text("weights.zip_bomb", name=file.name))
