"""Writing: every format, what it keeps, and nothing half-written."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from danqing.errors import DanqingError, DoesNotFit, RunFailed, UsageError
from danqing.picture import Picture, exif, formats, png, profile
from danqing.picture.save import target_format

RECIPE = 'version = 1\nstyles = [{ name = "星夜 ✨" }]\n'
ARTIST = exif.Entry(2, 7, "画家".encode() + b"\0")
EXPOSURE = exif.Entry(5, 1, bytes([0, 0, 0, 1, 0, 0, 0, 100]))
HOLDERS = [f for f in formats.WRITTEN if formats.FORMATS[f].recipe]
LOSSLESS = ("PNG", "TIFF", "BMP")


def smooth(width: int = 64, height: int = 48) -> Picture:
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    return Picture(pixels=np.stack([x, y, 1 - (x + y) / 2], -1).astype(np.float32))


def shaded() -> Picture:
    picture = smooth()
    alpha = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    return dataclasses.replace(picture, alpha=alpha)


def tagged() -> bytes:
    block = exif.Block(">")
    block.tags[0x013B] = ARTIST
    block.details[0x829A] = EXPOSURE
    block.interop[1] = exif.Entry(2, 4, b"R98\0")
    return block.tobytes()


@pytest.mark.parametrize("name", formats.WRITTEN)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    picture = smooth()
    for suffix in formats.FORMATS[name].suffixes:
        path = tmp_path / f"画 一{suffix.upper()}"
        assert picture.save(path, quality=95) == path
        back = Picture.load(path)
        assert Image.open(path).format == name
        assert np.abs(back.pixels - picture.pixels).max() <= (0.501 / 255 if name in LOSSLESS else 16 / 255)
        assert back.alpha is None
        assert back.notes == ()
    assert sorted(os.listdir(tmp_path)) == sorted(f"画 一{s.upper()}" for s in formats.FORMATS[name].suffixes)  # noqa: PTH208


@pytest.mark.parametrize("name", formats.WRITTEN)
def test_alpha(name: str, tmp_path: Path) -> None:
    picture = shaded()
    assert picture.alpha is not None
    path = picture.save(tmp_path / "透明", format=name, quality=95)
    back = Picture.load(path)
    if formats.FORMATS[name].alpha:
        assert back.alpha is not None
        assert np.abs(back.alpha - (picture.alpha >= 0.5 if name == "GIF" else picture.alpha)).max() < 0.03
    else:
        assert back.alpha is None
        cover = picture.alpha[..., None]
        assert np.abs(back.pixels - (picture.pixels * cover + 1 - cover)).max() < 16 / 255


@pytest.mark.parametrize("name", [f for f in formats.WRITTEN if formats.FORMATS[f].deep])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bits_exactly(name: str, alpha: bool) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (130, 33, 4 if alpha else 3), dtype=np.uint16)
    values[:40] = np.arange(40 * 33).reshape(40, 33, 1)  # smooth parts take other filters than noise
    out = io.BytesIO()
    Picture.load(values).save(out, format=name, depth=16)
    back = Picture.load(out.getvalue())
    assert np.array_equal(np.rint(back.pixels * 65535), values[..., :3])
    if alpha:
        assert back.alpha is not None
        assert np.array_equal(np.rint(back.alpha * 65535), values[..., 3])


@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_tiff_against_tifffile(alpha: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(1).integers(0, 65536, (700, 90, 4 if alpha else 3), dtype=np.uint16)
    out = io.BytesIO()
    Picture.load(values).save(out, format="tiff", depth=16, recipe=RECIPE)
    out.seek(0)
    with tifffile.TiffFile(out) as file:
        page = file.pages[0]
        assert page.predictor == 2
        rows = [
            zlib.decompress(out.getvalue()[a : a + n])
            for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        differences = np.frombuffer(b"".join(rows), "<u2").reshape(values.shape)
        assert np.array_equal(np.cumsum(differences, axis=1, dtype=np.uint16), values)
        assert page.bitspersample == 16
        assert len(page.dataoffsets) > 1


def test_16_bit_png_against_its_own_filters() -> None:
    """Undo the filters by the standard's formulas, a byte at a time."""
    values = np.random.default_rng(2).integers(0, 65536, (70, 3, 3), dtype=np.uint16)
    values[:30, :, :] = 77
    values[30:60] = np.arange(90).reshape(30, 3, 1) * 500
    data = png.encode16(values)
    body = b"".join(c for k, c in png._chunks(data) if k == b"IDAT")
    raw, step, row = zlib.decompress(body), 6, 18
    above, used = [0] * row, set()
    for y in range(70):
        kind, line = raw[y * 19], list(raw[y * 19 + 1 : y * 19 + 19])
        used.add(kind)
        for i in range(row):
            a, b, c = (line[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
            p = a + b - c
            paeth = min((a, b, c), key=lambda v: abs(p - v))
            line[i] = (line[i] + {1: a, 2: b, 4: paeth}[kind]) & 255
        assert bytes(line) == values[y].astype(">u2").tobytes()
        above = line
    assert len(used) > 1


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("block", [None, tagged()])
def test_exif_profile_and_recipe(name: str, block: bytes | None, tmp_path: Path) -> None:
    from danqing.picture.provenance import read_recipe

    picture = dataclasses.replace(smooth(), exif=block)
    path = tmp_path / "带配方的画"
    picture.save(path, format=name, recipe=RECIPE)
    assert read_recipe(path) == RECIPE
    assert Image.open(path).info["icc_profile"] == profile.srgb()
    back = Picture.load(path)
    assert back.pixels.shape == picture.pixels.shape
    if block:
        assert back.exif is not None
        kept = exif.parse(back.exif)
        assert (kept.order, kept.details) == (">", {0x829A: EXPOSURE})
        assert kept.tags[0x013B] == ARTIST
        assert kept.interop[1].data == b"R98\0"
        assert set(kept.tags) - {0x011A, 0x011B, 0x0128} == {0x013B}  # TIFF always states a resolution
    # The next painting does not inherit the recipe of this one.
    back.save(path, format=name, overwrite=True)
    assert read_recipe(path) is None


def test_the_recipe_in_exif_is_text_of_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    smooth().save(path, recipe=RECIPE)
    comment = Image.open(path).getexif().get_ifd(exif.EXIF_IFD)[exif.USER_COMMENT]
    assert comment.startswith(b"UNICODE\0")
    assert "星夜 ✨" in comment[8:].decode("utf-16-le" if Image.open(path).getexif().endian == "<" else "utf-16-be")
    block = Image.open(path).info["exif"]
    assert (0x9286).to_bytes(2, "little") + exif.UNDEFINED.to_bytes(2, "little") in block


@pytest.mark.parametrize("name", ["BMP", "GIF"])
def test_formats_without_a_place_for_it_hold_no_recipe(name: str) -> None:
    from danqing.picture.provenance import read

    out = io.BytesIO()
    smooth().save(out, format=name, recipe=RECIPE)
    assert read(out.getvalue()) is None


def test_no_recipe_where_there_is_none() -> None:
    from danqing.picture.provenance import read

    for data in (b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0" + bytes(40)):
        assert read(data) is None
    for more in (b"", b"\0", b"\0\0", b"\0\0\0"):  # a chunk that ends behind its name
        assert read(png.encode16(np.zeros((1, 1, 3), np.uint16), [(b"iTXt", b"danqing:recipe\0" + more)])) is None
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "JPEG", exif=exif_comment(b"ASCII\0\0\0danqing:recipe\nhello"))
    assert read(out.getvalue()) is None


def exif_comment(comment: bytes) -> bytes:
    tags = Image.Exif()
    tags[exif.EXIF_IFD] = {exif.USER_COMMENT: comment}
    return tags.tobytes()


def test_jpeg_metadata_that_is_too_long_gives_way_in_order() -> None:
    from danqing.picture.provenance import read

    for note, artist, kept in ((70_000, 10, True), (10, 70_000, False)):
        tags = Image.Exif()
        tags[0x013B] = "a" * artist
        tags[exif.EXIF_IFD] = {exif.MAKER_NOTE: b"m" * note}
        out = io.BytesIO()
        dataclasses.replace(smooth(), exif=tags.tobytes()).save(out, format="jpeg", recipe=RECIPE)
        assert read(out.getvalue()) == RECIPE
        back = Picture.load(out.getvalue()).exif
        assert (back is not None and 0x013B in exif.parse(back).tags) is kept
    with pytest.raises(RunFailed, match="recipe"):
        smooth().save(io.BytesIO(), format="jpeg", recipe="x" * 70_000)


def test_same_picture_same_bytes() -> None:
    for name in formats.WRITTEN:
        one, two = io.BytesIO(), io.BytesIO()
        smooth().save(one, format=name, recipe=RECIPE)
        smooth().save(two, format=name, recipe=RECIPE)
        assert one.getvalue() == two.getvalue()


@pytest.mark.parametrize(("quality", "layers"), [(90, (1, 1)), (89, (2, 2))])
def test_jpeg_keeps_full_colour_from_90(quality: int, layers: tuple[int, int]) -> None:
    out = io.BytesIO()
    smooth().save(out, format="jpeg", quality=quality)
    image = Image.open(out)
    assert image.info["progressive"]
    assert image.layer[0][1:3] == layers


@pytest.mark.parametrize(("quality", "deviation"), [(90, 25), (94, 15), (100, 15), (100, 200)])
def test_grainy_jpegs_are_larger_than_pillow_expects(
    quality: int, deviation: int, capfd: pytest.CaptureFixture[str]
) -> None:
    grain = np.random.default_rng(0).normal(0.5, deviation / 255, (320, 320, 3)).astype(np.float32)
    before = ImageFile.MAXBLOCK
    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda _: as_jpeg(Picture(pixels=grain), quality=quality), range(8)))
    assert len(set(written)) == 1
    image = Image.open(io.BytesIO(written[0]))
    assert image.size == (320, 320) and image.info["progressive"]
    assert capfd.readouterr().err == ""
    assert before == ImageFile.MAXBLOCK


