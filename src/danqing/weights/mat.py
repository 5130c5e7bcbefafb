"""MatConvNet's VGGs, `imagenet-vgg-verydeep-19.mat` and `-16.mat`: named arrays and the mean out of them.

scipy's reader of MATLAB files "is not hardened for untrusted input" (its manual, `scipy.io.loadmat`) and has crashed
on damaged ones, so it never runs inside this process: `mat_child.py` reads the file under limits and answers with a
safetensors file, which is checked like any other and kept under the hash of the original, so that half a gigabyte is
parsed once. Needs scipy, which the extra `torch` brings, but not for what is kept already.

Kernels stand in the file as (height, width, in, out), colours as R, G, B (`utils/import-caffe.py` of MatConvNet, and
the published values against those of the Caffe network). Scripts that swap the first two for TensorFlow paint with
kernels that lie on their side.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from danqing import files, limits
from danqing.errors import DanqingError, ModelDamaged, ModelMissing
from danqing.messages import text
from danqing.weights import safetensors
from danqing.weights.mat_child import NO_NETWORK
from danqing.weights.safetensors import Arrays
from danqing.weights.source import Source, not_this, opened

CHILD = Path(__file__).with_name("mat_child.py")

SECONDS = 120.0
"""How long the child may take; the true files take a few seconds."""

_MEMORY = 1_000_000_000  # bytes of address space besides the file's: libraries, threads' stacks
_VARIABLES = (14, 15)  # miMATRIX, and miCOMPRESSED around one: "MAT-File Format", table 1-1
_KEPT = "1"  # goes up when what is kept changes its meaning


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a file holds.

    Attributes:
        arrays: `conv3_1.weight` (out, in, 3, 3) and `conv3_1.bias` (out,), float32.
        mean: R, G, B in 0..255 of the pictures that it was trained on; None where the file does not say.
    """

    arrays: Arrays
    mean: tuple[float, float, float] | None


def read(path: Path | str, *, name: str | None = None, cache: Path | None = None) -> Network:
    """The convolutions of a network that MatConvNet saved, in its old layout or its new one.

    Args:
        path: of the file.
        name: what messages call it.
        cache: the folder in which what was read is kept; made if need be. Without one nothing is kept.

    Raises:
        ModelMissing: no such file, or scipy is not installed.
        ModelDamaged: truncated, of another kind, or the child died over it or took too long.
        DoesNotFit: larger than the memory that is free.
    """
    with opened(path, name) as file:
        _check_head(file)
        _check_whole(file)
        kept = cache / f"{_digest(file)}-{_KEPT}.safetensors" if cache else None
        if kept is not None:
            with contextlib.suppress(DanqingError, OSError):  # not there, cut or altered: it is made again
                return _network(kept.read_bytes(), kept.name)
        answer = _answer(file)
        network = _network(answer, file.name)
    if kept is not None:
        _keep(kept, answer)
    return network


def _check_head(file: Source) -> None:
    """Refuse what no reader of MATLAB's files of 5.0 to 7.2 takes, before one starts."""
    head = file.take(0, min(file.size, 128))
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise ModelDamaged(text("weights.mat_hdf5", name=file.name))
    if not head.startswith(b"MATLAB 5.0") or (len(head) == 128 and head[126:] not in (b"IM", b"MI")):
        raise not_this(file, "MATLAB")


def _check_whole(file: Source) -> None:
    """Walk from variable to variable: scipy takes what it finds and does not miss what was cut off."""
    order: Literal["little", "big"] = "little" if file.take(126, 2) == b"IM" else "big"
    at = 128
    while at < file.size:
        tag = file.take(at, 8)
        if int.from_bytes(tag[:4], order) not in _VARIABLES:
            raise ModelDamaged(text("weights.mat_damaged", name=file.name))
        at += 8 + int.from_bytes(tag[4:], order)
    if at > file.size:
        raise ModelDamaged(text("weights.cut", name=file.name, size=file.size, needed=at))


def _digest(file: Source) -> str:
    digest = hashlib.sha256()
    file.stream.seek(0)
    while data := file.stream.read(1 << 20):
        digest.update(data)
    return digest.hexdigest()


def _answer(file: Source) -> bytes:
    """What the child says to a file."""
    if importlib.util.find_spec("scipy") is None:
        raise ModelMissing(text("weights.mat_extra", name=file.name))
    limits.check_file(file.size, name=file.name)
    order = json.dumps({"seconds": SECONDS, "memory": _MEMORY + 4 * file.size})
    try:
        # -P: the folder of the script stays out of the module path. One thread: each takes address space.
        child = subprocess.run(  # noqa: S603
            [sys.executable, "-P", str(CHILD), order],
            stdin=file.stream,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise ModelDamaged(text("weights.mat_timeout", name=file.name, seconds=f"{SECONDS:g}")) from error
    if child.returncode == NO_NETWORK:
        raise ModelDamaged(text("weights.mat_foreign", name=file.name))
    if child.returncode:
        raise ModelDamaged(text("weights.mat_damaged", name=file.name))
    return child.stdout


def _network(answer: bytes, name: str) -> Network:
    """Take an answer apart without trusting it."""
    arrays = safetensors.read(answer, name=name)
    about = safetensors.metadata(answer, name=name)
    start = 8 + int.from_bytes(answer[:8], "little")
    if hashlib.sha256(memoryview(answer)[start:]).hexdigest() != about.get("sha256"):
        raise ModelDamaged(text("weights.mat_damaged", name=name))
    try:
        values = [float(v) for v in json.loads(about["mean"])]
    except (LookupError, TypeError, ValueError) as error:
        raise ModelDamaged(text("weights.mat_damaged", name=name)) from error
    if not (len(values) == 3 and all(0 <= v <= 255 for v in values)):
        return Network(arrays=arrays, mean=None)
    return Network(arrays=arrays, mean=(values[0], values[1], values[2]))


def _keep(path: Path, answer: bytes) -> None:
    with contextlib.suppress(DanqingError, OSError):  # a cache that cannot be written only costs time
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_write(path, overwrite=True) as out:
            out.write(answer)
