"""Masks on their way from files to the engine: what is painted where, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import danqing
from danqing.errors import UsageError
from danqing.files import sha256
from danqing.picture import Picture
from danqing.recipe import FROM_MEMORY
from danqing.style import Style
from tests.fake_engine import FakeStylizer

pytestmark = pytest.mark.usefixtures("gallery")


def left(path: Path, size: tuple[int, int] = (48, 32), *, white: int = 255, **more: object) -> Path:
    """A mask whose left half is white."""
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    pixels[:, : size[0] // 2] = white
    Image.fromarray(pixels).save(path, **more)
    return path


def masks_seen() -> list[np.ndarray | None]:
    return [style.mask for style in FakeStylizer.calls[-1].styles]


def test_each_mask_goes_to_its_style_at_the_size_of_the_painting(photo: Path, tmp_path: Path) -> None:
    mask = left(tmp_path / "遮罩.png", (96, 64))
    danqing.paint(photo, ["great-wave", "starry-night"], masks=[None, mask], size=24, steps=1)
    first, second = masks_seen()
    assert second.shape == (16, 24)
    assert second[:, :10].min() > 0.99
    assert second[:, 14:].max() < 0.01
    np.testing.assert_array_equal(first, 1 - second)


def test_what_is_transparent_in_a_mask_is_black(photo: Path, tmp_path: Path) -> None:
    pixels = np.full((32, 48, 4), 255, dtype=np.uint8)
    pixels[:, 24:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    danqing.paint(photo, "great-wave", masks=[tmp_path / "mask.png"], steps=1)
    np.testing.assert_array_equal(masks_seen()[0][0], np.repeat([1, 0], 24))


def test_a_mask_turns_as_its_exif_says(photo: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3  # upside down: the white half is on the right
    mask = left(tmp_path / "mask.png", exif=exif)
    danqing.paint(photo, "great-wave", masks=[mask], steps=1)
    np.testing.assert_array_equal(masks_seen()[0][0], np.repeat([0, 1], 24))


def test_protect_is_taken_out_of_every_mask(photo: Path, tmp_path: Path) -> None:
    protect = left(tmp_path / "protect.png")
    upper = np.zeros((32, 48), dtype=np.float32)
    upper[:16] = 1
    styles = [Style(source="great-wave", name="great-wave", mask=upper), "starry-night"]
    danqing.paint(photo, styles, protect=protect, steps=1)
    first, second = masks_seen()
    assert first[:, :24].max() == second[:, :24].max() == 0
    assert first[:16, 24:].min() == second[16:, 24:].min() == 1
    assert first[16:].max() == second[:16].max() == 0


@pytest.mark.parametrize("how", ["luminance", "moments", "coral", "histogram"])
def test_the_photo_stays_where_nothing_is_painted_also_after_its_colours(photo: Path, tmp_path: Path, how: str) -> None:
    protect = left(tmp_path / "protect.png")
    painted = danqing.paint(photo, "great-wave", protect=protect, keep_color=how, steps=1).picture.pixels
    own = Picture.load(photo).pixels
    np.testing.assert_array_equal(painted[:, :24], own[:, :24])
    assert np.abs(painted[:, 24:] - own[:, 24:]).mean() > 0.01


def test_a_recipe_finds_its_masks_again(photo: Path, tmp_path: Path) -> None:
    mask, protect = left(tmp_path / "mask.png"), left(tmp_path / "protect.png", white=128)
    first = danqing.paint(photo, "great-wave", masks=[mask], protect=protect, steps=2)
    assert first.recipe.styles[0].mask.sha256 == sha256(mask)
    assert first.recipe.protect.sha256 == sha256(protect)
    first.save(tmp_path / "out.png")
    assert danqing.redo(tmp_path / "out.png").identical
    other = danqing.paint(photo, "great-wave", masks=[protect], protect=protect, steps=2)
    assert other.recipe.fingerprint() != first.recipe.fingerprint()


def test_a_mask_from_memory_is_said_to_be_one(photo: Path) -> None:
    style = Style(source="great-wave", name="great-wave", mask=np.ones((8, 8), dtype=np.float32))
    assert danqing.paint(photo, style, steps=1).recipe.styles[0].mask.name == FROM_MEMORY


def test_square_takes_the_middle_of_photo_style_and_mask(photo: Path, tmp_path: Path) -> None:
    mask = left(tmp_path / "mask.png")
    painted = danqing.paint(photo, "great-wave", masks=[mask], square=True, steps=1)
    assert painted.picture.size == (32, 32)
    np.testing.assert_array_equal(FakeStylizer.calls[-1].content.pixels, Picture.load(photo).pixels[:, 8:40])
    np.testing.assert_array_equal(masks_seen()[0][0], np.repeat([1, 0], 16))


def test_masks_that_leave_nothing_are_refused(photo: Path, tmp_path: Path) -> None:
    black, white = left(tmp_path / "黑.png", white=0), tmp_path / "white.png"
    Image.new("L", (48, 32), 255).save(white)
    with pytest.raises(UsageError, match=r"黑\.png"):
        danqing.paint(photo, "great-wave", masks=[black], steps=1)
    with pytest.raises(UsageError, match="nothing to paint"):
        danqing.paint(photo, "great-wave", protect=white, steps=1)
    with pytest.raises(UsageError, match="2 masks for 1 styles"):
        danqing.paint(photo, "great-wave", masks=[white, white], steps=1)
    bad = Style(source="great-wave", name="great-wave", mask=np.full((4, 4), np.nan, dtype=np.float32))
    with pytest.raises(UsageError, match="finite"):
        danqing.paint(photo, bad, steps=1)


def test_a_mask_of_other_proportions_is_noted(photo: Path, tmp_path: Path) -> None:
    odd = left(tmp_path / "odd.png", (40, 40))
    notes = danqing.prepare(photo, "great-wave", masks=[odd]).notes
    assert any("odd.png" in note and "40 x 40" in note for note in notes)
    assert not danqing.prepare(photo, "great-wave", masks=[left(tmp_path / "even.png", (96, 64))]).notes
