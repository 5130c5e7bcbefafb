"""Checkpoints: torch as oracle for good files in both containers, one line for every bad one, and nothing executed."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danqing.errors import DanqingError, ModelDamaged, ModelMissing
from danqing.weights import pickled, pth

# ── against torch ───────────────────────────────────────────────────────────────────────────────────────────────────

NEW, OLD = True, False
CONTAINERS = pytest.mark.parametrize("new", [NEW, OLD], ids=["zip", "legacy"])


def saved(value: object, *, new: bool = NEW, **options: Any) -> bytes:
    torch = pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=new, **options)
    return stream.getvalue()


def same(read: dict[str, np.ndarray[Any, Any]], expected: dict[str, Any]) -> None:
    assert list(read) == list(expected)
    for name, tensor in expected.items():
        plain = tensor.detach()
        oracle = (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()
        assert read[name].dtype == oracle.dtype, name
        assert read[name].shape == oracle.shape, name
        assert read[name].flags.c_contiguous
        np.testing.assert_array_equal(read[name], oracle, err_msg=name)


def tensors() -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
    base = torch.arange(120, dtype=torch.float32).reshape(4, 5, 6) / 7
    tied = torch.nn.Parameter(torch.ones(3))
    tied.note = "an attribute"
    return {
        "权重": base,
        "transposed": base.transpose(0, 2),
        "part of the same storage": base[1:3, ::2, 4],
        "row": base[3],
        "expanded": torch.tensor([[2.0], [3.0]]).expand(2, 5),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "parameter with attributes": tied,
        "scalar": torch.tensor(3.25),
        "nothing": torch.zeros(0, 7),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        **{
            str(dtype): torch.tensor([1, 0, 3], dtype=dtype)
            for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
                          torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64)
        },
    }  # fmt: skip


@CONTAINERS
def test_every_tensor_is_as_torch_saved_it(new: bool, tmp_path: Path) -> None:
    expected = tensors()
    if not new:  # torch writes the unsigned types of 2.3 in the newer container only
        expected = {k: v for k, v in expected.items() if "torch.uint" not in k or k == "torch.uint8"}
    path = tmp_path / "检查点.pth"
    path.write_bytes(saved(expected, new=new))
    same(pth.read(path), expected)
    same(pth.read(path.read_bytes()), expected)


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(new: bool, protocol: int) -> None:
    expected = tensors()
    if not new:
        expected = {k: v for k, v in expected.items() if "torch.uint" not in k or k == "torch.uint8"}
    same(pth.read(saved(expected, new=new, pickle_protocol=protocol)), expected)


@CONTAINERS
def test_state_dicts_of_modules_and_nests(new: bool) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    state = net.state_dict()
    same(pth.read(saved(state, new=new)), state)
    nest = {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict(), "size": torch.Size([1, 2]),
            "loss": 0.5, "type": torch.float32, "device": torch.device("cpu"), "none": None}  # fmt: skip
    same(pth.read(saved(nest, new=new)), state)
    same(pth.read(saved({"net": state, "epoch": 3}, new=new)), state)
    same(pth.read(saved({"state_dict": state, "averaged": state}, new=new)), state)
    with pytest.raises(ModelDamaged, match=r"\(a, b\)"):
        pth.read(saved({"a": state, "b": state}, new=new))


@CONTAINERS
def test_only_wanted_storages_are_read(new: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    data = saved({"features.0.weight": torch.ones(3), "classifier.0.weight": torch.full((9,), np.nan)}, new=new)
    with pytest.raises(ModelDamaged, match="not numbers"):
        pth.read(data)
    assert list(pth.read(data, keep=lambda name: name.startswith("features"))) == ["features.0.weight"]


def test_another_byte_order() -> None:
    torch = pytest.importorskip("torch")
    expected = {"a": torch.tensor([1.5, -2.0]), "b": torch.tensor([2, 2**40]), "c": torch.tensor([1.5]).bfloat16()}
    data = saved(expected)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    swapped = io.BytesIO()
    sizes = {"0": 4, "1": 8, "2": 2}
    with zipfile.ZipFile(swapped, "w") as archive:
        for name, content in entries.items():
            stem = name.rpartition("/")[2]
            if name.endswith("byteorder"):
                content = b"big"
            elif "/data/" in name and stem in sizes:
                content = np.frombuffer(content, f"<u{sizes[stem]}").byteswap().tobytes()
            archive.writestr(name, content)
    same(pth.read(swapped.getvalue()), expected)


def test_storage_views_of_the_oldest_files() -> None:
    """Persistent ids with a view, as PyTorch wrote them before 0.4, made by hand."""
    values = np.arange(6, dtype="<f4")
    body = (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06"
        b"X\x01\x00\x00\x008K\x02K\x03\x87tQK\x01K\x02\x85K\x01\x85tRs."
    )
    read = pth.read(legacy(body, ["7"], struct.pack("<q", 6) + values.tobytes()))
    np.testing.assert_array_equal(read["a"], [3, 4])


# ── files made by hand ──────────────────────────────────────────────────────────────────────────────────────────────


class Storage:
    """Stands for a storage while a test's pickle is written; `rest` is what older containers say besides."""

    def __init__(self, key: str, count: int, kind: str = "FloatStorage", *rest: object) -> None:
        self.identifier = (key, count, *rest)
        self.kind = kind


