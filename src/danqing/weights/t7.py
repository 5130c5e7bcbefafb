"""Torch7 files (`.t7`): trees of modules, tables and arrays out of them, without running anything.

The format, binary, little-endian: every object is a 32-bit kind, then its value; tables and torch objects first have a
number by which they may be referred to again. A tensor is its sizes, its strides and an offset into a storage
(https://github.com/torch/torch7, `File.lua` and `generic/Tensor.c`, `generic/Storage.c`). Only the classes of networks
of jcjohnson/fast-neural-style's kind are read; functions, which a file may hold as Lua code, are refused. This module
knows objects, not what networks they make.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import limits
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights.safetensors import check_numbers
from danqing.weights.source import Source, not_this, opened, told

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN = range(6)
FUNCTIONS = frozenset({6, 7, 8})

DTYPES = {"Float": "<f4", "Double": "<f8", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Byte": "<u1", "Char": "<i1"}
DTYPES |= {"Cuda": "<f4", "CudaDouble": "<f8", "CudaLong": "<i8"}
"""Kinds of numbers, as the names of torch's tensors begin; those that lie on a graphics card are stored alike."""

MODULES = frozenset(
    {
        "nn.Sequential", "nn.ConcatTable", "nn.CAddTable", "nn.Identity", "nn.JoinTable", "nn.ShaveImage",
        "nn.SpatialConvolution", "nn.SpatialConvolutionMM", "cudnn.SpatialConvolution",
        "nn.SpatialFullConvolution", "cudnn.SpatialFullConvolution",
        "nn.SpatialBatchNormalization", "cudnn.SpatialBatchNormalization", "nn.InstanceNormalization",
        "nn.SpatialReflectionPadding", "nn.SpatialReplicationPadding", "nn.SpatialZeroPadding", "nn.Padding",
        "nn.SpatialUpSamplingNearest", "nn.ReLU", "cudnn.ReLU", "nn.Tanh", "cudnn.Tanh", "nn.MulConstant",
        "nn.TotalVariation", "nn.Dropout", "nn.SpatialDropout",
    }
)  # fmt: skip
"""The classes that are read, all of them as inert records."""

MAX_OBJECTS, MAX_DEPTH, MAX_STRING, MAX_DIMENSIONS = 100_000, 64, 65_536, 8


@dataclass(eq=False)
class Module:
    """A module as it was saved.

    Attributes:
        kind: its class, such as `nn.SpatialConvolution`.
        fields: its values by name; what is saved of training alone may be among them.
    """

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)

    @property
    def modules(self) -> list[Module]:
        """The modules within, in their order."""
        inner = self.fields.get("modules")
        found = [inner[key] for key in sorted(k for k in inner if type(k) is int)] if isinstance(inner, dict) else []
        return [module for module in found if isinstance(module, Module)]


def read(source: Path | str | bytes, *, name: str | None = None) -> Any:
    """The object of a file: a Module, a dict, an array, text, a number, True, False or None.

    Args:
        source: path of the file, or its bytes.
        name: what messages call it.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: truncated, too deep or too large, with unknown classes, functions, or values that are not numbers,
            or no Torch7 file at all.
        DoesNotFit: larger than the memory that is free.
    """
    with opened(source, name) as file:
        limits.check_file(file.size, name=file.name)
        head = file.take(0, min(4, file.size))
        if len(head) < 4 or int.from_bytes(head, "little") not in range(9):
            raise not_this(file, "Torch7")
        reader = _Reader(file)
        found = reader.value(0)
        if reader.at < file.size:
            raise ModelDamaged(text("weights.surplus", name=file.name, count=file.size - reader.at))
        return found


