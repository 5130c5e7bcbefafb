"""A pickle machine that can do almost nothing: it builds plain values and inert records, and calls no one.

A pickle is a program for a small stack machine. Python's own runs whatever the program names; this one knows the
instructions that PyTorch's checkpoints are made of and asks its caller for every name. What the caller gives back is
a `Maker`, one of ours, or a refusal. An instance of a class that is not ours becomes a `Record`, which holds what it
was given and does nothing. No module is ever imported, no attribute of anything is looked up, and lists and counts are
bounded, so that a program of any length ends soon.

Not known here: storages, tensors, files. Source: the comments of CPython's `Lib/pickletools.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights.source import told

MAX_STEPS = 1_000_000
"""Instructions; a thousand tensors take forty thousand."""

MAX_STACK = 100_000
MAX_DEPTH = 200
"""Open brackets within each other."""

MAX_NUMBER = 64
"""Bytes of a whole number."""

Key = str | bytes | int | float | bool | None


@dataclass(frozen=True)
class Maker:
    """Something that a pickle may name and call: one of our functions of the pickle's values.

    Attributes:
        name: as the pickle has it, for messages.
        make: of the call's arguments; None for what may be named but not called.
        inert: whether it stands for a class of others, whose instances are Records.
    """

    name: str
    make: Callable[[tuple[Any, ...]], Any] | None = None
    inert: bool = False


@dataclass(eq=False)
class Record:
    """An instance of a class that is not known, as it was saved.

    Attributes:
        kind: the class's name.
        state: its attributes by name.
    """

    kind: str
    state: dict[Any, Any] = field(default_factory=dict)


Resolve = Callable[[str, str], Maker]
"""(module, name) -> what it stands for; raises ModelDamaged for what is not allowed."""

Persistent = Callable[[Any], Any]
"""A persistent id -> the record it stands for."""


def run(
    data: bytes | memoryview, *, name: str, resolve: Resolve, persistent: Persistent, start: int = 0
) -> tuple[Any, int]:
    """Run the pickle that begins at `start`.

    Args:
        data: bytes that hold it; what comes after it is not looked at.
        name: of the file, for messages.
        resolve: for every name that the pickle uses.
        persistent: for every reference to something outside the pickle.
        start: where it begins.

    Returns:
        What it builds, and where it ends.

    Raises:
        ModelDamaged: damaged, too long, too deep, or it uses an instruction or a name that is not allowed.
    """
    machine = _Machine(memoryview(data), start, name, resolve, persistent)
    return machine.run(), machine.at


class _Mark:
    """An open bracket on the stack."""


_MARK = _Mark()


class _Machine:
    def __init__(self, data: memoryview, start: int, name: str, resolve: Resolve, persistent: Persistent) -> None:
        self.data, self.at, self.name = data, start, name
        self.resolve, self.persistent = resolve, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_STEPS):
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                value = self.pop()
                if self.stack:
                    self.damaged()
                return value
            step = self.STEPS.get(code)
            if step is None:
                instruction = chr(code) if 32 < code < 127 else f"0x{code:02x}"
                raise ModelDamaged(text("weights.pickle_step", name=self.name, instruction=instruction))
            try:
                step(self)
            except (struct.error, UnicodeDecodeError, LookupError, TypeError, ValueError) as error:
                raise ModelDamaged(text("weights.pickle", name=self.name)) from error
            if len(self.stack) > MAX_STACK or len(self.marks) > MAX_DEPTH:
                break
        raise ModelDamaged(text("weights.pickle_limits", name=self.name))

    # ── bytes and stack ─────────────────────────────────────────────────────────────────────────────────────────

    def damaged(self) -> NoReturn:
        raise ModelDamaged(text("weights.pickle", name=self.name))

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            self.damaged()
        self.at += count
        return self.data[self.at - count : self.at].tobytes()

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        """The text up to the end of the line, at most 500 bytes of it."""
        piece = self.data[self.at : self.at + 500].tobytes()
        length = piece.index(b"\n")
        self.at += length + 1
        return piece[:length].decode("utf-8")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            self.damaged()
        return self.stack.pop()

    def peek(self, kind: type) -> Any:
        """What lies on top, which must be of a kind."""
        value = self.pop()
        if not isinstance(value, kind):
            self.damaged()
        self.push(value)
        return value

    def pop_marked(self) -> list[Any]:
        """Everything since the last open bracket."""
        if not self.marks:
            self.damaged()
        begin = self.marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    # ── instructions ────────────────────────────────────────────────────────────────────────────────────────────

    def protocol(self) -> None:
        if not 2 <= self.take(1)[0] <= 5:
            self.damaged()

    def frame(self) -> None:
        self.take(8)

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def push_long(self, form: str) -> None:
        length = self.number(form)
        if not 0 <= length <= MAX_NUMBER:
            self.damaged()
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def push_float(self) -> None:
        self.push(struct.unpack(">d", self.take(8))[0])

    def push_text(self, form: str) -> None:
        self.push(self.take(self.number(form)).decode("utf-8", "surrogatepass"))

    def push_old_text(self, form: str) -> None:
        """Python 2's strings: text where it is ASCII."""
        raw = self.take(self.number(form))
        self.push(raw.decode("ascii") if raw.isascii() else raw)

    def push_bytes(self, form: str) -> None:
        self.push(self.take(self.number(form)))

    def push_tuple(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def append(self) -> None:
        value = self.pop()
        self.peek(list).append(value)

    def appends(self) -> None:
        values = self.pop_marked()
        self.peek(list).extend(values)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.store(self.peek(dict), key, value)

    def set_items(self) -> None:
        values = self.pop_marked()
        target = self.peek(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            self.store(target, key, value)

    def store(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        if not isinstance(key, Key):  # a nested tuple could be hashed without end
            self.damaged()
        if key in target:
            raise ModelDamaged(text("weights.doubled", name=self.name, tensor=told(key)))
        target[key] = value

    def put(self, key: int) -> None:
        value = self.pop()
        self.push(value)
        self.memo[key] = value

    def named(self) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            self.damaged()
        self.push(self.resolve(module, name))

    def call(self) -> None:
        arguments, maker = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            self.damaged()
        if isinstance(maker, Maker) and maker.inert:
            raise ModelDamaged(text("weights.pickle_name", name=self.name, what=told(maker.name)))
        if not isinstance(maker, Maker) or maker.make is None:
            raise ModelDamaged(text("weights.pickle_call", name=self.name, what=_what(maker)))
        self.push(maker.make(arguments))

    def new(self) -> None:
        """An instance: of a class of others, a record."""
        arguments, maker = self.pop(), self.pop()
        if isinstance(maker, Maker) and maker.inert:
            self.push(Record(maker.name))
            return
        self.push(maker)
        self.push(arguments)
        self.call()

    def build(self) -> None:
        """Attributes of what lies below: a record keeps them, of all else they are of no use here."""
        state, target = self.pop(), self.pop()
        if isinstance(target, Record) and isinstance(state, dict):
            target.state = state
        self.push(target)

    def outside(self) -> None:
        self.push(self.persistent(self.pop()))

    STEPS: ClassVar[dict[int, Callable[[_Machine], None]]] = {
        ord(sign): step
        for sign, step in {
            "\x80": protocol,
            "\x95": frame,
            "(": mark,
            "N": lambda m: m.push(None),
            "\x88": lambda m: m.push(True),
            "\x89": lambda m: m.push(False),
            "K": lambda m: m.push(m.number("<B")),
            "M": lambda m: m.push(m.number("<H")),
            "J": lambda m: m.push(m.number("<i")),
            "\x8a": lambda m: m.push_long("<B"),
            "\x8b": lambda m: m.push_long("<i"),
            "G": push_float,
            "\x8c": lambda m: m.push_text("<B"),
            "X": lambda m: m.push_text("<I"),
            "\x8d": lambda m: m.push_text("<Q"),
            "U": lambda m: m.push_old_text("<B"),
            "T": lambda m: m.push_old_text("<I"),
            "C": lambda m: m.push_bytes("<B"),
            "B": lambda m: m.push_bytes("<I"),
            ")": lambda m: m.push(()),
            "\x85": lambda m: m.push_tuple(1),
            "\x86": lambda m: m.push_tuple(2),
            "\x87": lambda m: m.push_tuple(3),
            "t": lambda m: m.push(tuple(m.pop_marked())),
            "]": lambda m: m.push([]),
            "l": lambda m: m.push(m.pop_marked()),
            "a": append,
            "e": appends,
            "}": lambda m: m.push({}),
            "\x8f": lambda m: m.push([]),  # a set, as a list
            "\x90": appends,
            "s": set_item,
            "u": set_items,
            "q": lambda m: m.put(m.number("<B")),
            "r": lambda m: m.put(m.number("<I")),
            "\x94": lambda m: m.put(len(m.memo)),
            "h": lambda m: m.push(m.memo[m.number("<B")]),
            "j": lambda m: m.push(m.memo[m.number("<I")]),
            "0": lambda m: m.pop(),
            "c": lambda m: m.push(m.resolve(m.line(), m.line())),
            "\x93": named,
            "R": call,
            "\x81": new,
            "b": build,
            "Q": outside,
        }.items()
    }


def _what(value: Any) -> str:
    """What a value is, for messages; never its contents, which may be nested without end."""
    return told(value.name) if isinstance(value, Maker) else type(value).__name__
