"""The fast engine with a network of drawn weights: sizes, mixtures, strength, masks, runtimes, errors."""

from __future__ import annotations

import locale
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from danqing import api, catalog
from danqing.engines import fast, vectors
from danqing.engines.grain import grained
from danqing.engines.predictor import given, resized, statistics
from danqing.errors import DanqingError, ModelMissing, UsageError
from danqing.image.fit import resize
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style

torch = pytest.importorskip("torch", reason="torch is not installed: no network can be published")

from tests.pastiches import drawn, published  # noqa: E402

F32 = np.float32
needs_openvino = pytest.mark.skipif(fast.find_spec("openvino") is None, reason="openvino is not installed")


pytestmark = pytest.mark.usefixtures("bundled")


def photo(height: int = 40, width: int = 56, *, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8 + 2, width // 8 + 2, 3), dtype=F32)
    return Picture(pixels=np.kron(coarse, np.ones((8, 8, 1), F32))[:height, :width])


def painted(picture: Picture, *styles: Style, **knobs: object) -> np.ndarray:
    return fast.FastStylizer(runtime="onnx")(picture, styles, Recipe(**knobs)).picture.pixels  # type: ignore[arg-type]


SHIPPED = catalog.MODELS / "pastiche.toml"
WAVE = Style(source="great-wave", name="great-wave")
REEDS, SMOKE = (Style(source=name, name=name) for name in ("reeds", "smoke"))


@pytest.mark.parametrize("size", [(16, 16), (40, 56), (41, 57), (17, 200), (64, 31)])
def test_a_painting_has_the_size_of_the_photo(size: tuple[int, int]) -> None:
    found = painted(photo(*size), REEDS)
    assert found.shape == (*size, 3)
    assert found.dtype == F32
    assert found.min() >= 0 and found.max() <= 1


def test_it_paints_what_the_network_paints_in_torch() -> None:
    net, _ = drawn()
    picture = photo(48, 64)
    card, rows = catalog.vectors("reeds")
    assert card.parity["painting"] <= 2e-3
    x = torch.from_numpy(grained(picture.pixels, 1).transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        expected = net(x, torch.from_numpy(rows[1:2])).clamp(0, 1)[0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(painted(picture, REEDS), expected, atol=4e-3)  # weights are stored in float16


@needs_openvino
def test_openvino_paints_the_same() -> None:
    picture = photo(48, 64)
    expected = painted(picture, REEDS)
    session = fast.openvino.Session(fast.onnx.read(catalog.find("pastiche")[1]), name="pastiche", half=False)
    card, rows = catalog.vectors("reeds")
    found = fast.run(session, card, grained(picture.pixels, 1), rows[1:2], np.ones(1, F32))
    assert np.abs(found - expected).max() <= 2e-3
    whole = fast.FastStylizer(runtime="openvino")(picture, (REEDS,), Recipe()).picture.pixels
    assert -10 * np.log10(np.square(whole - expected).mean()) >= 38
    assert any((catalog.home() / "compiled").iterdir())


@pytest.mark.parametrize("family", ["pytorch-examples", "jcjohnson"])
def test_a_network_of_one_style_paints(family: str) -> None:
    from danqing.atelier.nets.johnson import Johnson
    from danqing.atelier.train import publish
    from tests.pastiches import STYLES

    torch.manual_seed(0)
    net = Johnson((4, 8, 12), family=family).half().float().eval()
    folder = catalog.home() / "models" / "classic"
    folder.mkdir(parents=True)
    style = STYLES[0].model_copy(update={"name": "classic"})
    publish.johnson(net, [style], folder, name="classic", origin="a test", teacher="none", data="none")
    picture = photo(50, 71)
    found = painted(picture, Style(source="classic", name="classic"))
    assert found.shape == picture.pixels.shape
    half = painted(picture, Style(source="classic", name="classic"), strength=0.5)
    np.testing.assert_allclose(half, (found + picture.pixels) / 2, atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnx", pytest.param("openvino", marks=needs_openvino)])
def test_several_pictures_at_once_are_painted_as_one_by_one(runtime: str) -> None:
    pictures = [photo(48, 64, seed=seed) for seed in range(3)]
    card, rows = catalog.vectors("smoke")
    net = fast.opened(card, runtime, None)
    batch = np.stack([grained(picture.pixels, 1).transpose(2, 0, 1) for picture in pictures])
    found = net({"picture": batch, "vectors": rows[1:2], "weights": np.ones((1, 1), F32)})["painting"]
    for one, picture in zip(found, pictures, strict=True):
        alone = fast.run(net, card, grained(picture.pixels, 1), rows[1:2], np.ones(1, F32))
        np.testing.assert_allclose(one.transpose(1, 2, 0), alone, atol=1e-4)


@pytest.mark.parametrize("runtime", ["onnx", pytest.param("openvino", marks=needs_openvino)])
def test_several_threads_paint_side_by_side_what_one_paints(runtime: str) -> None:
    pictures = [photo(48, 64, seed=seed) for seed in range(6)]
    stylizer, alone = (fast.FastStylizer(runtime=runtime, threads=2, at_once=count) for count in (2, 1))
    opened, before = fast._opened.cache_info().misses, locale.setlocale(locale.LC_CTYPE)
    with ThreadPoolExecutor(3) as pool:  # more than it was opened for: one waits
        found = list(pool.map(lambda one: stylizer(one, (REEDS,), Recipe()).picture.pixels, pictures))
    assert fast._opened.cache_info().misses == opened + 1
    assert locale.setlocale(locale.LC_CTYPE) == before  # which OpenVINO changes while it compiles
    for one, picture in zip(found, pictures, strict=True):
        np.testing.assert_allclose(one, alone(picture, (REEDS,), Recipe()).picture.pixels, atol=1e-3)


def test_only_as_many_are_painted_side_by_side_as_fit() -> None:
    size, each = (1000, 500), 500_000 * fast.BYTES_PER_PIXEL
    fit = {
        n: fast.FastStylizer(at_once=2, memory=int(fast.BASE_BYTES + n * each)).abreast(size) for n in (0.5, 1, 2, 9)
    }
    assert fit == {0.5: 1, 1: 1, 2: 2, 9: 2}
    assert fast.FastStylizer(at_once=3).abreast(size) == 3 and fast.FastStylizer(memory=10**12).abreast(size) == 1


def test_weights_mix_vectors() -> None:
    picture = photo()
    both = [painted(picture, Style(source="reeds", name="r", weight=w), SMOKE) for w in (1e-6, 1, 1e6)]
    np.testing.assert_allclose(both[0], painted(picture, SMOKE), atol=1e-3)
    np.testing.assert_allclose(both[2], painted(picture, REEDS), atol=1e-3)
    assert min(np.abs(both[1] - both[0]).mean(), np.abs(both[1] - both[2]).mean()) > 1e-3


def test_strength_leads_from_the_photo_to_the_painting() -> None:
    picture = photo()
    np.testing.assert_array_equal(painted(picture, REEDS, strength=0), picture.pixels)
    card, rows = catalog.vectors("reeds")
    net, own = fast.opened(card, "onnx", None), vectors.predictor(card)(resized(picture.pixels))
    mixed = {
        strength: fast.run(
            net,
            card,
            grained(picture.pixels, strength),
            (strength * rows[1] + (1 - strength) * own)[None],
            np.ones(1, F32),
        )
        for strength in (0.1, 0.6, 1)
    }
    np.testing.assert_allclose(painted(picture, REEDS, strength=0.6), mixed[0.6], atol=1e-4)
    np.testing.assert_allclose(painted(picture, REEDS), mixed[1], atol=1e-4)
    np.testing.assert_allclose(painted(picture, REEDS, strength=0.1), (mixed[0.1] + picture.pixels) / 2, atol=1e-4)


def test_the_brush_chooses_among_three_vectors() -> None:
    _, rows = catalog.vectors("reeds")
    for brush, expected in ((0, rows[0]), (0.5, rows[1]), (1, rows[2]), (0.25, (rows[0] + rows[1]) / 2)):
        np.testing.assert_allclose(vectors.at_brush(rows, brush, 1), expected, atol=1e-6)
    np.testing.assert_allclose(vectors.at_brush(rows, 0.5, 2), rows[2], atol=1e-6)
    np.testing.assert_allclose(vectors.at_brush(rows, 0.5, 9), rows[2], atol=1e-6)


def test_a_broad_brush_begins_large_pictures_small() -> None:
    assert fast.beginning((8000, 6000), 1) == (1024, 768)
    assert fast.beginning((6000, 8000), 0.75) == (2147, 2862)  # half of the way, in octaves
    for size, brush in (((8000, 6000), 0.5), ((8000, 6000), 0.2), ((1024, 700), 1), ((1500, 900), 1)):
        assert fast.beginning(size, brush) is None


@pytest.mark.skipif(not SHIPPED.exists(), reason="no network comes along")
def test_with_a_broad_brush_a_large_painting_looks_like_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MODELS", SHIPPED.parent)
    monkeypatch.setattr(fast, "LOOK", 96)
    large = photo(288, 384)
    small = Picture(pixels=resize(large.pixels, (96, 72)).clip(0, 1))
    wanted, broad, fine = (painted(one, WAVE, brush=b) for one, b in ((small, 1.0), (large, 1.0), (large, 0.5)))
    away = [np.abs(resize(one, (96, 72)) - wanted).mean() for one in (broad, fine)]
    assert away[0] < 0.7 * away[1]
    sharp = [np.abs(np.diff(one, axis=1)).max(axis=1).mean() for one in (broad, resize(wanted, (384, 288)))]
    assert sharp[0] > 1.3 * sharp[1], "more than enlarged"


def test_a_broad_brush_leaves_the_photo_where_nothing_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "LOOK", 32)
    picture = photo(64, 96)
    left = np.zeros((64, 96), F32)
    left[:, :40] = 1
    half = painted(picture, Style(source="reeds", name="r", mask=left), brush=1.0)
    np.testing.assert_array_equal(half[:, 40:], picture.pixels[:, 40:])
    assert np.abs(half[:, :40] - picture.pixels[:, :40]).mean() > 0.02
    away = [np.abs(painted(picture, REEDS, brush=1.0, strength=s) - picture.pixels).mean() for s in (0.01, 0.3, 1)]
    assert away[0] < 0.02 < min(away[1:])  # a drawn network need not be furthest from the photo at full strength


def test_masks_say_where() -> None:
    picture = photo(40, 56)
    left = np.zeros((40, 56), F32)
    left[:, :28] = 1
    found = painted(picture, Style(source="reeds", name="r", mask=left), Style(source="smoke", name="s"))
    np.testing.assert_allclose(found[:, :28], painted(picture, REEDS)[:, :28], atol=1e-5)
    np.testing.assert_allclose(found[:, 28:], painted(picture, SMOKE)[:, 28:], atol=1e-5)
    alone = painted(picture, Style(source="reeds", name="r", mask=left))
    np.testing.assert_allclose(alone[:, 28:], picture.pixels[:, 28:], atol=1e-5)


def test_a_name_of_the_gallery_is_painted_at_once_and_a_knob_of_the_other_engine_asks_for_it() -> None:
    order = api.prepare(photo(), "reeds")
    assert order.recipe.engine == "fast"
    pastiche = order.paint()
    assert pastiche.card.name == "pastiche"
    assert 'engine = "fast"' in pastiche.embedded_recipe()
    with pytest.raises(UsageError, match="not the picture"):
        api.prepare(photo(), "reeds", steps=5)  # the other engine, which has nothing to learn from
    with pytest.raises(UsageError, match="steps, start"):
        api.prepare(photo(), "reeds", engine="fast", steps=5, start="noise")
    with pytest.raises(UsageError, match="optimize has no --runtime"):
        api.prepare(photo(), photo(seed=1), engine="optimize", runtime="onnx")


def test_unknown_runtimes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no runtime tensorrt"):
        api.prepare(photo(), "reeds", runtime="tensorrt")
    monkeypatch.setattr(fast, "find_spec", lambda name: None)
    with pytest.raises(ModelMissing, match=r'pip install "danqing\[openvino\]"'):
        api.prepare(photo(), "reeds", runtime="openvino")


def test_one_picture_does_not_pay_for_a_compilation_that_many_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_work", fast._Work())
    monkeypatch.setattr(fast.machine, "has_bf16", lambda: True)
    monkeypatch.setattr(fast, "find_spec", lambda name: object())
    assert [fast.chosen("auto", 2_000_000) for _ in range(7)] == ["onnx"] * 6 + ["openvino"]
    told = [fast.suited(int(fast.MANY) + more, each=int(fast.LARGE)) for more in (0, 1)]
    assert told == ["onnx", "openvino"]  # told at once
    assert fast.suited(10**9, each=256 * 256) == fast.chosen("auto", 256 * 256) == "onnx"
    assert [fast.chosen("onnx", 10**9), fast.chosen("openvino", 1)] == ["onnx", "openvino"]
    monkeypatch.setattr(fast.machine, "has_bf16", lambda: False)
    assert fast.chosen("auto", 10**9) == "onnx"


def test_styles_of_two_networks_are_not_mixed() -> None:
    published(catalog.home() / "models" / "own", seed=5, name="own", prefix="my-")
    assert [entry.name for entry in catalog.styles() if entry.network] == ["reeds", "smoke", "my-reeds", "my-smoke"]
    assert api.paint(photo(), "my-smoke").card.name == "own"
    with pytest.raises(UsageError, match="belong to different networks"):
        api.paint(photo(), ["reeds", "my-smoke"])
    assert api.paint(photo(), "my-smoke", strength=0.5).card.name == "own"


@pytest.mark.parametrize("file", ["pastiche.onnx", "pastiche.safetensors", "pastiche-predictor.onnx"])
@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_damaged_files_are_one_line(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    path = tmp_path / "models" / file
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:-9] + b"\0" * 9)
    monkeypatch.setattr(catalog, "MODELS", tmp_path / "models")
    fast._opened.cache_clear()
    vectors._predictor.cache_clear()
    with pytest.raises(DanqingError) as caught:
        api.paint(photo(), "reeds", strength=0.5)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5


def test_the_predictor_sees_what_torch_sees() -> None:
    from danqing.atelier.nets import predictor

    features = {layer: np.random.default_rng(1).random((1, 6, 5, 4), dtype=F32) for layer in predictor.LAYERS}
    tensors = {layer: torch.from_numpy(value) for layer, value in features.items()}
    arrays = {layer: value[0] for layer, value in features.items()}
    np.testing.assert_allclose(statistics(arrays), predictor.statistics(tensors)[0].numpy(), atol=1e-5)
    picture = photo()
    expected = predictor.given(tensors, torch.from_numpy(picture.pixels.transpose(2, 0, 1).copy())[None])
    np.testing.assert_allclose(given(arrays, picture.pixels), expected[0].numpy(), atol=1e-5)
