"""Adopt: named arrays become a network, or a list of everything that keeps them from it.

A card and the arrays of its file go in, a frozen encoder in eval mode comes out; or the graphs of a pastiche network
and its predictor, and both come out as they can be trained on; or the arrays of a network of pytorch/examples. Names of
encoders are torchvision's (`features.10.weight`) or the literature's (`conv3_1.weight`); widths are the arrays' own;
the card's preprocessing becomes the colour transform in front. Where a file ends early, so does the encoder. This
module opens no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from danqing.atelier.encoders import VGG
from danqing.atelier.nets.johnson import Johnson
from danqing.atelier.nets.pastiche import PasticheNet
from danqing.atelier.nets.predictor import Predictor
from danqing.card import Card
from danqing.engines.onnx import refuse_external_data
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights import layouts
from danqing.weights.source import listed, told

Arrays = Mapping[str, NDArray[Any]]


def encoder(card: Card, arrays: Arrays) -> VGG:
    """An encoder from its card and its arrays.

    Args:
        card: whose preprocessing and padding it gets; the layers that it promises must be there.
        arrays: weights (out, in, 3, 3) and biases (out,) by name, of any float type; they are copied.

    Returns:
        float32, in eval mode, no gradients to its weights.

    Raises:
        ModelDamaged: names or shapes do not fit; every problem is listed.
    """
    layout = layouts.recognise(arrays.keys(), like=_like(card))
    problems = layouts.problems(arrays, layout, promised=card.layers)
    if problems:
        raise ModelDamaged(text("weights.misfit", name=card.name, problems=listed(problems)))
    matrix, bias = card.transform()
    net = VGG(
        {layer: arrays[layout.names[f"{layer}.weight"]].shape[0] for layer in layout.layers},
        depths=layout.depths,
        last=layout.layers[-1],
        matrix=matrix,
        bias=bias,
        padding=card.padding,
    )
    net.load_state_dict(
        {ours: torch.from_numpy(arrays[theirs].astype(np.float32)) for ours, theirs in layout.names.items()}
    )
    return net.eval().requires_grad_(False)


def _like(card: Card) -> str:
    """Which VGG the card's layers are of, where the file itself ends before the two differ."""
    return "vgg19" if any(layer.endswith("_4") for layer in card.layers) or card.name != "vgg16" else "vgg16"


def pastiche(name: str, graph: bytes, predictor: bytes) -> tuple[PasticheNet, Predictor]:
    """A pastiche network and its predictor from their ONNX models, as `export` writes them.

    Args:
        name: what messages call it.
        graph, predictor: the models.

    Returns:
        float32.

    Raises:
        ModelDamaged: they are not such models; every problem is listed.
    """
    net = PasticheNet()
    told = Predictor(net.neutral())
    stored, stored_told = arrays_of(graph, name), arrays_of(predictor, name)
    own = {key: stored.get(key) for key in net.state_dict()}
    own |= {key: value.reshape(-1) for key, value in own.items() if value is not None and key.startswith("usual.")}
    his = {key: stored_told.get(key) for key in told.state_dict()}
    his |= {key: value.T for key, value in his.items() if value is not None and value.ndim == 2 and key != "neutral"}
    if his["neutral"] is not None:
        his["neutral"] = his["neutral"].reshape(-1)
    problems = []
    for module, found in ((net, own), (told, his)):
        for key, wanted in module.state_dict().items():
            value = found[key]
            if value is None or value.shape != tuple(wanted.shape):
                shape = "-" if value is None else str(value.shape)
                problems.append(f"{key}: {shape}, {tuple(wanted.shape)}")
    if problems:
        raise ModelDamaged(text("weights.misfit", name=name, problems=listed(problems)))
    for module, found in ((net, own), (told, his)):
        module.load_state_dict({key: torch.from_numpy(np.array(v, dtype=np.float32)) for key, v in found.items()})
    return net, told


def johnson(name: str, arrays: Arrays) -> Johnson:
    """A network of pytorch/examples' `fast_neural_style`, or of what was made from it, from its state dict.

    Running statistics, which files from before PyTorch 0.4 hold and nothing reads, are left out, and so is the
    `module.` of networks that were trained on several devices.

    Args:
        name: what messages call it.
        arrays: of any float type; they are copied.

    Raises:
        ModelDamaged: names or shapes do not fit; every problem is listed.
    """
    stored = {key.removeprefix("module."): a for key, a in arrays.items() if not key.endswith(STATISTICS)}
    widths = [stored[key].shape[0] if key in stored and stored[key].ndim == 4 else 0 for key in WIDTHS]
    if not all(0 < width <= WIDEST for width in widths):
        raise ModelDamaged(text("weights.no_network", name=name))
    net = Johnson((widths[0], widths[1], widths[2]))
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    problems = [text("weights.lacking", tensor=key) for key in wanted.keys() - stored.keys()]
    problems += [text("weights.extra", tensor=told(key)) for key in stored.keys() - wanted.keys()]
    problems += [
        text("weights.shape", tensor=key, shape=list(stored[key].shape), wanted=list(shape))
        for key, shape in wanted.items()
        if key in stored and stored[key].shape != shape
    ]
    if problems:
        raise ModelDamaged(text("weights.misfit_network", name=name, problems=listed(sorted(problems))))
    net.load_state_dict({key: torch.from_numpy(np.array(stored[key], dtype=np.float32)) for key in wanted})
    return net.eval().requires_grad_(False)


STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
WIDTHS = ("conv1.conv2d.weight", "conv2.conv2d.weight", "conv3.conv2d.weight")
WIDEST = 4096


def arrays_of(graph: bytes, name: str) -> dict[str, NDArray[Any]]:
    """The weights of an ONNX model by name.

    Raises:
        ModelDamaged: it is no model, or refers to outside data.
    """
    import onnx
    from onnx import numpy_helper

    refuse_external_data(graph, name)
    model = onnx.load_model_from_string(graph)
    return {one.name.removesuffix(".f16"): numpy_helper.to_array(one) for one in model.graph.initializer}
