"""`danqing models import`, `export` and `remove`, and `danqing paint --model`: good files, and every malformed one."""

from __future__ import annotations

import io
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: only ONNX models can be imported")

import torch

from danqing import catalog
from danqing.atelier.nets.johnson import Johnson
from danqing.card import Card
from danqing.cli.main import main
from danqing.picture import Picture
from danqing.weights.t7 import Module
from tests import networks
from tests.fake_engine import picture
from tests.networks import TINT, Graph, helper, onnx
from tests.weights.t7_writer import Writer
from tests.weights.test_pth import bomb, payloads
from tests.weights.test_safetensors import BAD

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def workplace(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalog, "MODELS", models)
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "照片.png", (61, 50))
    return tmp_path


def weights() -> dict[str, Any]:
    torch.manual_seed(0)
    return Johnson((4, 6, 8)).half().float().state_dict()


def checkpoint(state: Any = None) -> bytes:
    stream = io.BytesIO()
    torch.save(weights() if state is None else state, stream)
    return stream.getvalue()


def pixels(path: str) -> np.ndarray:
    return Picture.load(Path(path)).pixels


# ── good files ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_onnx_model_is_imported_painted_with_and_removed(capsys: Said) -> None:
    Path("着色.onnx").write_bytes(networks.tint())
    words = ["--license", "MIT", "--value-range", "0..1", "--output-range", "0..1"]
    assert main(["models", "import", "着色.onnx", *words]) == 0
    said = capsys.readouterr()
    assert said.out == "着色\n" and "RGB in 0..1 (NCHW)" in said.err and "licence MIT" in said.err
    card = Card.load(catalog.home() / "models" / "着色" / "着色.toml")
    assert (card.kind, card.license, card.picture, card.origin) == (
        "network",
        "MIT",
        "input1",
        "着色.onnx: an ONNX model",
    )
    assert main(["styles", "list"]) == 0 and "着色" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    assert {m["name"]: m["state"] for m in json.loads(capsys.readouterr().out)}["着色"] == "here"
    expected = np.clip(pixels("照片.png") @ TINT.T, 0, 1)
    for number, words in enumerate((["--style", "着色"], ["--model", "着色"], ["--model", "着色.onnx"])):
        out = f"{number}.png"
        assert main(["paint", "照片.png", *words, "-o", out]) == 0
        np.testing.assert_allclose(pixels(out), expected, atol=1 / 255)
        capsys.readouterr()
        assert main(["redo", out, "--json", "-o", f"again{number}.png"]) == 0
        assert json.loads(capsys.readouterr().out)["identical"] is True
    assert main(["models", "remove", "着色"]) == 0
    assert not (catalog.home() / "models" / "着色").exists()
    assert main(["paint", "照片.png", "--style", "着色", "-o", "x.png"]) == 2


def test_a_model_without_torch_or_onnx(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    """An ONNX model needs neither; for another one line names the extra."""
    import sys

    Path("a.onnx").write_bytes(networks.zoo(48))
    Path("a.pth").write_bytes(checkpoint())
    for module in [name for name in sys.modules if name.split(".")[0] in ("torch", "onnx") or ".atelier" in name]:
        monkeypatch.delitem(sys.modules, module)
    for missing in ("torch", "onnx"):
        monkeypatch.setitem(sys.modules, missing, None)
    assert main(["paint", "照片.png", "--model", "a.onnx", "-o", "a.png"]) == 0
    assert "any size" in capsys.readouterr().err
    assert main(["paint", "照片.png", "--model", "a.pth", "-o", "b.png"]) == 5
    assert 'pip install "danqing[torch]"' in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["pth", "pt", "model", "pkl"])
def test_weights_are_painted_with_at_once(ending: str, capsys: Said) -> None:
    Path(f"糖果.{ending}").write_bytes(checkpoint())
    assert main(["paint", "照片.png", "--model", f"糖果.{ending}"]) == 0
    assert capsys.readouterr().out == "照片.糖果.png\n"
    assert not (catalog.home() / "models").exists()