class Global:
    """Stands for a name, torch's or not, while a test's pickle is written."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Stands for the call of a name."""

    def __init__(self, target: Global, *arguments: object) -> None:
        self.target, self.arguments = target, arguments


def pickle_of(value: object) -> bytes:
    """A protocol 2 pickle of plain values and the classes above."""
    match value:
        case Storage(identifier=(key, *rest), kind=kind):
            return pickle_of(("storage", Global("torch", kind), key, "cpu", *rest)) + b"Q"
        case Global(module=module, name=name):
            return f"c{module}\n{name}\n".encode()
        case Call(target=target, arguments=arguments):
            return pickle_of(target) + pickle_of(arguments) + b"R"
        case tuple():
            return b"(" + b"".join(map(pickle_of, value)) + b"t"
        case list():
            return b"](" + b"".join(map(pickle_of, value)) + b"e"
        case dict():
            return b"}(" + b"".join(pickle_of(k) + pickle_of(v) for k, v in value.items()) + b"u"
        case _:
            return pickle.dumps(value, 2)[2:-1]


def program(value: object) -> bytes:
    return b"\x80\x02" + pickle_of(value) + b"."


def tensor(storage: Storage, offset: object, shape: object, strides: object) -> Call:
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, storage, offset, shape, strides, False, Call(Global("collections", "OrderedDict")))