def as_jpeg(picture: Picture, *, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, format="jpeg", quality=quality)
    return out.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("name", formats.WRITTEN)
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random((size[1], size[0], 3)).astype(np.float32)
    out = io.BytesIO()
    Picture.load(noise).save(out, format=name, quality=100, recipe=RECIPE)
    assert Picture.load(out.getvalue()).size == size


# What is refused


def test_unknown_endings_are_refused_with_the_list(tmp_path: Path) -> None:
    for name in ("画.xyz", "画", "画.heic", "画.svg"):
        with pytest.raises(UsageError, match=r"\.jpg.*\.png.*\.avif"):
            smooth().save(tmp_path / name)
    with pytest.raises(UsageError, match=r"JPEG.*PNG"):
        smooth().save(io.BytesIO())
    with pytest.raises(UsageError, match="xyz"):
        target_format(None, format="xyz")
    assert not list(tmp_path.iterdir())


def test_16_bits_where_there_are_none(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp", ".bmp", ".gif", ".avif"):
        with pytest.raises(UsageError, match="16"):
            smooth().save(tmp_path / f"画{suffix}", depth=16)


def test_edges_beyond_the_format(tmp_path: Path) -> None:
    wide = Picture(pixels=np.zeros((1, 16_384, 3), np.float32))
    with pytest.raises(DoesNotFit, match="16383"):
        wide.save(tmp_path / "长卷.webp")
    with pytest.raises(DoesNotFit, match=r"长卷\.webp.*16383"):
        target_format(tmp_path / "长卷.webp", size=wide.size)
    target_format(tmp_path / "长卷.webp", size=(1, 16_383))
    wide.save(tmp_path / "长卷.png")
    assert [p.name for p in tmp_path.iterdir()] == ["长卷.png"]


def test_never_replaces_without_being_told(tmp_path: Path) -> None:
    path = tmp_path / "画.png"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="overwrite"):
        smooth().save(path)
    assert path.read_bytes() == b"mine"
    smooth().save(path, overwrite=True)
    assert Picture.load(path).size == (64, 48)
    assert len(list(tmp_path.iterdir())) == 1