def test_a_network_is_a_style_with_a_mask(capsys: Said) -> None:
    Path("n.onnx").write_bytes(networks.tint())
    half = np.zeros((50, 61, 3), np.float32)
    half[:, :30] = 1
    Picture(pixels=half).save(Path("half.png"))
    assert main(["paint", "照片.png", "--style", "n.onnx", "--mask", "half.png", "-o", "o.png"]) == 0
    photo, painting = pixels("照片.png"), pixels("o.png")
    np.testing.assert_allclose(painting[:, 32:], photo[:, 32:], atol=1 / 255)
    np.testing.assert_allclose(painting[:, :28], np.clip(photo @ TINT.T, 0, 1)[:, :28], atol=1.5 / 255)


def test_a_network_of_one_size_says_so_every_time(capsys: Said) -> None:
    Path("klein.onnx").write_bytes(networks.fixed())
    assert main(["models", "import", "klein.onnx"]) == 0
    assert "64 x 64 px and nothing else" in capsys.readouterr().err
    assert main(["paint", "照片.png", "--style", "klein", "-o", "o.png"]) == 0
    assert "64 x 64 px and nothing else" in capsys.readouterr().err
    assert pixels("o.png").shape == (50, 61, 3)


def test_the_median_filter_is_a_knob() -> None:
    Path("n.onnx").write_bytes(networks.tint())
    for number in ("0", "3"):
        assert main(["paint", "照片.png", "--model", "n.onnx", "--median", number, "-o", f"{number}.png"]) == 0
    rough, smooth = pixels("0.png"), pixels("3.png")
    square = [rough[y : y + 3, x : x + 3].reshape(9, 3) for y, x in ((10, 10), (20, 33))]
    np.testing.assert_allclose([smooth[11, 11], smooth[21, 34]], np.median(square, axis=1), atol=1 / 255)


@pytest.mark.parametrize("half", [False, True])
def test_an_exported_style_runs_in_the_ten_lines_of_the_docs(half: bool, capsys: Said) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", docs, re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) <= 10 and "danqing" not in lines
    assert main(["models", "export", "reeds", "-o", "wave.onnx", *(["--fp16"] if half else [])]) == 0
    Picture.load(Path("照片.png")).save(Path("photo.jpg"), quality=100)
    exec(lines, {})
    assert main(["paint", "photo.jpg", "--style", "reeds", "-o", "ours.png"]) == 0
    with_loss = pixels("painting.jpg")
    assert with_loss.shape == (50, 61, 3)
    assert np.abs(with_loss - pixels("ours.png")).mean() < 0.03
    assert main(["models", "export", "reeds", "-o", "wave.onnx"]) == 2


