"""A writer of Torch7 files, from the format's description; for tests."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.weights import t7

NAMES = {"f4": "Float", "f8": "Double", "i8": "Long", "u1": "Byte"}


class Writer:
    """Writes one object."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []

    def bytes(self, value: Any) -> bytes:
        """Any value that `t7.read` gives back."""
        if value is None:
            return struct.pack("<i", t7.NIL)
        if isinstance(value, bool):
            return struct.pack("<ii", t7.BOOLEAN, value)
        if isinstance(value, int | float):
            return struct.pack("<id", t7.NUMBER, value)
        if isinstance(value, str):
            return struct.pack("<i", t7.STRING) + text(value)
        if isinstance(value, np.ndarray):
            strides = [step // value.itemsize for step in value.strides]
            return self.tensor(sizes=value.shape, strides=strides, offset=1, storage=value.ravel())
        kind = t7.TABLE if isinstance(value, dict) else t7.TORCH
        if id(value) in self.seen:
            return struct.pack("<ii", kind, self.seen[id(value)])
        head = struct.pack("<ii", kind, self.number(value))
        if isinstance(value, dict):
            return head + self.entries(value)
        return head + text("V 1") + text(value.kind) + self.bytes(value.fields)

    def number(self, value: Any) -> int:
        self.kept.append(value)
        self.seen[id(value)] = len(self.kept)
        return len(self.kept)

    def entries(self, table: dict[Any, Any]) -> bytes:
        pairs = b"".join(self.bytes(key) + self.bytes(value) for key, value in table.items())
        return struct.pack("<i", len(table)) + pairs

    def tensor(self, *, sizes: Any, strides: Any, offset: int, storage: NDArray[Any]) -> bytes:
        name = NAMES[storage.dtype.str[1:]]
        head = struct.pack("<ii", t7.TORCH, self.number(object())) + text("V 1") + text(f"torch.{name}Tensor")
        shape = struct.pack(f"<i{2 * len(sizes) + 1}q", len(sizes), *sizes, *strides, offset)
        return head + shape + self.storage(storage, name)

    def storage(self, values: NDArray[Any], name: str) -> bytes:
        if id(values) in self.seen:
            return struct.pack("<ii", t7.TORCH, self.seen[id(values)])
        head = struct.pack("<ii", t7.TORCH, self.number(values)) + text("V 1") + text(f"torch.{name}Storage")
        return head + struct.pack("<q", values.size) + values.tobytes()

    def storage_size(self, size: int) -> bytes:
        """A storage that claims a size and has four numbers."""
        whole = self.storage(np.zeros(4, np.float32), "Float")
        return whole[:-24] + struct.pack("<q", size) + whole[-16:]


def text(value: str) -> bytes:
    """A string: its length and its bytes."""
    coded = value.encode()
    return struct.pack("<i", len(coded)) + coded