def zipped(data: bytes, storages: dict[str, bytes] | None = None, *, compression: int = 0, **more: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("模型/data.pkl", data)
        archive.writestr("模型/version", b"3\n")
        for key, content in (storages or {}).items():
            archive.writestr(f"模型/data/{key}", content)
        for name, content in more.items():
            archive.writestr(f"模型/{name.replace('__', '.')}", content)
    return stream.getvalue()


def legacy(body: bytes, keys: list[str], storages: bytes) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    return program(pth.MAGIC) + program(1001) + program(system) + body + program(keys) + storages


ONE = np.array([1.0], "<f4").tobytes()
GOOD = zipped(program({"a": tensor(Storage("0", 1), 0, (1,), (1,))}), {"0": ONE})
GOOD_OLD = legacy(
    program({"a": tensor(Storage("0", 1, "FloatStorage", None), 0, (1,), (1,))}), ["0"], struct.pack("<q", 1) + ONE
)


@pytest.mark.parametrize("data", [GOOD, GOOD_OLD], ids=["zip", "legacy"])
def test_the_files_made_by_hand_are_good(data: bytes) -> None:
    np.testing.assert_array_equal(pth.read(data)["a"], [1.0])
    torch = pytest.importorskip("torch")
    assert torch.load(io.BytesIO(data), weights_only=True)["a"].tolist() == [1.0]


def reduced(function: Callable[..., object], *arguments: object) -> object:
    """Something that Python's own unpickling would call."""

    class Payload:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return function, arguments

    return Payload()


MARKER = "danqing-was-here"


def payloads() -> dict[str, bytes]:
    evil = {
        "os.system": reduced(os.system, f"touch {MARKER}"),
        "eval": reduced(builtins.eval, f"open({MARKER!r}, 'w')"),
        "exec": reduced(builtins.exec, f"open({MARKER!r}, 'w')"),
        "open": reduced(open, MARKER, "w"),
        "getattr": reduced(builtins.getattr, "", "join"),
        "import": reduced(builtins.__import__, "antigravity"),
        "partial": reduced(collections.defaultdict, list),
        "a class": collections.Counter("ab"),
    }
    made = {}
    for name, value in evil.items():
        for protocol in (2, 4):
            raw = pickle.dumps({"a": value}, protocol)
            made[f"{name}, zip, {protocol}"] = zipped(raw)
            made[f"{name}, legacy, {protocol}"] = legacy(raw, [], b"")
            made[f"{name}, bare, {protocol}"] = raw
    return made


@pytest.mark.parametrize("kind", payloads())
def test_payloads_are_refused_and_never_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("loads", "load", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    before = set(sys.modules)
    with pytest.raises(ModelDamaged) as caught:
        pth.read(payloads()[kind])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert "antigravity" not in set(sys.modules) - before


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"), ("subprocess", "Popen"),
        ("torch", "load"), ("torch.hub", "load"), ("torch._utils", "_import_dotted_name"), ("torch", "float32.real"),
        ("numpy.core.multiarray", "_reconstruct"), ("numpy", "load"), ("argparse", "Namespace"),
        ("torch._utils", "__builtins__"), ("torchvision.models.vgg", "VGG"), ("", ""), ("torch.", "Size"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_known_is_told(module: str, name: str) -> None:
    for value in (Global(module, name), Call(Global(module, name), 1)):
        with pytest.raises(ModelDamaged, match="asks for"):
            pth.read(zipped(program({"a": value})))


def test_a_refusal_names_the_name() -> None:
    with pytest.raises(ModelDamaged, match=r"asks for os\.system, .* nothing was run"):
        pth.read(zipped(program(Call(Global("os", "system"), "true"))))


# ── modules that were pickled whole ─────────────────────────────────────────────────────────────────────────────────


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_module_that_was_pickled_whole_gives_its_weights(new: bool, protocol: int) -> None:
    torch = pytest.importorskip("torch")
    inner = torch.nn.Sequential(torch.nn.InstanceNorm2d(4, affine=True, track_running_stats=True), torch.nn.ReLU())
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), inner, torch.nn.Conv2d(4, 3, 1, bias=False))
    net.activation = torch.nn.functional.relu  # a function as an attribute: named, never called
    for value in (net, {"model": net, "epoch": 3}):
        data = saved(value, new=new, pickle_protocol=protocol)
        read = pth.read(data, whole=True)
        same({name: read[name] for name in net.state_dict()}, net.state_dict())
        assert len(read) == len(net.state_dict())
        with pytest.raises(ModelDamaged, match=r"asks for torch\.nn\.modules"):
            pth.read(data)


def test_modules_from_before_pytorch_1_2() -> None:
    """With a call of a function of torch's, classes of a script, and a class by its source, as legacy files have it."""
    backend = Call(Global("torch.nn.backends.thnn", "_get_thnn_function_backend"))
    ordered = Global("collections", "OrderedDict")
    weights = Call(ordered, [["weight", tensor(Storage("7", 2, "FloatStorage", None), 0, (2,), (1,))]])
    attributes = {"_backend": backend, "_parameters": weights, "_modules": Call(ordered), "training": False}
    named = pickle_of(("module", Global("__main__", "TransformerNet"), "net.py", "import os")) + b"Q"
    body = b"\x80\x02" + named + b")\x81" + pickle_of(attributes) + b"b."
    read = pth.read(legacy(body, ["7"], struct.pack("<q", 2) + ONE + ONE), whole=True)
    np.testing.assert_array_equal(read["weight"], [1, 1])


@pytest.mark.parametrize("kind", payloads())
def test_payloads_in_whole_modules_are_refused_and_never_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(ModelDamaged) as caught:
        pth.read(payloads()[kind], whole=True)
    if "bare" not in kind:
        assert "asks for" in str(caught.value) and "nothing was run" in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert "antigravity" not in set(sys.modules) - before


def test_an_instance_of_anything_is_a_record_that_does_nothing() -> None:
    body = b"\x80\x02csubprocess\nPopen\n)\x81}X\x04\x00\x00\x00argsX\x04\x00\x00\x00truesb."
    with pytest.raises(ModelDamaged, match="without weights"):
        pth.read(zipped(body), whole=True)


@pytest.mark.parametrize("branches", [1, 3])
def test_modules_within_themselves_come_to_an_end(branches: int) -> None:
    names = b"".join(b"X\x01\x00\x00\x00%ch\x00" % (97 + place) for place in range(branches))
    body = b"\x80\x02c__main__\nNet\n)\x81q\x00}X\x08\x00\x00\x00_modules}(" + names + b"usb."
    start = time.monotonic()
    with pytest.raises(ModelDamaged):
        pth.read(zipped(body), whole=True)
    assert time.monotonic() - start < 5


F = Storage("0", 1)
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
HUGE = 1 << 60


def bomb(size: int) -> bytes:
    return zipped(program({"a": tensor(Storage("0", size // 4), 0, (1,), (1,))}), {"0": bytes(size)}, compression=8)


def view(offset: object, shape: object, strides: object, *, count: int = 1) -> bytes:
    return zipped(program({"a": tensor(Storage("0", count), offset, shape, strides)}), {"0": ONE})


def raw(code: bytes) -> bytes:
    return zipped(b"\x80\x02" + code)


BAD: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\x80",
    "zip cut in half": GOOD[: len(GOOD) // 2],
    "zip cut at the end": GOOD[:-3],
    "legacy cut": GOOD_OLD[:-2],
    "legacy cut in the pickle": GOOD_OLD[:90],
    "legacy without storages": legacy(program({"a": tensor(F, 0, (1,), (1,))}), [], b""),
    "legacy, storage unasked": legacy(program({"a": tensor(F, 0, (1,), (1,))}), ["0", "1"], bytes(99)),
    "legacy, storage twice": legacy(program({"a": tensor(F, 0, (1,), (1,))}), ["0", "0"], bytes(99)),
    "legacy, other count": legacy(
        program({"a": tensor(F, 0, (1,), (1,))}), ["0"], struct.pack("<q", 2) + bytes(8)
    ),
    "legacy, 2^60 elements": legacy(
        program({"a": tensor(Storage("0", HUGE), 0, (1,), (1,))}), ["0"], struct.pack("<q", HUGE) + bytes(8)
    ),
    "legacy, negative count": legacy(
        program({"a": tensor(F, 0, (1,), (1,))}), ["0"], struct.pack("<q", -1) + bytes(8)
    ),
    "zip bomb": bomb(30_000_000),
    "compressed": bomb(40),
    "2^60 elements": zipped(program({"a": tensor(Storage("0", HUGE), 0, (HUGE,), (1,))}), {"0": ONE}),
    "2^60 of one": view(0, (HUGE,), (0,)),
    "2^120 of one": view(0, (HUGE, HUGE), (0, 0)),
    "beyond the storage": view(0, (2,), (1,)),
    "offset beyond": view(1, (1,), (1,)),
    "strides beyond": view(0, (1, 2), (1, 1)),
    "negative side": view(0, (-1,), (1,)),
    "negative stride": view(0, (1,), (-1,)),
    "negative offset": view(-1, (1,), (1,)),
    "fractions": view(0.0, (1.0,), (1.0,)),
    "truth as a side": view(0, (True,), (1,)),
    "strides and sides": view(0, (1,), ()),
    "many dimensions": view(0, (1,) * 40, (1,) * 40),
    "sides in a list": view(0, [1], [1]),
    "storage short": view(0, (1,), (1,), count=2),
    "storage missing": zipped(program({"a": tensor(F, 0, (1,), (1,))})),
    "storage with a path": zipped(program({"a": tensor(Storage("../../etc/passwd", 1), 0, (1,), (1,))}), {"0": ONE}),
    "storage that is two things": zipped(
        program({"a": tensor(F, 0, (1,), (1,)), "b": tensor(Storage("0", 1, "DoubleStorage"), 0, (1,), (1,))}),
        {"0": ONE},
    ),
    "complex": zipped(program({"a": tensor(Storage("0", 1, "ComplexFloatStorage"), 0, (1,), (1,))}), {"0": ONE}),
    "typed as a function": zipped(b"\x80\x02}X\x01\x00\x00\x00a(X\x07\x00\x00\x00storage"
                                  b"ctorch._utils\n_rebuild_tensor_v2\nX\x01\x00\x00\x000NK\x01tQs."),
    "not a storage": zipped(program({"a": Call(REBUILD, 1, 0, (1,), (1,))})),
    "few arguments": zipped(program({"a": Call(REBUILD)})),
    "parameter of nothing": zipped(program({"a": Call(Global("torch._utils", "_rebuild_parameter"), 5)})),
    "called type": zipped(program({"a": Call(Global("torch", "FloatStorage"), 1 << 40)})),
    "subclass of a call": zipped(
        program({"a": Call(Global("torch._tensor", "_rebuild_from_type_v2"), Global("torch", "Size"), 1, (1,), {})})
    ),
    "named twice": zipped(b"\x80\x02}X\x01\x00\x00\x00aK\x01sX\x01\x00\x00\x00aK\x02s."),
    "a list as key": zipped(b"\x80\x02}]K\x01s."),
    "a tuple as key": zipped(b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s."),
    "NaN": zipped(program({"a": tensor(F, 0, (1,), (1,))}), {"0": np.array([np.nan], "<f4").tobytes()}),
    "no tensors": zipped(program({"a": 1})),
    "a list": zipped(program([1, 2])),
    "a plain pickle": program({"a": 1}),
    "another magic": program(1) + program(1001),
    "TorchScript": zipped(program({}), constants__pkl=b"x"),
    "unknown byte order": zipped(program({"a": tensor(F, 0, (1,), (1,))}), {"0": ONE}, byteorder=b"middle"),
    "two pickles": zipped(program({}), **{"more/data__pkl": b"x"}),
    "a zip of something else": GOOD.replace(b"data.pkl", b"data.txt"),
    "the head of a zip": b"PK\x03\x04" + bytes(300),
    "a tar": bytes(257) + b"ustar\x0000" + bytes(300),
    "a web page": b"<!DOCTYPE html><html>Not found</html>" * 100,
    "a safetensors file": struct.pack("<Q", 2) + b"{}",
    "text": b"just some words\n" * 20,
    "no end": raw(b"}"),
    "stack empty": raw(b"."),
    "stack too full": raw(b"NN."),
    "memory that is not there": raw(b"h\x07."),
    "set without pairs": raw(b"}(Nu."),
    "bracket never opened": raw(b"t."),
    "item of a list": raw(b"]NNs."),
    "through an open bracket": raw(b"N(a."),
    "text beyond the end": raw(b"X\xff\xff\xff\x7fab."),
    "text of 2^63": raw(b"\x8d" + b"\xff" * 8 + b"."),
    "number of 2^31 bytes": raw(b"\x8b\xff\xff\xff\x7f."),
    "negative length": raw(b"\x8b\xff\xff\xff\xff."),
    "long number": raw(b"\x8a\xff" + bytes(255) + b"."),
    "bad UTF-8": raw(b"X\x02\x00\x00\x00\xff\xfe."),
    "name without end": raw(b"c" + b"a" * 1000),
    "name of numbers": raw(b"K\x01K\x02\x93."),
    "call of a number": raw(b"K\x01)R."),
    "call with a list": raw(b"ccollections\nOrderedDict\n]R."),
    "old protocol": zipped(b"(dp0\n."),
    "a class by its instance": raw(b"(ios\nsystem\n."),
    "an extension": raw(b"\x82\x01."),
    "new object": raw(b"ctorch\nTensor\n)\x81."),
    "brackets in brackets": raw(b"(" * 100_000 + b"."),
    "lists in lists": raw(b"]" * 100_000 + b"a" * 99_999 + b"."),
    "tuples in tuples": raw(b")" + b"\x85" * 300_000 + b"."),
    "a list in itself": raw(b"]q\x00h\x00a."),
    "a dictionary in itself": raw(b"}q\x00X\x01\x00\x00\x00ah\x00s."),
    "two million instructions": raw(b"N0" * 1_000_000 + b"N."),
    "ever the same pairs": raw(
        b"](" + b"".join(b"K%cN\x86" % (n,) for n in range(120)) + b"e\x85q\x00"
        + b"ccollections\nOrderedDict\nq\x01h\x00R0" * 1 + b"h\x01h\x00R0" * 60_000 + b"N."
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_get_one_line_soon(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "坏.pth"
    path.write_bytes(BAD[kind])
    start = time.monotonic()
    with pytest.raises(ModelDamaged) as caught:
        pth.read(path)
    assert time.monotonic() - start < 5
    line = str(caught.value)
    assert line.startswith("坏.pth")
    assert line.isprintable()
    assert len(line) < 400
    np.testing.assert_array_equal(pth.read(GOOD)["a"], [1.0])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("zip bomb", "unpacks to more"),
        ("a plain pickle", "no PyTorch checkpoint"),
        ("TorchScript", "TorchScript"),
        ("a tar", "tar archive"),
        ("a web page", "web page"),
        ("a safetensors file", "a safetensors file"),
        ("legacy cut", "cut short"),
        ("complex", "torch.ComplexFloatStorage"),
        ("NaN", "not numbers"),
        ("no tensors", "without weights"),
        ("brackets in brackets", "longer or deeper"),
        ("two million instructions", "longer or deeper"),
    ],
)
def test_the_line_says_what_is_wrong(kind: str, says: str) -> None:
    with pytest.raises(ModelDamaged, match=says):
        pth.read(BAD[kind])


def test_a_zip_bomb_takes_no_memory() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    data = bomb(100_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ModelDamaged):
            pth.read(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_sets_that_are_asked_for_again_and_again_take_no_memory() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    named = b"](" + b"K\x01" * 90_000 + b"e\x85q\x000cbuiltins\nset\nq\x010("
    data = raw(named + b"h\x01h\x00R" * 500 + b"l.")
    tracemalloc.start()
    try:
        with pytest.raises(ModelDamaged, match="without weights"):
            pth.read(data, whole=True)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_long_list_of_contents_is_refused_unread() -> None:
    end = GOOD.rfind(b"PK\x05\x06")
    claimed = GOOD[: end + 12] + struct.pack("<I", 1 << 30) + GOOD[end + 16 :]
    with pytest.raises(ModelDamaged, match="unpacks to more"):
        pth.read(claimed)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        pth.read(tmp_path / "不在.pth")


def test_the_machine_says_where_a_pickle_ends() -> None:
    data = b"xx" + program([1, "二", 2.5, None, True, -3, 1 << 40, (1, 2)]) + b"rest"

    def refuse(*_: object) -> pickled.Maker:
        raise AssertionError

    value, end = pickled.run(data, name="a", resolve=refuse, persistent=refuse, start=2)
    assert value == [1, "二", 2.5, None, True, -3, 1 << 40, (1, 2)]
    assert data[end:] == b"rest"


@settings(max_examples=200, deadline=None)
@given(
    old=st.booleans(),
    flips=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=16),
    cut=st.integers(0, 1000),
)
def test_whatever_is_altered_it_is_read_or_refused(old: bool, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD_OLD if old else GOOD)
    for at, value in flips:
        data[at % len(data)] = value
    try:
        for array in pth.read(bytes(data[: len(data) - cut % len(data) // 50])).values():
            assert array.dtype.kind != "f" or np.isfinite(array).all()
    except DanqingError as error:
        assert "\n" not in str(error)
