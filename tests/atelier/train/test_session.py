"""`danqing train` end to end with small pictures: the model paints, and a run that was stopped ends the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be published")

import torch

from danqing import api, catalog, training
from danqing.atelier.train import publish, session
from danqing.atelier.train.johnson import LOSSES, Classic, gram
from danqing.atelier.train.rendered import COUNT, Rendered
from danqing.engines import fast
from danqing.errors import BadInput, RunFailed, UsageError
from danqing.files import sha256
from tests.fake_engine import picture

SMALL = {"steps": 4, "batch": 2, "crop": 64, "save_every": 2, "sample_every": 4, "learning_rate": 1e-3}


@pytest.fixture(autouse=True)
def one_thread(bundled: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    return picture(tmp_path / "我的画.png", (90, 70), seed=5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree of photographs, one of them broken, as COCO's."""
    folder = tmp_path / "dataset" / "train2014"
    folder.mkdir(parents=True)
    for seed in range(3):
        picture(folder / f"{seed}.png", (100, 80), seed=seed)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return folder.parent


@pytest.mark.parametrize("method", ["pastiche", "johnson"])
def test_what_was_trained_paints(painting: Path, photos: Path, method: str) -> None:
    order = training.prepare([painting], photos=photos, name="mine", method=method, **SMALL)
    steps: list[int] = []
    card = order.run(lambda report: steps.append(report.step))
    assert card is not None
    assert steps == [1, 2, 3, 4]
    assert "4 photographs" in card.data
    assert card.parity["painting"] <= publish.PARITY
    entry = catalog.style("mine")
    assert entry.network == "mine"
    photo = Image.effect_noise((48, 40), 60).convert("RGB")
    assert api.paint(photo, "mine").picture.size == (48, 40)
    log = [json.loads(line) for line in (order.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert Image.open(order.folder / "sheet-00000004.png").width == 256 * 4
    assert (order.folder / "loss.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("method", ["pastiche", "johnson"])
def test_a_run_that_was_stopped_ends_the_same(painting: Path, photos: Path, tmp_path: Path, method: str) -> None:
    whole = training.prepare([painting], photos=photos, name="whole", method=method, **SMALL)
    assert whole.run() is not None
    order = training.prepare([painting], photos=photos, name="parts", method=method, **SMALL)
    assert order.run(lambda report: report.step < 3) is None
    with pytest.raises(UsageError, match="no style parts"):
        catalog.style("parts")
    again = training.prepare(resume=order.folder)
    assert again.recipe == order.recipe
    assert again.run() is not None
    last = "step-00000004/state.safetensors"
    assert sha256(whole.folder / last) == sha256(order.folder / last)


def test_several_paintings_make_one_network(painting: Path, tmp_path: Path) -> None:
    other = picture(tmp_path / "other.png", (60, 60), seed=9)
    order = training.prepare([painting, other], name="both", **SMALL)
    assert "danqing draws itself" in order.notes[0]
    assert order.run() is not None
    assert [e.name for e in catalog.styles() if e.network == "both"] == ["both-我的画", "both-other"]


def test_what_the_last_step_needs_is_tried_before_the_first(painting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> float:
        raise RunFailed("the graph differs")

    monkeypatch.setattr(publish, "differing", broken)
    order = training.prepare([painting], name="mine", **SMALL)
    with pytest.raises(RunFailed, match="the graph differs"):
        order.run(lambda report: pytest.fail("a step was taken"))
    usage = shutil.disk_usage(order.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(RunFailed, match="1 MB free"):
        order.run(lambda report: pytest.fail("a step was taken"))


def test_a_sheet_that_cannot_be_written_costs_a_sheet(
    painting: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> Image.Image:
        raise OSError(28, "No space left on device")

    order = training.prepare([painting], name="mine", **{**SMALL, "sample_every": 2})
    monkeypatch.setattr(session, "sheet", full)
    assert order.run() is not None
    assert caplog.text.count("no sheet of step") == 2
    assert not [*order.folder.glob("sheet-*"), *order.folder.glob(".*")]


def test_hours_become_steps_once(painting: Path) -> None:
    order = training.prepare([painting], name="mine", **{**SMALL, "steps": None, "hours": 0.0005})
    seen = []
    assert order.run(lambda report: seen.append(report.steps) or (False if report.step == 1 else None)) is None
    assert training.prepare(resume=order.folder).run(lambda report: seen.append(report.steps)) is not None
    assert len(set(seen)) == 1
    assert seen[0] == json.loads((order.folder / "steps.json").read_text())["steps"]
    more = session.steps_for(
        0.001, session.opened(session.ordered(order.recipe, order.paintings, None)), order.folder, "cpu"
    )
    assert more == 2 * seen[0]


@pytest.mark.parametrize(
    ("knobs", "match"),
    [
        ({"name": "reeds"}, "reeds already"),
        ({"preset": "nobody"}, "use one of light, pytorch-examples, jcjohnson"),
        ({"photos": "nowhere"}, "no folder nowhere"),
        ({"steps": 5, "epochs": 2}, "give one of them"),
        ({"losses": "jcjohnson"}, "for --method johnson"),
        ({"crop": 100}, "crop"),
    ],
)
def test_what_cannot_be_meant_is_one_line(painting: Path, knobs: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        training.prepare([painting], **knobs)
    assert "\n" not in str(caught.value)
    assert not (catalog.home() / "runs").exists()


def test_what_is_asked_for_counts_more_than_the_preset(painting: Path) -> None:
    recipe = training.prepare([painting], preset="pytorch-examples", steps=7, batch=2).recipe
    assert (recipe.method, recipe.losses, recipe.steps, recipe.epochs) == ("johnson", "pytorch-examples", 7, None)


def test_a_run_is_gone_on_with_from_its_folder_alone(painting: Path, tmp_path: Path) -> None:
    order = training.prepare([painting], name="mine", **SMALL)
    with pytest.raises(UsageError, match="--resume"):
        training.prepare([painting], name="mine", **SMALL)
    with pytest.raises(UsageError, match="leave out"):
        training.prepare([painting], resume=order.folder)
    with pytest.raises(UsageError, match=r"cannot change.*batch"):
        training.prepare(resume=order.folder, batch=8)
    with pytest.raises(UsageError, match="no training was begun"):
        training.prepare(resume=tmp_path / "nowhere")
    assert training.prepare(resume=order.folder, steps=9).recipe.steps == 9
    assert training.prepare(resume=order.folder).recipe.steps == 9  # stopped again, it goes on as it was last told


def test_a_folder_without_a_picture_begins_nothing(painting: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    (tmp_path / "empty" / "notes" / "a.txt").write_text("no picture")
    with pytest.raises(BadInput, match="no picture"):
        training.prepare([painting], photos=tmp_path / "empty", name="mine", **SMALL)
    assert not (catalog.home() / "runs").exists()


def test_the_styles_of_several_paintings_need_names_of_their_own(
    painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = picture(tmp_path / "other.png", (60, 60), seed=9)
    known = [*catalog.styles(), replace(catalog.styles()[0], name="both-other")]
    monkeypatch.setattr(catalog, "styles", lambda: known)
    with pytest.raises(UsageError, match="both-other already"):
        training.prepare([painting, other], name="both", **SMALL)


def test_one_painting_at_a_time_is_held_whole(tmp_path: Path, painting: Path, read_one_at_a_time: list[object]) -> None:
    several = [picture(tmp_path / f"{seed}.png", (1100, 40), seed=seed) for seed in range(3)]
    order = training.prepare(several, name="several", **SMALL)
    assert [work.size for work, _ in order.paintings] == [(1024, 37)] * 3
    assert len(read_one_at_a_time) == 3


def test_our_own_pictures_are_always_the_same_and_all_different() -> None:
    pictures = [Rendered().picture(number) for number in range(6)]
    assert len(Rendered()) == COUNT
    for one in pictures:
        assert one.shape == (384, 512, 3)
        assert one.std() > 15
    assert len({one.tobytes() for one in pictures}) == 6
    np.testing.assert_array_equal(pictures[2], Rendered().picture(2))


@pytest.mark.parametrize("losses", LOSSES)
def test_the_old_tools_objectives_are_theirs(losses: str) -> None:
    """Against the formulas of their scripts, on drawn weights."""
    from danqing.atelier.encoders import VGG, VGG16_DEPTHS
    from danqing.atelier.nets.johnson import Johnson
    from tests.atelier.conftest import seeded

    seer = seeded(VGG((4, 6, 8, 8, 8), depths=VGG16_DEPTHS, last="conv4_3"))
    torch.manual_seed(0)
    style, photo, painted = torch.rand(1, 3, 48, 64), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    loss = LOSSES[losses]
    total, terms = Classic(Johnson((4, 8, 12), family=losses), seer, loss, style).judged(photo, painted)
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    ours, target = seer(painted, {*layers, loss.content}), seer(style, layers)
    content = torch.nn.MSELoss()(ours[loss.content], seer(photo, [loss.content])[loss.content])
    grams = 0.0
    for layer in layers:
        n, c, h, w = ours[layer].shape
        flat = ours[layer].reshape(n, c, h * w)
        mine = torch.bmm(flat, flat.transpose(1, 2)) / (c * h * w)
        grams = grams + torch.nn.MSELoss()(mine, gram(target[layer]).expand(n, -1, -1))
    weights = {"pytorch-examples": (1e5, 1e10, 0.0), "jcjohnson": (1.0, 5.0, 1e-6)}[losses]
    pixels = painted * 255
    tv = (pixels[:, :, 1:] - pixels[:, :, :-1]).square().sum() + (pixels[..., 1:] - pixels[..., :-1]).square().sum()
    torch.testing.assert_close(total, weights[0] * content + weights[1] * grams + weights[2] * tv)
    assert set(terms) == {"content", "style", "tv"}


def test_sessions_read_the_network_that_ships_back_exactly(models: Path) -> None:
    net, predictor = session.bundled()
    card, path = catalog.find("pastiche")
    x, vector = torch.rand(1, 3, 48, 64), torch.from_numpy(catalog.vectors("smoke")[1][1:2])
    graph = fast.opened(card, "onnx", None)
    inputs = {"picture": x.numpy(), "vectors": vector.numpy(), "weights": np.ones((1, 1), np.float32)}
    with torch.no_grad():
        np.testing.assert_allclose(graph(inputs)["painting"], net(x, vector).clamp(0, 1).numpy(), atol=2e-3)
    from danqing.engines.predictor import Predictor, given, resized, statistics

    pixels = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    seen = resized(pixels)
    features = Predictor(card)._encoder(seen)
    with torch.no_grad():
        told = predictor(torch.from_numpy(statistics(features))[None])[0].numpy()
    expected = np.concatenate([given(features, seen), told])
    np.testing.assert_allclose(Predictor(card)(seen), expected, atol=0.02)
    assert path.exists()
