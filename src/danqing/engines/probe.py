"""What an unknown graph takes and gives, found out by running it on small known pictures.

A model's bytes and what is known already go in; out come the fields of its card: names and order of axes, sizes, the
range of its input and output, a mean that is taken away. What cannot be told is named, so that somebody can say it.
The graph is a stranger's, so `explored` runs it in a process of its own, with limits on time and memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.card import Card
from danqing.engines import feed, onnx
from danqing.errors import ModelDamaged
from danqing.files import shown
from danqing.image.fit import resize
from danqing.messages import text
from danqing.weights.feeding import CAFFE
from danqing.weights.mat_child import restrict

F32 = NDArray[np.float32]

SECONDS, WAITED, MEMORY = 60, 300, 4_000_000_000
"""What the trial may take: seconds of work, seconds by the clock, and bytes besides four times the file's."""

BASES = (128, 256, 224, 192, 512, 64, 32, 384, 1024)
"""px: sides that are tried until one goes through."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
LEAST = (1, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)

RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))

NEAR = 0.85
"""Ranges whose paintings come so near to the best one's score are as likely."""

UNKNOWN = Card(name="x", kind="network", file="x", sha256="0" * 64, license="unknown", origin="x")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a trial found.

    Attributes:
        facts: fields of the card.
        freed: whether the graph says a size that it does not need (`onnx.freed`).
        unsure: the fields that could not be told from the paintings.
    """

    facts: Mapping[str, Any]
    freed: bool = False
    unsure: tuple[str, ...] = field(default=())


def explored(data: bytes, *, name: str, given: Mapping[str, Any]) -> Findings:
    """Try a model out in a process of its own.

    Args:
        data: the model.
        name: what messages call it.
        given: fields of the card that are known; they are not looked for.

    Raises:
        ModelDamaged: it is no model, not one from picture to picture, cannot be run, or takes too long or too much.
    """
    onnx.refuse_external_data(data, name)
    order = json.dumps({"name": name, "given": dict(given), "seconds": SECONDS, "memory": MEMORY + 4 * len(data)})
    try:
        child = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-m", __name__, order],
            input=data,
            capture_output=True,
            timeout=WAITED,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": _path()},
        )
    except subprocess.TimeoutExpired as error:
        raise ModelDamaged(text("engines.trial_timeout", name=name, seconds=WAITED)) from error
    try:
        answer = json.loads(child.stdout)
        if "refused" in answer:
            raise ModelDamaged(str(answer["refused"]))
        facts = Card.model_validate(UNKNOWN.model_dump() | answer["facts"]).model_dump(include=set(answer["facts"]))
        return Findings(facts=facts, freed=bool(answer["freed"]), unsure=tuple(map(str, answer["unsure"])))
    except (ValueError, KeyError, TypeError) as error:  # it died over the model
        raise ModelDamaged(text("engines.trial_died", name=name)) from error


def explore(data: bytes, *, name: str, given: Mapping[str, Any]) -> Findings:
    """As `explored`, in this process."""
    trial = _Trial(data, name, UNKNOWN.model_copy(update=dict(given)), frozenset(given))
    trial.find_form()
    trial.find_sizes()
    trial.find_ranges()
    trial.find_least()
    known = UNKNOWN.model_fields_set | set(given)
    facts = trial.card.model_dump(exclude=known, exclude_defaults=True)
    return Findings(facts=facts, freed=trial.freed, unsure=tuple(sorted(trial.unsure)))


class _Trial:
    def __init__(self, data: bytes, name: str, card: Card, given: frozenset[str]) -> None:
        self.data, self.name, self.card, self.given = data, name, card, given
        self.session = onnx.Session(data, name=name, threads=2)
        self.freed = False
        self.unsure: set[str] = set()
        self.base = (0, 0)  # (height, width) that goes through
        self.seen: dict[tuple[int, int], tuple[int, int] | None] = {}
        self.broken = False  # whether it has given what is no number

    # ── form ────────────────────────────────────────────────────────────────────────────────────────────────────

    def find_form(self) -> None:
        """The names of input and output, and the order of axes."""
        inputs = self.session.inputs
        if len(inputs) != 1 or None in self.session.kinds.values():
            raise self.refused("engines.foreign_inputs", inputs=", ".join(map(shown, list(inputs)[:8])) or "-")
        ((picture, shape),) = inputs.items()
        self.know(picture=picture)
        orders = [order for order in ("NCHW", "NHWC") if _may_be(shape, order)]
        orders = [order for order in orders if shape and shape[order.index("C")] == 3] or orders
        if "layout" in self.given:
            orders = [self.card.layout]
        for order in orders:
            self.know(layout=order)
            declared = tuple(shape[order.index(side)] for side in "HW") if len(shape) == 4 else (None, None)
            for base in [(s, s) for s in BASES]:
                height, width = (own or side for own, side in zip(declared, base, strict=True))
                if self.output(known_picture(height, width)) is not None:
                    self.base = height, width
                    if all(declared):
                        self.know(fixed_size=(width, height))
                    return
                if all(declared):
                    break
        if self.broken:
            raise self.refused("engines.foreign_nan")
        self.session(self.example())  # its own reason, where it has one
        raise self.refused("engines.foreign_form", shape="x".join(str(side or "?") for side in shape))

    def example(self) -> dict[str, F32]:
        """What the graph itself says that it takes."""
        ((name, shape),) = self.session.inputs.items()
        usual = (1, 3, 192, 192) if self.card.layout == "NCHW" else (1, 192, 192, 3)
        return {name: np.zeros([own or side for own, side in zip(shape or usual, usual, strict=False)], np.float32)}

    def output(self, pixels: F32, card: Card | None = None) -> F32 | None:
        """The first output that is a picture, (1, 3, h, w) or (1, h, w, 3); None where there is none."""
        card = card or self.card
        try:
            found = self.session({card.picture: feed.fed(card, pixels)})
        except ModelDamaged:
            return None
        names = [card.painting] if card.painting in found else list(found)
        for name in names:
            value = found[name]
            if value.ndim == 4 and value.shape[card.layout.index("C")] == 3 and len(value) == 1 and value.size:
                self.know(painting=name)
                numbers = np.asarray(value, dtype=np.float32)
                if np.isfinite(numbers).all():
                    return numbers
                self.broken = True
        return None

    # ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def find_sizes(self) -> None:
        """Whether the graph takes any size, and of which it must be a multiple."""
        if self.card.fixed_size is not None and not self.free():
            return
        if {"multiple_of", "fixed_size"} & self.given:
            return
        side = -(-self.base[0] // MULTIPLES[-1]) * MULTIPLES[-1]
        for multiple in MULTIPLES:
            size = side + multiple, side + 2 * multiple
            if self.keeps(*size) or (multiple == MULTIPLES[-1] and self.sides(*size)):
                self.know(multiple_of=multiple)
                return
        if self.freed:
            raise self.refused("engines.trial_died")
        self.know(fixed_size=(self.base[1], self.base[0]))

    def free(self) -> bool:
        """Whether the size that the graph says is merely the one that it was written down with."""
        height, width = self.base
        picture = known_picture(height, width)
        fixed, before = self.session, self.output(picture)
        try:
            free = onnx.freed(self.data, self.card.picture, self.card.layout)
            self.session = onnx.Session(free, name=self.name, threads=2)
        except ModelDamaged:
            return False
        after, larger = self.output(picture), self.output(known_picture(height + 64, width + 128))
        down, across = (self.card.layout.index(side) for side in "HW")
        if before is not None and after is not None and larger is not None and before.shape == after.shape:
            away = float(np.abs(before - after).max() / max(float(np.abs(before).max()), 1e-9))
            grows = larger.shape[down] > after.shape[down] and larger.shape[across] > after.shape[across]
            self.freed = away < 1e-3 and grows
        if not self.freed:
            self.session = fixed
            return False
        self.know(fixed_size=None, parity={"as exported": round(away, 6)})
        if self.output(known_picture(BASES[0], BASES[0])) is not None:
            self.base = BASES[0], BASES[0]
        return True

    def find_least(self) -> None:
        """The smallest side that goes through, once it is known how to feed it."""
        if self.card.fixed_size is not None or "min_size" in self.given:
            return
        multiple = self.card.multiple_of
        for side in sorted({-(-least // multiple) * multiple for least in LEAST}):
            if self.keeps(side, side):
                self.know(min_size=side)
                return
        self.know(min_size=min(self.base))

    def keeps(self, height: int, width: int) -> bool:
        """Whether a picture of this size comes back at its size, or as much larger as another one did."""
        usual, found = (self.sides(*size) for size in (self.base, (height, width)))
        if usual is None or found is None:
            return False
        times = tuple(side * came / went for side, came, went in zip((height, width), usual, self.base, strict=True))
        more = tuple(side + came - went for side, came, went in zip((height, width), usual, self.base, strict=True))
        return found in (times, more)

    def sides(self, height: int, width: int) -> tuple[int, int] | None:
        """Height and width of the painting of a picture of some size; None where it does not go through."""
        if (height, width) not in self.seen:
            value = self.output(known_picture(height, width))
            down, across = (self.card.layout.index(side) for side in "HW")
            self.seen[height, width] = None if value is None else (value.shape[down], value.shape[across])
        return self.seen[height, width]

    # ── ranges ──────────────────────────────────────────────────────────────────────────────────────────────────

    def find_ranges(self) -> None:
        """What numbers the graph takes and gives: those pairs of ranges that make a picture of a picture."""
        picture = known_picture(*self.base)
        whole = self.session.kinds[self.card.picture] is np.uint8
        taken = [self.card.value_range] if "value_range" in self.given else [RANGES[0]] if whole else list(RANGES)
        tried: list[tuple[float, Card]] = []
        for value_range in taken:
            card = self.card.model_copy(update={"value_range": value_range})
            values = self.output(picture, card)
            if values is None:
                continue
            card = card.model_copy(update=self.given_back(values))
            if any(card.output_mean) and "mean" not in self.given:
                card = card.model_copy(update={"mean": card.output_mean})
                again = self.output(picture, card)
                values = values if again is None else again
            tried.append((likeness(picture, feed.unclipped(card, values)), card))
        if not tried:
            raise self.refused("engines.trial_died")
        best = max(score for score, _ in tried)
        near = [card for score, card in tried if score >= NEAR * best]
        even = [card for card in near if card.value_range == card.output_range] or near
        if len(even) > 1:
            even = sorted(even, key=lambda card: self.preference(card.value_range))
        chosen = even[0]
        if len(even) > 1 and not self.same(picture, even):
            self.unsure.add("value_range")
        if best < 0.05 or (len(even) > 1 and len({card.output_range for card in even}) > 1):
            self.unsure |= {"value_range", "output_range"} - self.given
        self.know(**{name: getattr(chosen, name) for name in FOUND})

    def given_back(self, values: F32) -> dict[str, Any]:
        """The range of an output, by its numbers; and Caffe's mean, where they lie around 0 and reach far below."""
        told: dict[str, Any] = {}
        low, middle, high = np.percentile(values, [2, 50, 98])
        if max(-low, high) > 8:
            told["output_range"] = (0.0, 255.0)
            if low < -60 and middle < 40 and not {"output_mean", "channels", "output_range"} & self.given:
                told |= {"output_mean": CAFFE.mean, "channels": CAFFE.channels}
        else:
            told["output_range"] = (-1.0, 1.0) if low < -0.25 else (0.0, 1.0)
        return {name: value for name, value in told.items() if name not in self.given}

    def preference(self, value_range: tuple[float, float]) -> int:
        """Among ranges that fit alike: -1..1 where the output keeps within it whatever comes in, else 0..1."""
        if value_range == (-1.0, 1.0):
            card = self.card.model_copy(update={"value_range": (-6.0, 6.0)})
            values = self.output(known_picture(*self.base), card)
            bounded = values is not None and float(np.abs(values).max()) <= 1.001 and float(values.min()) < -0.25
            return 0 if bounded else 3
        return 1 if value_range == (0.0, 1.0) else 2

    def same(self, picture: F32, cards: Iterable[Card]) -> bool:
        """Whether it makes no difference which of some ranges is taken: networks that normalise do not see it."""
        found = [feed.painted(card, values) for card in cards if (values := self.output(picture, card)) is not None]
        return all(float(np.abs(one - found[0]).max()) < 0.02 for one in found)

    def know(self, **facts: Any) -> None:
        """Write down what was found, unless somebody has said otherwise."""
        own = {name: value for name, value in facts.items() if name not in self.given}
        self.card = self.card.model_copy(update=own)

    def refused(self, key: str, **fields: Any) -> ModelDamaged:
        return ModelDamaged(text(key, name=self.name, **fields))


