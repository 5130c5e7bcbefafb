"""What a training leaves behind: a network, its predictor and its styles become files that run without torch.

A trained network goes in; graphs, style vectors and cards come out, all of it computed once by ONNX Runtime and
compared with torch before a card says so. The same is tried with untrained weights before the first step of a training,
so that hours of work never end at a missing package or a full disk.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from danqing.atelier.export.onnx import generator_to_onnx, johnson_to_onnx, predictor_to_onnx
from danqing.atelier.export.pastiche import pastiche_to_onnx
from danqing.atelier.nets.johnson import Johnson
from danqing.atelier.nets.pastiche import Conditional, PasticheNet
from danqing.atelier.nets.predictor import Predictor
from danqing.atelier.nets.resnet import ResnetGenerator
from danqing.card import Card, LearntStyle
from danqing.engines import onnx
from danqing.errors import RunFailed
from danqing.files import sha256
from danqing.messages import text

log = logging.getLogger(__name__)

PARITY = 2e-3
"""The greatest difference between what torch and what ONNX Runtime paint, of 1."""

PREDICTED_PARITY = 0.02
"""The greatest difference between a number that torch and that ONNX Runtime predicts, their weights in float16."""

F32 = NDArray[np.float32]


def pastiche(
    net: PasticheNet,
    predictor: Predictor,
    vectors: Mapping[str, F32],
    styles: Sequence[LearntStyle],
    folder: Path,
    *,
    name: str = "pastiche",
    origin: str,
    teacher: str,
    data: str,
    license: str = "Apache-2.0",
    quality: Mapping[str, float | str] | None = None,
) -> Card:
    """Write a pastiche network into `folder`.

    That is `<name>.onnx`, `<name>.safetensors` with the vectors, `<name>-predictor.onnx` and the card `<name>.toml`.

    Args:
        net, predictor: on the processor.
        vectors: (3, P) for each style.
        styles: what is known of them.
        folder: it exists.
        name, origin, teacher, data, license, quality: for the card.

    Raises:
        RunFailed: a graph does not compute what torch computes.
    """
    halved = {one.name: np.ascontiguousarray(vectors[one.name], dtype=np.float16) for one in styles}
    graph, told = folder / f"{name}.onnx", folder / f"{name}-predictor.onnx"
    graph.write_bytes(pastiche_to_onnx(net))
    told.write_bytes(predictor_to_onnx(predictor))
    save_file(halved, folder / f"{name}.safetensors")
    vector = torch.from_numpy(next(iter(halved.values()))[1].astype(np.float32)) if halved else net.neutral()
    differences = {"painting": parity(net, vector, graph), "predictor": predicted_parity(predictor, told)}
    card = Card(
        name=name,
        kind="pastiche",
        file=graph.name,
        sha256=sha256(graph),
        vectors=f"{name}.safetensors",
        vectors_sha256=sha256(folder / f"{name}.safetensors"),
        predictor=told.name,
        predictor_sha256=sha256(told),
        styles=tuple(styles),
        license=license,
        origin=origin,
        teacher=teacher,
        data=data,
        quality=dict(quality or {}),
        parity={what: round(difference, 6) for what, difference in differences.items()},
        multiple_of=8,
        min_size=32,
    )
    (folder / f"{name}.toml").write_text(card.to_toml(), encoding="utf-8")
    return card


def johnson(
    net: Johnson,
    styles: Sequence[LearntStyle],
    folder: Path,
    *,
    name: str,
    origin: str,
    teacher: str,
    data: str,
    license: str = "unknown",
) -> Card:
    """Write a network of Johnson's kind into `folder`: `<name>.onnx` and the card `<name>.toml`.

    Args:
        net: on the processor.
        styles: the one that it has learnt.
        folder: it exists.
        name, origin, teacher, data, license: for the card.

    Raises:
        RunFailed: the graph does not compute what torch computes.
    """
    graph = folder / f"{name}.onnx"
    graph.write_bytes(johnson_to_onnx(net))
    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, 96, 128), dtype=np.float32))
    halved = Johnson(net.widths, family=net.family)
    halved.load_state_dict({key: halved_weight(key, value) for key, value in net.state_dict().items()})
    with torch.no_grad():
        expected = (halved(x * 255) / 255).clamp(0, 1).numpy()
    difference = differing(graph, {"picture": x.numpy()}, "painting", expected, allowed=PARITY)
    card = Card(
        name=name,
        kind="pastiche",
        file=graph.name,
        sha256=sha256(graph),
        styles=tuple(styles),
        license=license,
        origin=origin,
        teacher=teacher,
        data=data,
        parity={"painting": round(difference, 6)},
        multiple_of=4,
        min_size=48,
    )
    (folder / f"{name}.toml").write_text(card.to_toml(), encoding="utf-8")
    return card


def generator(
    net: ResnetGenerator,
    folder: Path,
    *,
    name: str,
    depth: int,
    origin: str,
    data: str,
    license: str = "unknown",
) -> Card:
    """Write a generator into `folder`: `<name>.onnx` and the card `<name>.toml`, with one style of the same name.

    Args:
        net: on the processor.
        folder: it exists.
        depth: of the pictures that it has learnt from; with 16 bits its weights stay whole.
        name, origin, data, license: for the card.

    Raises:
        RunFailed: the graph does not compute what torch computes.
    """
    graph, whole = folder / f"{name}.onnx", depth > 8
    graph.write_bytes(generator_to_onnx(net, whole=whole))
    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, 96, 128), dtype=np.float32))
    seen = 2 * x - 1 if net.channels == 3 else (2 * x - 1).mean(1, keepdim=True)
    stored = copy.deepcopy(net)
    weights = {key: value.float() if whole else value.half().float() for key, value in net.state_dict().items()}
    stored.load_state_dict(weights)
    with torch.no_grad():
        expected = stored(seen).expand(-1, 3, -1, -1).numpy()
    difference = differing(graph, {"picture": (2 * x - 1).numpy()}, "painting", expected, allowed=2 * PARITY) / 2
    card = Card(
        name=name,
        kind="pastiche",
        file=graph.name,
        sha256=sha256(graph),
        styles=(LearntStyle(name=name, title=name),),
        license=license,
        origin=origin,
        data=data,
        parity={"painting": round(difference, 6)},
        value_range=(-1.0, 1.0),
        output_range=(-1.0, 1.0),
        multiple_of=4,
        min_size=16,
    )
    (folder / f"{name}.toml").write_text(card.to_toml(), encoding="utf-8")
    return card


def halved_weight(name: str, value: torch.Tensor) -> torch.Tensor:
    """A weight of a convolution as the graph stores it, in float16; others as they are."""
    return value if ".in" in f".{name}" else value.half().float()


def differing(graph: Path, inputs: Mapping[str, F32], output: str, expected: F32, *, allowed: float) -> float:
    """The greatest difference between what ONNX Runtime computes and what is expected.

    Raises:
        RunFailed: it is more than `allowed`.
    """
    found = onnx.Session(graph.read_bytes(), name=graph.name)(inputs)[output]
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:
        fields = {"difference": f"{difference:.4f}", "allowed": allowed}
        raise RunFailed(text("train.parity", name=graph.name, **fields))
    return difference


def parity(net: PasticheNet, vector: torch.Tensor, path: Path, *, size: tuple[int, int] = (96, 128)) -> float:
    """The greatest difference between what torch and ONNX Runtime paint, with weights as the graph has them.

    Raises:
        RunFailed: it is more than `PARITY`.
    """
    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, *size), dtype=np.float32))
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net.load_state_dict(rounded(net))
        expected = net(x, vector[None]).clamp(0, 1).numpy()
        net.load_state_dict(kept)
    inputs = {"picture": x.numpy(), "vectors": vector[None].numpy(), "weights": np.ones((1, 1), dtype=np.float32)}
    return differing(path, inputs, "painting", expected, allowed=PARITY)


def predicted_parity(predictor: Predictor, path: Path) -> float:
    """The greatest difference between the vectors that torch and ONNX Runtime predict.

    Raises:
        RunFailed: it is more than `PREDICTED_PARITY`.
    """
    rng = np.random.default_rng(0)
    told = rng.normal(size=(2, len(predictor.mean))).astype(np.float32)
    with torch.no_grad():
        expected = predictor(torch.from_numpy(told)).numpy()
    return differing(path, {"statistics": told}, "learnt", expected, allowed=PREDICTED_PARITY)


def rounded(net: PasticheNet) -> dict[str, torch.Tensor]:
    """The network's weights as the graph stores them, in float16."""
    found = {
        name: value.half().float() if name.rpartition(".")[2] in ("weight", "bias") else value
        for name, value in net.state_dict().items()
    }
    kernels = {f"{name}.weight": m.kernels() for name, m in net.named_modules() if isinstance(m, Conditional)}
    return found | {name: value.half().float() for name, value in kernels.items()}
