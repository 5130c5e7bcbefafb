"""Networks in the files of other tools become graphs: Torch7's `.t7`, and the weights of pytorch/examples.

A path goes in; the graph and its papers come out, the graph computed once more by something else and compared. Nothing
in a file is executed (`danqing.weights`). This module knows no catalog.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from danqing.atelier import adopt
from danqing.atelier.export.torch7 import network as tree_of
from danqing.atelier.export.torch7 import torch7_to_onnx
from danqing.atelier.train import publish
from danqing.card import Card, Network
from danqing.engines.onnx import Session
from danqing.errors import ModelDamaged, RunFailed
from danqing.files import shown
from danqing.messages import text
from danqing.weights import pth, safetensors, t7

JCJOHNSON = "fast-neural-style of jcjohnson, as Torch7 saved it"
ALLOWED = 2 / 255
"""The greatest difference of what the two compute for a Torch7 network, of 1."""

EXAMPLES = "fast_neural_style of pytorch/examples, or made from it"


def network(path: Path) -> Network:
    """The network of a file; which kind of file, its ending says.

    Raises:
        ModelMissing, ModelDamaged: it cannot be read, or holds no such network.
        RunFailed: the graph does not compute what it should.
    """
    return from_torch7(path) if path.suffix.lower() == ".t7" else from_weights(path)


def from_torch7(path: Path) -> Network:
    """The network of a Torch7 file; its graph is compared with what ONNX's own reference implementation computes."""
    name = shown(path.name)
    try:
        graph = torch7_to_onnx(tree_of(t7.read(path), name=name), name=name)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = shown(str(error).strip().splitlines()[0][:200])
        raise ModelDamaged(text("weights.t7_graph", name=name, reason=reason)) from error
    picture = {"picture": np.random.default_rng(0).random((1, 3, 64, 96), dtype=np.float32)}
    found = Session(graph, name=name)(picture)["painting"]
    expected = np.asarray(ReferenceEvaluator(onnx.load_model_from_string(graph)).run(["painting"], picture)[0])  # type: ignore[index]
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not np.isfinite(found).all():
        raise ModelDamaged(text("engines.foreign_nan", name=name))
    if not difference <= ALLOWED:
        fields = {"difference": f"{difference:.4f}", "allowed": f"{ALLOWED:.4f}"}
        raise RunFailed(text("train.parity", name=name, **fields))
    card = _card(name, JCJOHNSON).model_copy(update={"parity": {"painting": round(difference, 6)}})
    return Network(card, graph)


def from_weights(path: Path) -> Network:
    """A network of pytorch/examples from a checkpoint or safetensors; its graph is compared with torch."""
    name = shown(path.name)
    arrays = safetensors.read(path) if path.suffix.lower() == ".safetensors" else pth.read(path, whole=True)
    net = adopt.johnson(name, arrays)
    with tempfile.TemporaryDirectory(prefix="danqing-") as folder:
        papers = {"origin": EXAMPLES, "teacher": "", "data": ""}
        made = publish.johnson(net, (), Path(folder), name="network", **papers)
        graph = (Path(folder) / made.file).read_bytes()
    known = {"sha256": made.sha256, "parity": made.parity, "multiple_of": made.multiple_of, "min_size": made.min_size}
    return Network(_card(name, EXAMPLES).model_copy(update=known), graph)


def _card(name: str, origin: str) -> Card:
    return Card(name="network", kind="network", file=name, sha256="0" * 64, license="unknown", origin=origin)