FOUND = ("value_range", "output_range", "mean", "output_mean", "channels")


def known_picture(height: int, width: int) -> F32:
    """A picture (H, W, 3) in 0..1 like a photograph: soft colours, edges, light and dark; always the same one."""
    rng = np.random.default_rng(7)
    soft = resize(rng.random((7, 9, 3), dtype=np.float32), (width, height))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    disc = np.hypot(rows / height - 0.4, columns / width - 0.6) < 0.25
    bars = (columns // max(1, width // 16)) % 2 * (rows > 0.75 * height)
    picture: F32 = np.clip(0.8 * soft + 0.35 * disc[..., None] - 0.3 * bars[..., None], 0, 1).astype(np.float32)
    return picture


def likeness(picture: F32, painting: F32) -> float:
    """How much a painting is one of a picture: within 0..1, with light and dark, where the picture has them; 0..1."""
    if painting.shape != picture.shape:
        painting = resize(painting, (picture.shape[1], picture.shape[0]))
    inside = float(((painting > -0.1) & (painting < 1.1)).mean())
    spread = min(1.0, float(painting.std()) / 0.08)
    grey = [part.mean(2).ravel() - part.mean() for part in (picture, painting)]
    sizes = float(np.linalg.norm(grey[0]) * np.linalg.norm(grey[1]))
    alike = abs(float(grey[0] @ grey[1])) / sizes if sizes > 1e-9 else 0.0
    return inside * spread * (0.2 + 0.8 * alike)


def _may_be(shape: tuple[int | None, ...], order: str) -> bool:
    """Whether a declared shape fits an order of axes with three colours and one picture."""
    if len(shape) != 4:
        return not shape
    return shape[order.index("C")] in (3, None) and shape[0] in (1, None)


def _path() -> str:
    """Where the process finds danqing, wherever this one found it."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))


def _main() -> None:
    order = json.loads(sys.argv[1])
    restrict(seconds=int(order["seconds"]), memory=int(order["memory"]))
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in order["given"].items()}
    try:
        found = explore(sys.stdin.buffer.read(), name=order["name"], given=given)
        answer = {"facts": dict(found.facts), "freed": found.freed, "unsure": found.unsure}
    except ModelDamaged as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
