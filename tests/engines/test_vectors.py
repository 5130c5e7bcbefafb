"""Style vectors: of gallery names, of pictures, of both together; and how pictures' vectors are remembered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from danqing import api, catalog
from danqing.engines import vectors
from danqing.engines.predictor import LONG, Predictor, resized
from danqing.errors import ModelMissing
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style

pytest.importorskip("torch", reason="torch is not installed: no network can be published")


F32 = np.float32


@pytest.fixture(autouse=True)
def nothing_remembered(bundled: None) -> None:
    vectors._memory.clear()


def picture(seed: int = 0, *, height: int = 72, width: int = 96) -> Picture:
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8, width // 8, 3), dtype=F32)
    return Picture(pixels=np.kron(coarse, np.ones((8, 8, 1), F32)))


def style(source: Picture | str, weight: float = 1) -> Style:
    return Style(source=source, name=str(id(source)), weight=weight)


def test_a_picture_has_the_vector_that_is_predicted_of_it() -> None:
    card, found = vectors.of([style(picture())], Recipe())
    assert card.name == "pastiche" and found is not None
    np.testing.assert_array_equal(found, Predictor(card)(resized(picture().pixels))[None])


def test_names_and_pictures_are_mixed() -> None:
    _, both = vectors.of([style(picture()), style("reeds")], Recipe())
    _, reeds = catalog.vectors("reeds")
    assert both is not None and reeds is not None
    np.testing.assert_array_equal(both[1], reeds[1])
    photo = picture(1)
    whole = [api.paint(photo, one, size=96).picture.pixels for one in (picture(), "reeds")]
    mixed = api.paint(photo, [style(picture(), 0.5), style("reeds", 0.5)], size=96)
    assert mixed.recipe.engine == "fast"
    assert min(np.abs(mixed.picture.pixels - other).mean() for other in whole) > 1e-3


def test_a_broad_brush_sees_a_picture_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Predictor, "__call__", lambda self, pixels: seen.append(pixels.shape[:2]) or np.zeros(9, F32))
    large = picture(height=384, width=512)
    for knobs in ({"brush": 0.0}, {}, {"brush": 1.0}, {"style_scale": 0.5}, {"style_scale": 9.0}):
        vectors.of([style(large)], Recipe(**knobs))  # type: ignore[arg-type]
    assert seen == [(192, 256), (384, LONG), (768, 2 * LONG)], "two are as before and remembered"


def test_what_was_predicted_is_remembered_in_memory_and_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = vectors.of([style(picture())], Recipe())
    monkeypatch.setattr(Predictor, "__init__", lambda *_: pytest.fail("predicted again"))
    vectors._predictor.cache_clear()
    _, again = vectors.of([style(picture())], Recipe())
    vectors._memory.clear()
    _, later = vectors.of([style(picture())], Recipe())
    assert first is not None
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(later, first)


def test_a_damaged_memory_is_no_memory() -> None:
    _, first = vectors.of([style(picture())], Recipe())
    (kept,) = (catalog.home() / "vectors").iterdir()
    kept.write_bytes(kept.read_bytes()[:-8])
    vectors._memory.clear()
    _, again = vectors.of([style(picture())], Recipe())
    np.testing.assert_array_equal(again, first)


def test_transparent_styles_and_tiny_ones_are_looked_at() -> None:
    whole = picture()
    half = Picture(pixels=whole.pixels, alpha=np.linspace(0, 1, 96, dtype=F32) * np.ones((72, 1), F32))
    seen = [vectors.of([style(one)], Recipe())[1] for one in (whole, half)]
    assert np.abs(seen[0] - seen[1]).max() > 1e-3
    for one in (Picture(pixels=np.full((1, 1, 3), 0.5, F32)), picture(height=8, width=800)):
        _, found = vectors.of([style(one)], Recipe())
        assert np.isfinite(found).all()


def test_without_the_network_pictures_are_painted_the_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in catalog.MODELS.glob("compact.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(catalog, "MODELS", tmp_path)
    with pytest.raises(ModelMissing, match="the network that paints like pictures is not here"):
        api.prepare(picture(), picture(1), engine="fast")
    assert api.prepare(picture(), picture(1)).recipe.engine == "optimize"
