"""MATLAB files as MatConvNet wrote them, from networks of a test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danqing.weights import layouts

Arrays = Mapping[str, np.ndarray[Any, Any]]
MEAN = (123.68, 116.779, 103.939)


def cells(*values: object) -> np.ndarray[Any, Any]:
    """A row of MATLAB cells."""
    row = np.empty((1, len(values)), object)
    row[0, :] = values
    return row


def write(
    path: Path, arrays: Arrays, *, old: bool = False, named: bool = True, mean: object = MEAN, **options: Any
) -> Path:
    """A file of a network that sees R, G, B in 0..255 less a mean.

    Args:
        path: of the file.
        arrays: by our names, in order.
        old: as before 2015: `filters` and `biases`, everything at the top level, the mean as a picture.
        named: whether layers carry their names.
        mean: another, or None for none.
        options: of scipy's `savemat`.
    """
    scipy_io = pytest.importorskip("scipy.io", reason="scipy writes the file")
    steps: list[dict[str, object]] = []
    last = layouts.order(layouts.DEPTHS["vgg19"])[0]
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in arrays):
        if layer[4] != last[4]:
            steps.append({"type": "pool", "name": f"pool{last[4]}", "stride": 2.0, "pad": 0.0})
        kernels = arrays[f"{layer}.weight"].transpose(2, 3, 1, 0)  # (row, column, in, out)
        steps += [conv(kernels, arrays[f"{layer}.bias"], layer, old=old), {"type": "relu", "name": f"relu{layer[4:]}"}]
        last = layer
    steps += [conv(np.zeros((7, 7, 4, 8)), np.zeros(8), "fc6", old=old), {"type": "softmax", "name": "prob"}]
    if not named:
        for step in steps:
            del step["name"]
    about: dict[str, object] = {"imageSize": [224.0, 224.0, 3.0], "interpolation": "bilinear"}
    if mean is not None:
        side = 224 if old else 1
        about["averageImage"] = np.broadcast_to(np.asarray(mean, "f4"), (side, side, 3))
    content = {"layers": cells(*steps)}
    top = {"normalization": about, "classes": {"name": cells("n01440764")}}
    scipy_io.savemat(path, content | top if old else content | {"meta": top}, **options)
    return path


def conv(
    kernels: np.ndarray[Any, Any], biases: np.ndarray[Any, Any], name: str, *, old: bool = False
) -> dict[str, object]:
    """A layer; biases lie in a row in the old layout, in a column in the new one."""
    kernels, biases = kernels.astype("f4"), biases.astype("f4")
    if old:
        return {"type": "conv", "name": name, "filters": kernels, "biases": biases[None, :], "stride": 1.0, "pad": 1.0}
    return {"type": "conv", "name": name, "weights": cells(kernels, biases[:, None]), "stride": 1.0, "pad": 1.0}