def test_pixels_that_are_no_numbers(tmp_path: Path) -> None:
    bad = smooth().pixels.copy()
    bad[3, 4, 1] = np.nan
    with pytest.raises(RunFailed, match="NaN"):
        Picture(pixels=bad).save(tmp_path / "画.png")
    assert not list(tmp_path.iterdir())


def test_a_failing_encoder_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("encoder error -2")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(RunFailed, match=r"画\.jpg.*encoder error"):
        smooth().save(tmp_path / "画.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp", ".gif", ".avif"])
def test_disk_that_takes_no_more(suffix: str, tmp_path: Path) -> None:
    """F4: a file may not grow beyond 4 kB; one line that names the path, no part of a file."""
    noise = Picture.load(np.random.default_rng(0).random((80, 80, 3)))
    path = tmp_path / f"满{suffix}"
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(RunFailed, match=f"满{suffix}") as caught:
            noise.save(path, quality=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_device() -> None:
    with pytest.raises(RunFailed, match=r"/dev/full.*full"):
        smooth().save("/dev/full", format="png")
    assert Path("/dev/full").is_char_device()


def test_folder_missing_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "没有" / "画.png", tmp_path / "file" / "画.png"):
        with pytest.raises(DanqingError, match="no folder"):
            smooth().save(path)


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    """F18: eight processes write one name over and over while it is read; every reading is a whole picture."""
    path = tmp_path / "画.png"
    smooth().save(path)
    code = (
        "import sys, numpy as np\nfrom danqing.picture import Picture\n"
        "p = Picture.load(np.random.default_rng(int(sys.argv[2])).random((90, 90, 3)))\n"
        "for _ in range(5): p.save(sys.argv[1], overwrite=True)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(8)]
    while any(w.poll() is None for w in writers):
        assert Picture.load(path).size in ((64, 48), (90, 90))
    assert [w.returncode for w in writers] == [0] * 8
    assert [p.name for p in tmp_path.iterdir()] == ["画.png"]