def test_exports_are_told(capsys: Said) -> None:
    Path("n.pth").write_bytes(checkpoint())
    assert main(["models", "export", "n.pth", "-o", "n.onnx", "--fixed", "64x48", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == [64, 48] and told["bytes"] == Path("n.onnx").stat().st_size
    assert 0 <= told["difference"] <= 0.01
    assert main(["models", "import", "n.onnx", "--name", "n"]) == 0  # and comes in again
    assert main(["models", "export", "n", "-o", "again.onnx"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["models", "import", "没有.onnx"], 5, "there is no file"),
        (["models", "import", "照片.png"], 2, "of a kind that is not read"),
        (["models", "import", "n.onnx", "--name", "reeds"], 2, "reeds already"),
        (["models", "import", "n.onnx", "--name", "compact"], 2, "compact already"),
        (["models", "import", "n.onnx", "--name", "../x"], 2, "cannot be the name"),
        (["models", "import", "n.onnx", "--value-range", "wide"], 2, "--value-range 0..255"),
        (["models", "import", "n.onnx", "--value-range", "1..0"], 2, "must rise"),
        (["models", "import", "n.onnx", "--mean", "1,2"], 2, "--mean 0.485"),
        (["models", "import", "n.onnx", "--channels", "GBR"], 2, "channels"),
        (["models", "import", "n.pth", "--layout", "NHWC"], 2, "leave out --layout"),
        (["models", "remove", "compact"], 2, "comes with danqing"),
        (["models", "remove", "nothing"], 5, "no model nothing"),
        (["models", "export", "pastiche", "-o", "x.onnx"], 2, "reeds, smoke"),
        (["models", "export", "compact", "-o", "x.onnx"], 2, "does not paint"),
        (["models", "export", "nothing", "-o", "x.onnx"], 2, "no style nothing"),
        (["models", "export", "reeds", "-o", "没有/x.onnx"], 1, "没有"),
        (["models", "export", "reeds", "-o", "x.onnx", "--fixed", "big"], 2, "640x480"),
        (["models", "export", "reeds", "-o", "x.onnx", "--fixed", "8x8"], 2, "larger --fixed"),
        (["paint", "照片.png", "--model", "照片.png"], 2, "of a kind that is not read"),
        (["paint", "照片.png", "--model", "pastiche"], 2, "several styles"),
        (["paint", "照片.png", "--model", "compact"], 2, "does not paint"),
        (["paint", "照片.png", "--model", "nothing"], 5, "no model nothing"),
        (["paint", "照片.png", "--model", "n.onnx", "--style", "reeds"], 2, "not both"),
        (["paint", "照片.png", "--model", "n.onnx", "--engine", "optimize"], 2, "in one pass"),
        (["paint", "照片.png", "--model", "n.onnx", "--style-weight", "5"], 2, "in one pass"),
        (["paint", "照片.png", "-s", "n.onnx", "-s", "reeds"], 2, "different networks"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], code: int, says: str, capsys: Said) -> None:
    Path("n.onnx").write_bytes(networks.tint())
    Path("n.pth").write_bytes(checkpoint())
    assert main(words) == code
    said = [line for line in capsys.readouterr().err.splitlines() if "tried out" not in line and "painting" not in line]
    assert says in said[-1]
    assert not Path("x.onnx").exists() and not (catalog.home() / "models").exists()


# ── malformed files ─────────────────────────────────────────────────────────────────────────────────────────────────


def altered(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Weights as safetensors with something done to them."""
    from safetensors.numpy import save

    state = {key: value.numpy() for key, value in weights().items()}
    change(state)
    return save({key: np.ascontiguousarray(value) for key, value in state.items()})


def outside(location: str) -> bytes:
    made = onnx.load_model_from_string(networks.tint())
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return bytes(made.SerializeToString())


def cycle() -> bytes:
    g = Graph()
    g.nodes.append(helper.make_node("Add", ["input1", "b"], ["a"]))
    g.nodes.append(helper.make_node("Add", ["input1", "a"], ["b"]))
    g.last = "a"
    return g.model((1, 3, "h", "w"))


def spread() -> bytes:
    g = Graph()
    g.last = g.constant(np.array([200_000, 200_000], np.int64))
    g.then("ConstantOfShape").then("ReduceSum", keepdims=0)
    g.nodes.append(helper.make_node("Add", ["input1", g.last], ["out"]))
    g.last = "out"
    return g.model((1, 3, "h", "w"))


LISTED = (
    "empty", "three bytes", "claims 2^60", "long header", "no JSON", "not UTF-8", "truncated", "surplus", "overlap",
    "hole", "unknown type", "shape against size", "negative offset", "overflow", "deep JSON", "renamed pickle",
    "renamed zip", "doubled name", "NaN", "infinity",
)  # fmt: skip
HTML = b"<!DOCTYPE html><html><body>404</body></html>" * 20
MATLAB = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + b"\x00\x01IM"

CORPUS: dict[str, Callable[[], bytes]] = {
    **{f"{kind}.safetensors": (lambda kind=kind: BAD[kind]) for kind in LISTED},
    "missing key.safetensors": lambda: altered(lambda state: state.pop("in1.weight")),
    "extra key.safetensors": lambda: altered(lambda state: state.update(more=np.zeros(3, np.float32))),
    "wrong shape.safetensors": lambda: altered(lambda state: state.update({"in1.bias": np.zeros(3, np.float32)})),
    "empty.onnx": lambda: b"",
    "garbage.onnx": lambda: np.random.default_rng(0).bytes(4096),
    "garbage inside.onnx": lambda: b"\x08" + np.random.default_rng(0).bytes(4096),
    "HTML.onnx": lambda: HTML,
    "cut.onnx": lambda: networks.zoo()[:-40],
    "unknown op.onnx": lambda: Graph().then("Frobnicate").model((1, 3, "h", "w")),
    "opset 999.onnx": lambda: networks.tint(opset=999),
    "cycle.onnx": cycle,
    "external up.onnx": lambda: outside("../../secret.bin"),
    "external absolute.onnx": lambda: outside("/etc/passwd"),
    "external symlink.onnx": lambda: outside("link.bin"),
    "external hardlink.onnx": lambda: outside("hard.bin"),
    "ConstantOfShape.onnx": spread,
    "not a number.onnx": lambda: Graph().then("Mul", np.float32(np.nan)).model((1, 3, "h", "w")),
    "an encoder.onnx": lambda: Graph().then("Conv", np.ones((8, 3, 1, 1), np.float32)).model((1, 3, "h", "w")),
    "os.system.pth": lambda: payloads()["os.system, zip, 2"],
    "os.system legacy.pkl": lambda: payloads()["os.system, legacy, 4"],
    "os.system bare.model": lambda: payloads()["os.system, bare, 4"],
    "zip bomb.pth": lambda: bomb(30_000_000),
    "another network.pth": lambda: checkpoint({"features.0.weight": torch.ones(3, 3, 3, 3)}),
    "2^40.t7": lambda: Writer().storage_size(1 << 40),
    "depth.t7": lambda: (struct.pack("<iii", 3, 1, 1) + struct.pack("<id", 1, 1.0)) * 100_000,
    "unknown class.t7": lambda: Writer().bytes(Module("os.Execute")),
    "no network.t7": lambda: Writer().bytes({"opt": 1}),
    "HTML.t7": lambda: HTML,
    "zeros.mat": lambda: MATLAB + bytes(5000),
    "all zeros.mat": lambda: bytes(5000),
    "truncated.mat": lambda: MATLAB + struct.pack("<II", 14, 10_000) + bytes(100),
}


@pytest.mark.parametrize("kind", CORPUS)
def test_a_malformed_model_is_one_line_and_code_5(kind: str, workplace: Path, capsys: Said) -> None:
    file = Path(f"坏 {kind}")
    file.write_bytes(CORPUS[kind]())
    Path("secret.bin").write_bytes(bytes(36))
    os.link("secret.bin", "hard.bin")
    Path("link.bin").symlink_to("secret.bin")
    before = sorted(workplace.iterdir())
    for words in (["models", "import", str(file), "--name", "bad"], ["paint", "照片.png", "--model", str(file)]):
        code = main(words)
        line = capsys.readouterr().err
        assert code == 5, line
        assert line.count("\n") == 1 and line.startswith("danqing: ") and len(line) < 600
    assert [path for path in sorted(workplace.iterdir()) if path.name != "家"] == before
    assert not (catalog.home() / "models").exists()
    assert not Path("danqing-was-here").exists()


def test_the_corpus_differs_from_what_is_good(capsys: Said) -> None:
    for name, data in (("a.safetensors", altered(lambda _: None)), ("a.pth", checkpoint()), ("a.onnx", networks.zoo())):
        Path(name).write_bytes(data)
        assert main(["models", "import", name, "--name", name.replace(".", "-")]) == 0
