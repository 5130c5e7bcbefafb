"""The ways to paint, by name, and the one hatch through the wall.

A name goes in, a Stylizer comes out. Everything that needs torch stands here as a string and is resolved when asked
for, so that an install without torch knows what it is missing. Packages of others add to ENGINES through the
entry-point group `danqing.engines`. This module imports no engine.
"""

from __future__ import annotations

import difflib
import importlib
from importlib import metadata
from typing import Any

from danqing.errors import ModelMissing, RunFailed, UsageError
from danqing.messages import text
from danqing.stylizer import Stylizer

GROUP = "danqing.engines"

ENGINES: dict[str, str] = {
    "fast": "danqing.engines.fast:FastStylizer",
    "optimize": "danqing.atelier.gatys:GatysStylizer",
}
"""Ways to paint: name -> `module:factory` of a Stylizer."""

BY_NAME = frozenset({"fast"})
"""Engines that take a style of the gallery by its name; all others take its picture."""

NETWORK = "pastiche"
"""The network that also paints like pictures which it has never seen."""

VERBS: dict[str, str] = {
    "train": "danqing.atelier.train.session:train",
    "equivalent": "danqing.atelier.train.equivalent:steps",
    "optimize": "danqing.atelier.gatys:GatysStylizer",
    "polish": "danqing.atelier.train.polish:polish",
    "import": "danqing.atelier.export.foreign:network",
    "export": "danqing.atelier.export.alone:alone",
}
"""What can be done behind the wall: verb -> `module:callable`."""

EXTRAS = {"torch": "torch", "onnx": "torch", "openvino": "openvino"}
"""The extra that brings a package, for packages that are not in the base install."""


def names() -> tuple[str, ...]:
    """Every engine there is, ours first."""
    return tuple(ENGINES | _foreign())


def open(name: str, **options: object) -> Stylizer:
    """The Stylizer of a name.

    Args:
        name: an engine of `names()`.
        options: for the engine's factory; only those that are not None are handed on.

    Raises:
        UsageError: there is no such engine.
        ModelMissing: it needs an extra that is not installed.
        RunFailed: it is of others and cannot be loaded.
    """
    table = ENGINES if name in ENGINES else ENGINES | _foreign()
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        key = "engines.unknown_near" if near else "engines.unknown"
        raise UsageError(text(key, name=name, near=", ".join(near), known=", ".join(table)))
    factory = _resolved(name, table[name])
    stylizer: Stylizer = factory(**{k: v for k, v in options.items() if v is not None})
    return stylizer


def verb(name: str) -> Any:
    """The callable of a verb behind the wall; errors as `open`, and KeyError for a verb that is not there."""
    return _resolved(name, VERBS[name])


def _foreign() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=GROUP) if point.name not in ENGINES}


def _resolved(name: str, target: str) -> Any:
    """What `module:attribute` names, imported now."""
    module, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in EXTRAS:
            raise ModelMissing(text("engines.needs_extra", name=name, extra=EXTRAS[package])) from error
        raise RunFailed(text("engines.broken", name=name, target=target, reason=error)) from error
    except (ImportError, AttributeError) as error:
        raise RunFailed(text("engines.broken", name=name, target=target, reason=error)) from error
    return found
