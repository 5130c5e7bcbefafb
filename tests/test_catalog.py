"""The catalog: what is here is checked, what is not is fetched whole or not at all, whatever the network does."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import tomli_w

from danqing import catalog, files, ownstyle
from danqing.card import Card, LearntStyle
from danqing.errors import ModelDamaged, ModelError, ModelMissing, RunFailed, UsageError
from danqing.picture import Picture
from danqing.weights import feeding, layouts
from tests.weights import matconvnet

WHOLE = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(WHOLE).hexdigest()
HTML = b"<!DOCTYPE html><html><head><title>404</title></head><body>Not Found</body></html>"
HTTP = ("http",)

Arrays = dict[str, np.ndarray[Any, Any]]


# ── a publisher on this machine ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Publisher:
    """What the server does: `answers` in turn, the last one for ever; `asked` are the paths that came."""

    port: int = 0
    answers: list[str] = field(default_factory=lambda: ["whole"])
    asked: list[str] = field(default_factory=list)

    def url(self, path: str = "weights.bin") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    told = Publisher()
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            kind, _, value = answer.partition(" ")
            getattr(self, kind)(value)

        def send(self, body: bytes, *, status: int = 200, length: int | None = None) -> None:
            self.send_response(status)
            if length != 0:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def whole(self, _: str) -> None:
            self.send(WHOLE)

        def slow(self, _: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(WHOLE)))
            self.end_headers()
            for start in range(0, len(WHOLE), 30_000):
                self.wfile.write(WHOLE[start : start + 30_000])
                time.sleep(0.05)

        def unmeasured(self, value: str) -> None:
            self.send(WHOLE[: int(value)] if value else WHOLE, length=0)

        def cut(self, value: str) -> None:
            self.send(WHOLE[: int(value)], length=len(WHOLE))

        def wrong(self, _: str) -> None:
            self.send(WHOLE[:-1] + b"!")

        def page(self, _: str) -> None:
            self.send(HTML)

        def padded(self, _: str) -> None:
            self.send(HTML + b" " * (len(WHOLE) - len(HTML)))

        def small(self, _: str) -> None:
            self.send(bytes(3000))

        def large(self, _: str) -> None:
            self.send_response(200)
            self.end_headers()
            for _chunk in range(100):
                self.wfile.write(bytes(100_000))

        def status(self, value: str) -> None:
            self.send(HTML, status=int(value))

        def stall(self, value: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(WHOLE)))
            self.end_headers()
            self.wfile.write(WHOLE[: int(value)])
            self.wfile.flush()
            stop.wait(10)

        def redirect(self, value: str) -> None:
            self.send_response(302)
            self.send_header("Location", value.replace("HERE", f"127.0.0.1:{told.port}"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client has gone, as it should
                super().handle()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield told
    stop.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cards of our own, and an empty home."""
    folder = tmp_path / "模型"
    folder.mkdir()
    monkeypatch.setattr(catalog, "MODELS", folder)
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    monkeypatch.delenv("DANQING_OFFLINE", raising=False)
    return folder


def write_card(folder: Path, **fields: Any) -> None:
    values = {"name": "big", "kind": "encoder", "file": "权重.bin", "license": "MIT", "origin": "a test"} | fields
    (folder / f"{values['name']}.toml").write_text(tomli_w.dumps(values), encoding="utf-8")


