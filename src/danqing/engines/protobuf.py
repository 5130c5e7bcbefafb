"""Protocol buffers as bytes: just enough to look through an ONNX model and to change what it says of its sizes.

A message goes in, its fields come out, or the message with some of them replaced. Nothing is taken apart that is not
asked for, and nothing is believed: lengths are checked against the bytes. This module knows no ONNX.
Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Value = memoryview | int
Change = Callable[[int, memoryview], bytes | memoryview | None]
"""(number of a field, its bytes) -> its new bytes, the same, or None to leave it out."""


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message: (number, bytes or whole number); numbers of fixed width count as 0.

    Raises:
        ValueError, IndexError: it is no message, or is cut off.
    """
    for field, value, _ in _pieces(data):
        yield field, value


def replaced(data: memoryview, change: Change) -> bytes:
    """A message with some of the fields that have bytes replaced; errors as `fields`."""
    out = bytearray()
    for field, value, whole in _pieces(data):
        new = value if isinstance(value, int) else change(field, value)
        if new is value:
            out += whole
        elif isinstance(new, bytes | memoryview):
            out += encoded(field, new)
    return bytes(out)


def encoded(field: int, value: bytes | memoryview) -> bytes:
    """A field with bytes, as it stands in a message."""
    return key(field, 2) + varint(len(value)) + bytes(value)


def key(field: int, kind: int) -> bytes:
    """What stands before a field of some kind: 0 = a whole number, 2 = bytes."""
    return varint(field << 3 | kind)


def varint(value: int) -> bytes:
    """A whole number, 0 or more."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _pieces(data: memoryview) -> Iterator[tuple[int, Value, memoryview]]:
    at = 0
    while at < len(data):
        begin = at
        head, at = _varint(data, at)
        field, kind = head >> 3, head & 7
        value: Value = 0
        if field == 0:
            raise ValueError("no field has the number 0")
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(data, at)
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {kind}")
        yield field, value, data[begin:at]
    if at != len(data):
        raise ValueError("cut off")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")