class _Reader:
    def __init__(self, file: Source) -> None:
        self.file, self.at = file, 0
        self.known: dict[int, Any] = {}
        self.objects = 0
        self.bytes = 0  # of all arrays

    def take(self, count: int) -> bytes:
        data = self.file.take(self.at, count)
        self.at += count
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def count(self, form: str, most: int) -> int:
        """A number of things, from 0 to `most`."""
        found = int(self.number(form))
        if not 0 <= found <= most:
            raise ModelDamaged(text("weights.t7_count", name=self.file.name, count=found))
        return found

    def string(self) -> str:
        return self.take(self.count("<i", MAX_STRING)).decode("utf-8", "replace")

    def value(self, depth: int) -> Any:
        self.objects += 1
        if self.objects > MAX_OBJECTS or depth > MAX_DEPTH:
            raise ModelDamaged(text("weights.t7_limits", name=self.file.name))
        kind = int(self.number("<i"))
        if kind == NIL:
            return None
        if kind == NUMBER:
            found = self.number("<d")
            return int(found) if math.isfinite(found) and found == int(found) and abs(found) < 1 << 53 else found
        if kind == STRING:
            return self.string()
        if kind == BOOLEAN:
            return bool(self.number("<i"))
        if kind in FUNCTIONS:
            raise ModelDamaged(text("weights.t7_function", name=self.file.name))
        if kind not in (TABLE, TORCH):
            raise ModelDamaged(text("weights.t7_kind", name=self.file.name, kind=kind))
        index = int(self.number("<i"))
        if index in self.known:
            return self.known[index]
        return self.table(index, depth) if kind == TABLE else self.torch(index, depth)

    def table(self, index: int, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        self.known[index] = found
        for _ in range(self.count("<i", MAX_OBJECTS)):
            key, value = self.value(depth + 1), self.value(depth + 1)
            if not isinstance(key, str | int | float | bool):
                raise ModelDamaged(text("weights.t7_key", name=self.file.name))
            found[key] = value
        return found

    def torch(self, index: int, depth: int) -> Any:
        version = self.string()
        kind = self.string() if version.startswith("V ") else version
        for suffix, make in (("Tensor", self.tensor), ("Storage", self.storage)):
            name = kind.removeprefix("torch.").removesuffix(suffix)
            if kind.startswith("torch.") and kind.endswith(suffix) and name in DTYPES:
                found = make(np.dtype(DTYPES[name]), depth)
                self.known[index] = found
                return found
        if kind not in MODULES:
            raise ModelDamaged(text("weights.t7_class", name=self.file.name, kind=told(kind)))
        module = Module(kind)
        self.known[index] = module
        fields = self.value(depth + 1)
        if not isinstance(fields, dict):
            raise ModelDamaged(text("weights.t7_class", name=self.file.name, kind=told(kind)))
        module.fields = fields
        return module

    def tensor(self, dtype: np.dtype[Any], depth: int) -> NDArray[Any]:
        dimensions = self.count("<i", MAX_DIMENSIONS)
        sizes = [self.count("<q", 1 << 40) for _ in range(dimensions)]
        strides = [self.count("<q", 1 << 40) for _ in range(dimensions)]
        offset = int(self.number("<q")) - 1
        storage = self.value(depth + 1)
        if not dimensions or 0 in sizes or storage is None:
            return np.zeros(0, dtype)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if not isinstance(storage, np.ndarray) or storage.dtype != dtype or offset < 0:
            raise ModelDamaged(text("weights.t7_tensor", name=self.file.name))
        if last >= storage.size or math.prod(sizes) > storage.size:  # no element counts twice
            raise ModelDamaged(text("weights.t7_tensor", name=self.file.name))
        self.bytes += math.prod(sizes) * dtype.itemsize
        if self.bytes > self.file.size:  # many may lie in one storage
            limits.check_file(self.bytes, name=self.file.name)
        steps = [stride * dtype.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(storage[offset:], sizes, steps, writeable=False)
        found = np.ascontiguousarray(view)
        check_numbers(found, name=self.file.name, tensor="tensor")
        return found

    def storage(self, dtype: np.dtype[Any], depth: int) -> NDArray[Any]:
        del depth
        size = int(self.number("<q"))
        if not 0 <= size * dtype.itemsize <= self.file.size - self.at:
            needed = self.at + max(size, 0) * dtype.itemsize
            raise ModelDamaged(text("weights.cut", name=self.file.name, size=self.file.size, needed=needed))
        return np.frombuffer(self.take(size * dtype.itemsize), dtype=dtype)