@pytest.fixture
def big(models: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card of a model that the publisher has; where it is going to lie."""
    write_card(models, sha256=DIGEST[:8], bytes=len(WHOLE), urls=["https://example.org/weights.bin"])
    serve(monkeypatch, publisher.url())
    return catalog.home() / "models" / "big" / "权重.bin"


def serve(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    """Point the card to other addresses. Cards themselves hold no http."""
    plain = catalog.card

    def moved(name: str) -> Card:
        return plain(name).model_copy(update={"urls": urls})

    monkeypatch.setattr(catalog, "card", moved)


def pull(**options: Any) -> Path:
    return catalog.pull("big", schemes=HTTP, **{"timeout": 5.0} | options)


def nothing_is_left(path: Path) -> bool:
    return not path.parent.exists() or {p.name for p in path.parent.iterdir()} <= {f"{path.name}.lock"}


# ── fetching ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_is_fetched_once_and_checked(big: Path, publisher: Publisher) -> None:
    with pytest.raises(ModelMissing, match="danqing models pull big"):
        catalog.find("big")
    seen: list[tuple[int, int]] = []
    assert pull(on_progress=lambda done, total: seen.append((done, total))) == big
    assert big.read_bytes() == WHOLE
    assert seen[-1] == (len(WHOLE), len(WHOLE))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert pull() == pull(offline=True) == big
    assert len(publisher.asked) == 1
    card, path = catalog.find("big")
    assert (card.sha256, path) == (DIGEST, big)


def test_a_length_need_not_be_announced(big: Path, publisher: Publisher) -> None:
    publisher.answers = ["unmeasured"]
    assert pull().read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("answer", "says", "kind"),
    [
        ("cut 0", "broke off after 0", ModelMissing),
        ("cut 1", "broke off after 1 of 300000", ModelMissing),
        ("cut 271828", "broke off after 271828", ModelMissing),
        ("cut 299999", "broke off after 299999", ModelMissing),
        ("unmeasured 5000", "broke off", ModelMissing),
        ("unmeasured 299000", "another file", ModelDamaged),
        ("wrong", f"instead of {DIGEST[:8]}", ModelDamaged),
        ("page", "a web page", ModelDamaged),
        ("padded", "a web page", ModelDamaged),
        ("small", "sent 3000 bytes", ModelDamaged),
        ("large", "where the file has 300000", ModelDamaged),
        ("status 404", "status 404", ModelMissing),
        ("status 500", "status 500", ModelMissing),
        ("stall 0", "stopped sending", ModelMissing),
        ("stall 100000", "stopped sending", ModelMissing),
        ("redirect file:///etc/passwd", "only https", ModelMissing),
        ("redirect ftp://127.0.0.1/x", "only https", ModelMissing),
        ("redirect data:text/plain,hi", "only https", ModelMissing),
        ("redirect https://HERE/x", "only https", ModelMissing),  # not among the schemes of these tests
        ("redirect http://HERE/again", "only https", ModelMissing),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    big: Path, publisher: Publisher, answer: str, says: str, kind: type[ModelError]
) -> None:
    publisher.answers = [answer]
    with pytest.raises(kind, match=says) as caught:
        pull(timeout=0.3)
    assert str(caught.value).isprintable()
    assert nothing_is_left(big)
    publisher.answers = ["whole"]
    assert pull().read_bytes() == WHOLE


def test_a_cut_is_tried_again_by_itself(big: Path, publisher: Publisher) -> None:
    publisher.answers = ["cut 77777", "whole"]
    seen: list[int] = []
    assert pull(on_progress=lambda done, _: seen.append(done)).read_bytes() == WHOLE
    # Begun again, not gone on with: how many bytes arrive at once differs, their sum may not exceed the file.
    assert seen[-1] == max(seen) == len(WHOLE)
    assert len(publisher.asked) == 2


def test_a_redirect_is_followed_when_its_scheme_is_allowed(big: Path, publisher: Publisher) -> None:
    publisher.answers = ["redirect http://HERE/elsewhere", "whole"]
    assert pull().read_bytes() == WHOLE
    assert publisher.asked[-1] == "/elsewhere"


def test_a_second_address_is_tried(big: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, "http://127.0.0.1:9/closed", publisher.url("first"), publisher.url("second"))
    publisher.answers = ["wrong", "whole"]
    assert pull().read_bytes() == WHOLE
    assert publisher.asked == ["/first", "/second"]


def test_only_https_without_being_told_otherwise(big: Path, publisher: Publisher) -> None:
    with pytest.raises(ModelMissing, match="only https"):
        catalog.pull("big")
    assert not publisher.asked
    assert nothing_is_left(big)


def test_nothing_listens(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, "http://127.0.0.1:9/weights.bin")
    with pytest.raises(ModelMissing, match="cannot be reached"):
        pull()
    assert nothing_is_left(big)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_is_respected(big: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "environment":
        monkeypatch.setenv("DANQING_OFFLINE", "1")
    with pytest.raises(ModelMissing, match="offline"):
        pull(offline=how == "argument")
    assert not publisher.asked
    assert not big.parent.exists()


@pytest.mark.parametrize("content", [b"", WHOLE[:3000], WHOLE[:-1], HTML], ids=["empty", "3 kB", "cut", "page"])
def test_a_damaged_file_is_never_taken_and_then_replaced(big: Path, publisher: Publisher, content: bytes) -> None:
    big.parent.mkdir(parents=True)
    big.write_bytes(content)
    with pytest.raises(ModelDamaged, match="pull big"):
        catalog.find("big")
    with pytest.raises(ModelMissing, match="offline"):
        pull(offline=True)
    assert pull().read_bytes() == WHOLE


def test_a_failed_replacement_leaves_the_old_file(big: Path, publisher: Publisher) -> None:
    big.parent.mkdir(parents=True)
    big.write_bytes(b"old")
    publisher.answers = ["wrong"]
    with pytest.raises(ModelDamaged):
        pull()
    assert big.read_bytes() == b"old"


def test_what_a_killed_download_left_is_swept(big: Path) -> None:
    big.parent.mkdir(parents=True)
    (big.parent / f"{files.TEMPORARY_PREFIX}1-dead{files.TEMPORARY_SUFFIX}").write_bytes(b"half")
    files.Path(f"{big}.lock").write_bytes(b"")  # a lock file of one who is gone locks nothing
    assert pull().read_bytes() == WHOLE
    assert {p.name for p in big.parent.iterdir()} == {big.name, f"{big.name}.lock"}


def test_a_cache_that_cannot_be_written_is_one_line(big: Path, tmp_path: Path) -> None:
    catalog.home().write_bytes(b"a file where the folder should be")
    with pytest.raises(RunFailed, match="家"):
        pull()


def test_stopping_leaves_nothing(big: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(on_progress=stop)
    assert nothing_is_left(big)


CHILD = """
import json, sys
from pathlib import Path
from danqing import catalog
catalog.MODELS = Path(sys.argv[1])
plain = catalog.card
catalog.card = lambda name: plain(name).model_copy(update={"urls": (sys.argv[2],)})
print(json.dumps(str(catalog.pull("big", schemes=("http",), timeout=10))))
"""


def test_processes_that_ask_at_once_fetch_it_once(big: Path, models: Path, publisher: Publisher) -> None:
    publisher.answers = ["slow"]
    command = [sys.executable, "-c", CHILD, str(models), publisher.url()]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert told == [str(big)] * 3
    assert big.read_bytes() == WHOLE
    assert len(publisher.asked) == 1
    assert {p.name for p in big.parent.iterdir()} == {big.name, f"{big.name}.lock"}


def test_a_killed_process_leaves_no_file_and_no_lock(big: Path, models: Path, publisher: Publisher) -> None:
    publisher.answers = ["stall 100000", "whole"]
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(models), publisher.url()], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not publisher.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.kill()
    process.communicate(timeout=20)
    assert not big.exists()
    assert pull().read_bytes() == WHOLE
    assert {p.name for p in big.parent.iterdir()} == {big.name, f"{big.name}.lock"}


# ── names and cards ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_model_is_told_which_there_are(models: Path) -> None:
    write_card(models, name="compact", sha256="0" * 64)
    with pytest.raises(ModelMissing, match=r"no model compcat: there are compact; the nearest is compact"):
        catalog.find("compcat")


def test_weights_and_graph_of_one_card(models: Path) -> None:
    weights, graph = b"weights", b"graph"
    hashes = {"sha256": hashlib.sha256(weights).hexdigest(), "onnx_sha256": hashlib.sha256(graph).hexdigest()}
    write_card(models, name="small", file="小.safetensors", onnx="小.onnx", **hashes)
    with pytest.raises(ModelMissing, match="small"):
        catalog.find("small")
    (models / "小.safetensors").write_bytes(weights)
    (models / "小.onnx").write_bytes(graph)
    assert catalog.find("small")[1] == models / "小.safetensors"
    assert catalog.find("small", form="onnx")[1] == models / "小.onnx"
    assert catalog.pull("small", offline=True) == models / "小.safetensors"
    (models / "小.onnx").write_bytes(graph + b"!")
    with pytest.raises(ModelDamaged, match="install danqing again"):
        catalog.find("small", form="onnx")
    write_card(models, name="small", file="小.safetensors", sha256=hashes["sha256"])
    with pytest.raises(ModelMissing, match="no ONNX"):
        catalog.find("small", form="onnx")


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_the_true_vggs_come_from_their_official_address(name: str) -> None:
    card = catalog.card(name)
    digits = card.file.removesuffix(".pth").rpartition("-")[2]
    assert card.urls == (f"https://download.pytorch.org/models/{card.file}",)
    assert card.sha256 == digits
    assert len(digits) >= 8
    assert card.bytes is not None
    assert card.bytes > 500e6
    expected = [f"relu{layer[4:]}" for layer in layouts.order(layouts.DEPTHS[name])]
    assert list(card.layers) == expected


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "别处"))
    assert catalog.home() == tmp_path / "别处"
    monkeypatch.delenv("DANQING_HOME")
    assert catalog.home().is_absolute()
    assert "danqing" in catalog.home().name


# ── the user's own weights ──────────────────────────────────────────────────────────────────────────────────────────


def vgg(name: str, last: str = "conv3_3", *, front: str = "") -> Arrays:
    """The beginning of a true VGG under torchvision's names: random, but for what torchvision's is known by."""
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    for place, layer in layouts.torchvision_names(layouts.DEPTHS[name]).items():
        width = layouts.WIDTHS[int(layer[4]) - 1]
        arrays[f"{front}{place}.weight"] = rng.normal(size=(width, channels, 3, 3)).astype(np.float32) / 50
        arrays[f"{front}{place}.bias"] = np.zeros(width, np.float32)
        channels = width
        if layer == last:
            break
    known = next(n for n in feeding.PUBLISHED if n.name == f"torchvision VGG-{name[3:]}")
    arrays[f"{front}features.0.weight"][0, 0] = np.reshape(known.kernel, (3, 3))
    arrays[f"{front}features.0.bias"][0] = known.bias or 0
    return arrays


def write(path: Path, arrays: Arrays, **about: str) -> Path:
    path.write_bytes(safetensors.numpy.save(arrays, metadata=about or None))
    return path


@pytest.mark.parametrize(
    ("name", "last", "like", "found"),
    [
        ("vgg19", "conv3_4", None, "vgg19"),
        ("vgg16", "conv4_1", None, "vgg16"),
        ("vgg19", "conv3_3", None, "vgg19"),
        ("vgg19", "conv3_3", "vgg16", "vgg16"),
        ("vgg16", "conv4_1", "compact", "vgg16"),
    ],
)
def test_a_vgg_is_known_by_names_and_shapes(tmp_path: Path, name: str, last: str, like: str | None, found: str) -> None:
    path = write(tmp_path / "我的.safetensors", vgg(name, last))
    card, arrays = catalog.from_file(path, like=like)
    assert card.name == found
    assert card.sha256 == files.sha256(path)
    assert (card.channels, card.value_range, card.padding) == ("RGB", (0, 1), "zeros")
    assert card.mean == (0.485, 0.456, 0.406)
    assert card.std == (0.229, 0.224, 0.225)
    assert card.layers[-1] == f"relu{last[4:]}"
    assert arrays.keys() == vgg(name, last).keys()


def test_caffes_preprocessing_is_read_from_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "咖啡.safetensors", vgg("vgg19", "conv2_2"), input="BGR, 0..255, minus (103.939,116.779,123.68)"
    )
    card, _ = catalog.from_file(str(path))
    assert (card.channels, card.value_range) == ("BGR", (0, 255))
    matrix, bias = card.transform()
    assert matrix == ((0, 0, 255), (0, 255, 0), (255, 0, 0))
    assert bias == (-103.939, -116.779, -123.68)


def test_matconvnets_files_are_taken_and_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    names = layouts.torchvision_names(layouts.DEPTHS["vgg16"])
    own = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in vgg("vgg16", "conv4_1").items()}
    path = matconvnet.write(tmp_path / "网络.MAT", own)
    card, arrays = catalog.from_file(path, like="compact")
    assert (card.name, card.channels, card.value_range) == ("vgg16", "RGB", (0, 255))
    assert card.mean == pytest.approx(matconvnet.MEAN, abs=1e-4)
    assert card.std == (1, 1, 1)
    assert card.sha256 == files.sha256(path)
    assert card.layers[-1] == "relu4_1"
    assert "RGB 0..255" in card.note
    for name, array in own.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert len(list((tmp_path / "家" / "mat").iterdir())) == 1
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert catalog.from_file(path)[1].keys() == own.keys()
    with pytest.raises(UsageError, match="holds vgg16, not vgg19"):
        catalog.from_file(path, like="vgg19")
    with pytest.raises(ModelMissing, match=r"danqing\[torch\]"):
        catalog.from_file(matconvnet.write(tmp_path / "b.mat", own, mean=None))


def test_a_mat_without_its_mean_needs_a_card(tmp_path: Path) -> None:
    arrays = {"conv1_1.weight": np.ones((64, 3, 3, 3), np.float32), "conv1_1.bias": np.ones(64, np.float32)}
    path = matconvnet.write(tmp_path / "无均值.mat", arrays, mean=None)
    with pytest.raises(ModelDamaged, match=r"averageImage.*无均值"):
        catalog.from_file(path)
    papers = {"name": "我的", "kind": "encoder", "file": path.name, "sha256": files.sha256(path), "license": "MIT"}
    (tmp_path / "无均值.toml").write_text(tomli_w.dumps(papers | {"origin": "我"}), encoding="utf-8")
    card, read = catalog.from_file(path)
    assert (card.name, card.note) == ("我的", "")
    assert read.keys() == arrays.keys()


def test_own_names_are_a_vgg_too(tmp_path: Path) -> None:
    names = layouts.torchvision_names(layouts.DEPTHS["vgg19"])
    theirs = vgg("vgg19", "conv4_1")
    own = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in theirs.items()}
    bare = {k.removeprefix("features."): v for k, v in theirs.items()}
    for arrays in (own, bare):
        card, _ = catalog.from_file(write(tmp_path / "a.safetensors", arrays))
        assert (card.name, card.mean, card.layers[-1]) == ("vgg19", (0.485, 0.456, 0.406), "relu4_1")
        assert "torchvision VGG-19" in card.note
    early, _ = catalog.from_file(write(tmp_path / "b.safetensors", dict(list(own.items())[:6])), like="vgg16")
    assert early.name == "vgg16"


def test_what_nobody_published_has_to_be_told(tmp_path: Path) -> None:
    arrays = vgg("vgg19", "conv2_1")
    arrays["features.0.weight"][0, 0, 1, 1] += 1
    with pytest.raises(ModelDamaged, match="put the word torchvision"):
        catalog.from_file(write(tmp_path / "谁的.safetensors", arrays))
    card, _ = catalog.from_file(write(tmp_path / "谁的-caffe.safetensors", arrays))
    assert (card.channels, card.value_range) == ("BGR", (0, 255))
    assert "file name" in card.note


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_torchvisions_checkpoints(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch writes the checkpoint")
    arrays = vgg("vgg16", "conv4_1")
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    state["classifier.0.weight"] = torch.full((8, 8), np.nan)  # not read at all
    path = tmp_path / "vgg16-测试.pth"
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=new)
    path.write_bytes(stream.getvalue())
    card, read = catalog.from_file(path)
    assert card.name == "vgg16"
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_a_card_beside_the_file_counts(tmp_path: Path) -> None:
    arrays = {"conv1_1.weight": np.ones((4, 3, 3, 3), np.float32), "conv1_1.bias": np.ones(4, np.float32)}
    path = write(tmp_path / "小.safetensors", arrays)
    with pytest.raises(ModelDamaged, match=r"小\.toml"):
        catalog.from_file(path)
    fields = {"file": "小.safetensors", "sha256": files.sha256(path), "padding": "reflect", "mean": [0.5, 0.5, 0.5]}
    (tmp_path / "小.toml").write_text(
        tomli_w.dumps({"name": "小", "kind": "encoder", "license": "MIT", "origin": "我"} | fields), encoding="utf-8"
    )
    card, read = catalog.from_file(path)
    assert (card.name, card.padding, card.mean) == ("小", "reflect", (0.5, 0.5, 0.5))
    assert read.keys() == arrays.keys()
    write(path, {**arrays, "conv1_1.bias": np.zeros(4, np.float32)})
    with pytest.raises(ModelDamaged, match="hash"):
        catalog.from_file(path)


def test_what_is_no_vgg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="check the path"):
        catalog.from_file(tmp_path / "不在.pth")
    with pytest.raises(UsageError, match=r"\.safetensors, \.pth, \.pt, \.mat"):
        catalog.from_file(write(tmp_path / "a.bin", vgg("vgg19", "conv1_1")))
    thin = {"features.0.weight": np.ones((8, 3, 3, 3), np.float32), "features.0.bias": np.ones(8, np.float32)}
    with pytest.raises(ModelDamaged, match="how pictures are to be prepared"):
        catalog.from_file(write(tmp_path / "thin.safetensors", thin))
    holed = vgg("vgg19", "conv2_1")
    del holed["features.2.weight"]
    holed["features.1.weight"] = np.ones(64, np.float32)
    with pytest.raises(ModelDamaged, match=r"features\.1\.weight is unknown; conv1_2\.weight is missing"):
        catalog.from_file(write(tmp_path / "holed.safetensors", holed))
    with pytest.raises(UsageError, match="holds vgg19, not vgg16"):
        catalog.from_file(write(tmp_path / "other.safetensors", vgg("vgg19", "conv3_4")), like="vgg16")


# ── studies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

STUDY = {
    "file": "星夜.jpg",
    "title": "The Starry Night",
    "title_zh": "星夜",
    "artist": "Vincent van Gogh",
    "date": "1889",
    "source": "MoMA",
    "url": "https://example.org/starry-night",
}


def test_studies_are_listed_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"starry-night": STUDY, "great-wave": STUDY | {"file": "b.jpg", "date": 1831}}
    (tmp_path / "samples.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    monkeypatch.setattr(catalog, "samples", lambda: tmp_path)
    monkeypatch.setattr(catalog, "MODELS", tmp_path / "none")
    first, second = catalog.styles()
    assert (first.name, first.title_zh, first.path) == ("starry-night", "星夜", tmp_path / "星夜.jpg")
    assert (second.name, second.date) == ("great-wave", "1831")
    assert catalog.style("great-wave") == second
    with pytest.raises(UsageError, match=r"no style great-wafe: there are starry-night, great-wave; .* great-wave"):
        catalog.style("great-wafe")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "a = 1",
        tomli_w.dumps({"a": {k: v for k, v in STUDY.items() if k != "title_zh"}}),
        tomli_w.dumps({"a": {k: v for k, v in STUDY.items() if k != "file"}}),
        tomli_w.dumps({"a": STUDY | {"file": "../secret.jpg"}}),
        tomli_w.dumps({"a": STUDY | {"more": "x"}}),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "samples.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ModelDamaged, match=r"samples\.toml") as caught:
        catalog.studies(tmp_path)
    assert str(caught.value).isprintable()


def test_without_a_list_there_are_no_studies(tmp_path: Path) -> None:
    assert catalog.studies(tmp_path) == []


# ── styles of the user's own ────────────────────────────────────────────────────────────────────────────────────────

NETWORK = next(card for card in catalog.cards() if card.vectors)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own styles, which is not there yet, beside the networks that ship."""
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    return tmp_path / "家" / "styles"


def style_file(*, longer: int = 0, network: str = NETWORK.sha256) -> bytes:
    """A style file with drawn vectors, so many numbers longer than the network's."""
    _, learnt = catalog.vectors(NETWORK.styles[0].name)
    assert learnt is not None
    papers = ownstyle.Papers(network=NETWORK.name, network_sha256=network, style=LearntStyle(name="我的"))
    vectors = np.random.default_rng(0).random((3, learnt.shape[1] + longer), dtype=np.float32)
    grey = Picture(pixels=np.full((32, 48, 3), 0.5, np.float32))
    arrays, about = ownstyle.parts(ownstyle.OwnStyle(papers=papers, vectors=vectors, picture=grey))
    return safetensors.numpy.save(arrays, metadata=about)


def shown() -> set[str]:
    return {entry.name for entry in catalog.styles()}


def test_a_damaged_style_is_passed_over_until_it_is_asked_for(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = style_file()
    catalog.add_style(data, "好")
    broken = {"坏": data[:-100], "新": data.replace(b'version\\": 1', b'version\\": 9'), "空": b""}
    for name, content in broken.items():
        assert content != data
        (own / f"{name}.style").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert "好" in shown() and not set(broken) & shown()
    assert sorted(record.message.split()[2] for record in caplog.records) == sorted(broken)  # each once
    assert all(f"danqing styles remove {name}" in caplog.text for name in broken)
    for name in broken:
        with pytest.raises(ModelDamaged, match=f"{name}.style"):
            catalog.style(name)
        with pytest.raises(UsageError, match="already"):
            catalog.check_style_name(name)
        catalog.remove_style(name)
        with pytest.raises(UsageError, match="no style"):
            catalog.remove_style(name)
    catalog.remove_style("好")
    assert not list(own.iterdir())
    with pytest.raises(UsageError, match="comes with a network"):
        catalog.remove_style(NETWORK.styles[0].name)


def test_a_style_whose_vectors_do_not_fit_its_network_is_refused(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "短.style"
    file.write_bytes(style_file(longer=-1))
    with pytest.raises(ModelDamaged, match=r"短\.style"):
        catalog.import_style(file)
    catalog.add_style(file.read_bytes(), "短")  # by hand
    with pytest.raises(ModelDamaged, match=r"短\.style"):
        catalog.vectors("短")
    for name, data in (("合", style_file()), ("别", style_file(longer=5, network="0" * 64))):
        file.write_bytes(data)
        assert catalog.import_style(file, name) in shown()


@pytest.mark.parametrize("place", ["家", "家/styles"])
def test_a_gallery_that_cannot_be_written_is_one_line(own: Path, place: str) -> None:
    path = own.parents[1] / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a file where the folder should be")
    for ask in (lambda name: catalog.add_style(b"", name), catalog.new_style):
        with pytest.raises(RunFailed, match="styles cannot be written"):
            ask("我的")
