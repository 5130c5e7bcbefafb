"""The other side of `mat.py`: run as a script, it reads one MATLAB file from stdin and ends.

It imports numpy and scipy and nothing of danqing. Its answer is a safetensors file: the 3x3 kernels of MatConvNet's
`layers` as (out, in, height, width), their biases, and in `__metadata__` the mean of the pictures that the network
was trained on and the sha256 of the arrays' bytes. Whatever goes wrong, it says nothing: it exits with 2 where the
file holds no such `layers`, else with 1, and the parent knows what to tell the user.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import struct
import sys
from typing import Any

NO_NETWORK = 2
"""Exit status for a sound MATLAB file without a network of MatConvNet in it."""

OWN = re.compile(r"conv[1-9]_[1-9]")


def main() -> int:
    """Read stdin as the JSON of the first argument says: seconds, memory in bytes."""
    order = json.loads(sys.argv[1])
    restrict(seconds=int(order["seconds"]) + 1, memory=int(order["memory"]))
    import scipy.io  # only now, under the restrictions

    try:
        sys.stdin.buffer.seek(0)
        file = scipy.io.loadmat(sys.stdin.buffer, variable_names=["layers", "normalization", "meta"])
        arrays = convolutions(file["layers"]) if "layers" in file else {}
        if not arrays:
            return NO_NETWORK
        send(arrays, average(file))
    except Exception:  # the parent makes one line of any failure
        return 1
    return 0


def convolutions(layers: Any) -> dict[str, Any]:
    """Kernels and biases by name: the layers' own (`conv3_1`), else torchvision's, which counts them the same way.

    A layer is a struct with `weights`, a cell of kernels and biases, or with `filters` and `biases` as before 2015.
    What is not 3x3 is the end of the network, which names objects.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    for place, cell in enumerate(layers.ravel(order="F")):
        layer = cell.ravel()[0] if isinstance(cell, np.ndarray) else cell
        kernels, biases = parameters(layer)
        if kernels is None or kernels.ndim != 4 or kernels.shape[:2] != (3, 3):
            continue
        called = str(layer["name"].ravel()[0]) if has(layer, "name") and layer["name"].size else ""
        name = called if OWN.fullmatch(called) else f"features.{place}"
        if f"{name}.weight" in arrays:
            raise ValueError(name)
        # MATLAB's first index is the row, of pictures and of kernels alike.
        arrays[f"{name}.weight"] = np.ascontiguousarray(kernels.transpose(3, 2, 0, 1), "<f4")
        arrays[f"{name}.bias"] = np.ascontiguousarray(biases.ravel(), "<f4")
    return arrays


def parameters(layer: Any) -> tuple[Any, Any]:
    """Kernels (height, width, in, out) and biases of a layer; None where it has none."""
    if has(layer, "weights") and layer["weights"].size >= 2:
        cells = layer["weights"].ravel(order="F")
        return cells[0], cells[1]
    return (layer["filters"], layer["biases"]) if has(layer, "filters") else (None, None)


def average(file: dict[str, Any]) -> list[float]:
    """R, G, B in 0..255 of `normalization.averageImage`, a picture or a colour; empty where there is none."""
    place: Any = file
    if "meta" in file:
        place = file["meta"].ravel()[0]
    if not has(place, "normalization"):
        return []
    found = place["normalization"].ravel()[0]
    if not has(found, "averageImage"):
        return []
    picture = found["averageImage"]
    if picture.ndim == 3 and picture.shape[2] == 3 and picture.size:
        return [float(v) for v in picture.astype("f8").mean(axis=(0, 1))]
    return [float(v) for v in picture.ravel()] if picture.size == 3 else []


def has(struct: Any, name: str) -> bool:
    """Whether a struct, or a dictionary, has a field."""
    return name in (struct if isinstance(struct, dict) else struct.dtype.names or ())


def send(arrays: dict[str, Any], mean: list[float]) -> None:
    """Write the answer to stdout."""
    digest = hashlib.sha256()
    header: dict[str, Any] = {}
    at = 0
    for name, array in arrays.items():
        digest.update(array.data)
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    header["__metadata__"] = {"mean": json.dumps(mean), "sha256": digest.hexdigest()}
    encoded = json.dumps(header).encode()
    out = sys.stdout.buffer
    out.write(struct.pack("<Q", len(encoded)) + encoded)
    for array in arrays.values():
        out.write(array.data)
    out.flush()


def restrict(*, seconds: int, memory: int) -> None:
    """Caps on time, memory and core files, where the system has them; the parent's timeout holds everywhere."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already, or the system has none
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
