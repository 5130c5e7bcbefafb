"""Foreign: a network of another tool, from its file, without executing anything in it.

A path goes in, and what somebody knows of the network; a `Network` comes out, with a card that says how it is fed. ONNX
models are tried out on small pictures (`engines.probe`) and need nothing but the base install; Torch7 files and
PyTorch's weights become graphs behind the wall. What was read once is remembered in the user's cache folder under what
the file holds. This module knows no photo and no catalog of names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from danqing import cache, catalog, engines, limits
from danqing.card import Card, Network
from danqing.engines import onnx, probe
from danqing.errors import DanqingError, ModelDamaged, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.weights import mat
from danqing.weights.source import not_this, opened

KEPT_BYTES = 256 << 20
"""Networks that are kept in the cache folder."""

ONNX_BEGINS = b"\x08"
"""The key of `ir_version`, the first field of every model."""

_KEPT = 1  # goes up when what is kept changes its meaning
_FORM = ("picture", "painting", "layout", "channels", "value_range", "mean", "std", "output_range", "output_mean")
_OURS = {name: Card.model_fields[name].default for name in _FORM}
"""How the graphs that we write are fed."""


def is_network(path: str | Path) -> bool:
    """Whether a file's name says that a network is in it."""
    return Path(path).suffix.lower() in catalog.NETWORKS


def read(path: str | Path, *, given: Mapping[str, Any] | None = None) -> Network:
    """The network of a file.

    Args:
        path: `.onnx`, `.t7` of jcjohnson/fast-neural-style, or `.pth`, `.pt`, `.model`, `.pkl` or `.safetensors` with
            the weights of pytorch/examples' fast_neural_style.
        given: fields of its card that are known of an ONNX model, because they cannot always be told.

    Raises:
        ModelMissing: no such file, or it needs an extra that is not installed.
        ModelDamaged: no such network, or a damaged one.
        UsageError: a file of another kind, or something is said that cannot be.
        DoesNotFit: larger than the memory that is free.
    """
    path, given = Path(path), dict(given or {})
    name = shown(path.name)
    if not is_network(path):
        raise not_read(path)
    with opened(path) as file:
        limits.check_file(file.size, name=name)
        data = file.take(0, file.size)
        is_onnx = path.suffix.lower() == ".onnx"
        if is_onnx and not data.startswith(ONNX_BEGINS):
            raise not_this(file, "ONNX")
    if given and not is_onnx:
        options = ", ".join(f"--{one.replace('_', '-')}" for one in given)
        raise UsageError(text("catalog.known_feed", name=name, options=options))
    _check(given, name)
    told = json.dumps([_KEPT, path.suffix.lower(), given], sort_keys=True)
    key = hashlib.sha256(told.encode() + data).hexdigest()
    shelf = cache.Shelf(catalog.home() / "foreign", limit=KEPT_BYTES)
    found = _kept(shelf.get(key))
    if found is None:
        found = _from_onnx(data, name, given) if is_onnx else _converted(path, name)
        shelf.put(key, _packed(*found))
    card, graph, about = found
    papers = {"name": catalog.clean(path.stem), "file": name, "origin": f"{name}: {card.origin}"}
    card = card.model_copy(update=papers)
    return Network(card, graph, _notes(card, name, about), hashlib.sha256(data).hexdigest())


def notes(card: Card, name: str) -> tuple[str, ...]:
    """What is to be said of a network whenever it paints, a line each."""
    if card.fixed_size is None:
        return ()
    width, height = card.fixed_size
    return (text("catalog.note_fixed", name=name, width=width, height=height),)


def not_read(path: Path) -> DanqingError:
    """Why a file of another kind is refused; a damaged one for being damaged."""
    name = shown(path.name)
    if path.suffix.lower() == ".mat":
        mat.read(path, cache=catalog.home() / "mat")
        return ModelDamaged(text("weights.no_network", name=name))
    return UsageError(text("catalog.kind", name=name, kinds=", ".join(catalog.NETWORKS)))


def _check(given: Mapping[str, Any], name: str) -> None:
    """Refuse what cannot be said of a network."""
    try:
        Card.model_validate(probe.UNKNOWN.model_dump() | dict(given))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or '-'}: {e['msg']}" for e in error.errors())
        raise UsageError(text("catalog.bad_feed", name=name, problems=shown(problems))) from error


Found = tuple[Card, bytes, dict[str, Any]]
"""A card, a graph, and how it was found out."""


def _from_onnx(data: bytes, name: str, given: dict[str, Any]) -> Found:
    findings = probe.explored(data, name=name, given=given)
    facts = dict(findings.facts) | given
    graph = data
    if findings.freed:
        graph = onnx.freed(data, facts.get("picture", _OURS["picture"]), facts.get("layout", _OURS["layout"]))
    papers = {"sha256": hashlib.sha256(graph).hexdigest(), "origin": "an ONNX model"}
    card = probe.UNKNOWN.model_copy(update=facts | papers)
    return card, graph, {"freed": findings.freed, "unsure": list(findings.unsure), "tried": True}


def _converted(path: Path, name: str) -> Found:
    network: Network = engines.verb("import")(path)
    card, graph = network.card, network.graph
    facts: dict[str, Any] = {"sha256": hashlib.sha256(graph).hexdigest()}
    if path.suffix.lower() == ".t7":  # of any make; what sizes it takes is seen when it runs
        facts |= probe.explored(graph, name=name, given=_OURS).facts
    return card.model_copy(update=facts), graph, {}


def _notes(card: Card, name: str, about: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    if about.get("tried"):
        low, high = (f"{value:g}" for value in card.value_range)
        gives = "{:g}..{:g}".format(*card.output_range)
        fields = {"channels": card.channels, "layout": card.layout, "takes": f"{low}..{high}", "gives": gives}
        lines.append(text("catalog.note_fed", name=name, multiple=card.multiple_of, least=card.min_size, **fields))
    if about.get("freed"):
        lines.append(text("catalog.note_freed", name=name))
    if unsure := about.get("unsure"):
        options = ", ".join(f"--{field.replace('_', '-')}" for field in unsure)
        lines.append(text("catalog.note_unsure", name=name, options=options))
    return (*lines, *notes(card, name))


def _packed(card: Card, graph: bytes, about: Mapping[str, Any]) -> bytes:
    head = json.dumps({"card": card.model_dump(mode="json"), "about": dict(about)}).encode()
    return len(head).to_bytes(4, "little") + head + graph


def _kept(data: bytes | None) -> Found | None:
    """What was remembered of a file; None where nothing was, or nothing that can be used."""
    if data is None:
        return None
    end = 4 + int.from_bytes(data[:4], "little")
    try:
        head = json.loads(data[4:end])
        return Card.model_validate(head["card"]), data[end:], head["about"]
    except (ValueError, KeyError, TypeError):
        return None
