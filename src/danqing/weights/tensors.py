"""Tensors as a PyTorch checkpoint's pickle speaks of them: what it may name, and the inert records it gets for it.

A name such as `torch._utils._rebuild_tensor_v2` goes in, one of our own functions comes out, which checks its
arguments and gives a record: a `Storage` (bytes somewhere in the container) or a `Tensor` (a view of one). Nothing of
torch is imported; every other name is refused by name. Where a network was pickled whole, the names of its classes may
stand too, and make inert records; calls stay refused. This module reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights.pickled import MAX_STEPS, Maker
from danqing.weights.source import told

Sides = tuple[Any, ...]

MAX_DIMENSIONS = 16
MAX_COUNT = 1 << 62

STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "bool",
    "UntypedStorage": "u1",
}
"""numpy's names of the types that PyTorch names storages by."""

DTYPES = {
    "float32": "f4",
    "float": "f4",
    "float64": "f8",
    "double": "f8",
    "float16": "f2",
    "half": "f2",
    "bfloat16": "bf16",
    "int64": "i8",
    "long": "i8",
    "int32": "i4",
    "int": "i4",
    "int16": "i2",
    "short": "i2",
    "int8": "i1",
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "bool": "bool",
}
"""The same for `torch.float32` and its like."""


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return {"bf16": 2, "bool": 1}.get(dtype) or np.dtype(dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Elements that lie in the container under a key.

    Attributes:
        key: of the storage.
        dtype: numpy's name, or `bf16` or `bool`.
        count: of elements.
        begin: the first element that a view of it sees (older containers have such views).
    """

    key: str
    dtype: str
    count: int
    begin: int = 0

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return itemsize(self.dtype)

    @property
    def bytes(self) -> int:
        """Bytes of all of them."""
        return self.count * self.itemsize


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A view of a storage; offset and strides count elements of `dtype`."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return itemsize(self.dtype)

    @property
    def bytes(self) -> int:
        """Bytes of the array that it becomes."""
        return math.prod(self.shape) * self.itemsize


class Names:
    """The names that the pickle of one checkpoint may use.

    Args:
        name: of the file, for messages.
        whole: whether classes of others may stand for modules.

    Attributes:
        name: of the file, for messages.
        storages: every storage that was spoken of, by key; filled as the pickle runs.
    """

    def __init__(self, name: str, *, whole: bool = False) -> None:
        self.name, self.whole = name, whole
        self.storages: dict[str, Storage] = {}
        self._pairs = 0
        functions: dict[str, Callable[[tuple[Any, ...]], Any] | None] = {
            "collections.OrderedDict": self._ordered,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._typed_tensor,
            "torch._utils._rebuild_parameter": self._first,
            "torch._utils._rebuild_parameter_with_state": self._first,
            "torch.nn.parameter.Parameter": self._first,
            "torch._tensor._rebuild_from_type_v2": self._subclass,
            "torch.Size": self._size,
            "torch.device": _nothing,
            "torch.Tensor": None,
        }
        if whole:
            functions |= {
                "builtins.set": _no_weights,
                "__builtin__.set": _no_weights,
                "torch.nn.backends.thnn._get_thnn_function_backend": _nothing,  # of every module before PyTorch 1.2
            }
        self._makers = {name: Maker(name, make) for name, make in functions.items()}
        self._makers |= {f"torch.{dtype}": Maker(f"torch.{dtype}") for dtype in DTYPES}
        for room in ("torch", "torch.cuda", "torch.storage"):
            self._makers |= {f"{room}.{kind}": Maker(f"{room}.{kind}") for kind in STORAGES}

    def resolve(self, module: str, name: str) -> Maker:
        """What a name stands for.

        Raises:
            ModelDamaged: it has no business in a file of weights.
        """
        full = f"{module}.{name}"
        if full not in self._makers and self.whole:
            return Maker(full, inert=True)
        if full not in self._makers:
            raise ModelDamaged(text("weights.pickle_name", name=self.name, what=told(full)))
        return self._makers[full]

    def persistent(self, identifier: Any) -> Storage | Maker:
        """The storage that ("storage", type, key, place, count[, view]) speaks of.

        Where a network was pickled whole, older containers also have ("module", class, path and text of its source).

        Raises:
            ModelDamaged: it is not such a tuple, or it contradicts an earlier one.
        """
        match identifier:
            case ("module", Maker() as kind_of_module, *_) if self.whole:
                return kind_of_module
            case ("storage", Maker(name=kind), str(key), _, count, *rest) if len(rest) <= 1:
                dtype = STORAGES.get(kind.rpartition(".")[2])
            case _:
                raise self._wrong()
        if dtype is None or not _whole(count):
            raise self._wrong()
        storage = Storage(key=key, dtype=dtype, count=count)
        if self.storages.setdefault(key, storage).bytes != storage.bytes:
            raise self._wrong()
        if not rest or rest[0] is None:
            return storage
        match rest[0]:
            case (_, begin, length) if _whole(begin) and _whole(length) and begin + length <= count:
                return Storage(key=key, dtype=dtype, count=count, begin=begin)
        raise self._wrong()

    def _wrong(self) -> ModelDamaged:
        return ModelDamaged(text("weights.pickle", name=self.name))

    def _tensor(self, arguments: tuple[Any, ...]) -> Tensor:
        """(storage, offset, shape, strides, ...); what follows is about gradients."""
        match arguments:
            case (Storage() as storage, offset, tuple(shape), tuple(strides), *_):
                return self._view(storage, storage.dtype, offset, (shape, strides))
        raise self._wrong()

    def _typed_tensor(self, arguments: tuple[Any, ...]) -> Tensor:
        """(storage, offset, shape, strides, gradients, hooks, type, ...)."""
        match arguments:
            case (Storage() as storage, offset, tuple(shape), tuple(strides), _, _, Maker(name=dtype), *_):
                kind = DTYPES.get(dtype.rpartition(".")[2])
                if kind is not None:
                    return self._view(storage, kind, offset, (shape, strides))
        raise self._wrong()

    def _view(
        self, storage: Storage, dtype: str, offset: Any, layout: tuple[tuple[Any, ...], tuple[Any, ...]]
    ) -> Tensor:
        shape, strides = layout
        if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
            raise self._wrong()
        if not all(map(_whole, (offset, *shape, *strides))) or math.prod(shape) > MAX_COUNT:
            raise self._wrong()
        return Tensor(storage=storage, dtype=dtype, offset=storage.begin + offset, shape=shape, strides=strides)

    def _first(self, arguments: tuple[Any, ...]) -> Tensor:
        """A parameter: the tensor that it wraps."""
        if not arguments or not isinstance(arguments[0], Tensor):
            raise self._wrong()
        return arguments[0]

    def _subclass(self, arguments: tuple[Any, ...]) -> Any:
        """(function, type, its arguments, attributes): a tensor to which someone has tied attributes."""
        match arguments:
            case (Maker(name="torch._utils._rebuild_tensor_v2"), _, tuple(inner), *_):
                return self._tensor(inner)
            case (Maker(name="torch._utils._rebuild_tensor_v3"), _, tuple(inner), *_):
                return self._typed_tensor(inner)
        raise self._wrong()

    def _size(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        match arguments:
            case (tuple(shape),) if len(shape) <= MAX_DIMENSIONS and all(map(_whole, shape)):
                return shape
        raise self._wrong()

    def _ordered(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """Empty, or from a list of pairs, as Python 2 wrote it."""
        if not arguments:
            return {}
        match arguments:
            case (list(pairs),):
                self._pairs += len(pairs)
                named = all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], str | int) for p in pairs)
                if self._pairs > MAX_STEPS or not named or len({p[0] for p in pairs}) < len(pairs):
                    raise self._wrong()
                return {key: value for key, value in pairs}
        raise self._wrong()


def _no_weights(_: tuple[Any, ...]) -> list[Any]:
    """For a set, which no weight is part of; a copy of what is in it could be asked for again and again."""
    return []


def _nothing(_: tuple[Any, ...]) -> None:
    """For what says nothing about weights, such as the device that they were on."""


def _whole(value: Any) -> bool:
    """Whether this is a whole number from 0 to what any file can hold."""
    return type(value) is int and 0 <= value <= MAX_COUNT
