"""Reading: every kind of source, every mode by its written rule, orientation, EXIF, profiles."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from danqing.errors import BadPicture, DoesNotFit
from danqing.picture import Picture, exif, profile

from .corpus import floats, palette_transparent, pillow, png, valid

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def deep_png(values: np.ndarray, colour: int, extra: bytes = b"") -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], bits=16, colour=colour, raw=rows, extra=extra)


def close(got: np.ndarray, wanted: np.ndarray, by: float = 1e-6) -> bool:
    return got.shape == wanted.shape and bool(np.abs(got - wanted).max() <= by)


# Sources


def test_every_kind_of_source_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "照片 一.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    with path.open("rb") as stream:
        sources = [path, str(path), path.read_bytes(), stream, Image.fromarray(RGB), RGB, RGB / 255.0]
        sources += [(RGB / np.float32(255)).astype(np.float32), RGB.astype(np.uint16) * 257, Picture.load(RGB)]
        for source in sources:
            assert close(Picture.load(source).pixels, RGB / np.float32(255))


def test_arrays_of_grey_and_with_alpha() -> None:
    assert close(Picture.load(RGB[..., 0]).pixels, np.repeat(RGB[..., :1], 3, -1) / np.float32(255))
    picture = Picture.load(DEEP)
    assert close(picture.pixels, DEEP[..., :3] / np.float32(65535))
    assert picture.alpha is not None
    assert close(picture.alpha, DEEP[..., 3] / np.float32(65535))
    assert Picture.load(np.full((2, 2, 4), 255, np.uint8)).alpha is None


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2, 5)), np.zeros(4), np.zeros((0, 3, 3)), np.full((2, 2), 1.5), np.full((2, 2), np.nan)]
)
def test_arrays_that_are_no_pictures(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"array|floats"):
        Picture.load(array)
    with pytest.raises(TypeError):
        Picture.load(np.zeros((2, 2), dtype=np.int64))


def test_what_is_not_there(tmp_path: Path) -> None:
    for source, key in ((tmp_path / "没有.jpg", "not there"), (tmp_path, "folder")):
        with pytest.raises(BadPicture, match=key) as caught:
            Picture.load(source)
        assert str(source) in str(caught.value)


def test_a_name_cannot_break_the_line() -> None:
    with pytest.raises(BadPicture) as caught:
        Picture.load(b"", name="a\nb\x1b[31m图.png")
    assert str(caught.value).isprintable()
    assert "图.png" in str(caught.value)


def test_size_is_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    data = valid("WEBP")
    monkeypatch.setattr(Image.Image, "load", refuse)
    with pytest.raises(DoesNotFit, match="96 x 64"):
        Picture.load(data, name="大.webp", max_pixels=96 * 64 - 1)


def test_pillow_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    Picture.load(valid("PNG"))
    with pytest.raises(BadPicture):
        Picture.load(valid("TIFF")[:200])
    assert before == Image.MAX_IMAGE_PIXELS


# Modes


def test_grey_one_bit_and_alpha() -> None:
    image = Image.fromarray(RGB).convert("L")
    assert close(Picture.load(encoded(image)).pixels[..., 1], np.asarray(image) / np.float32(255))
    one = Picture.load(encoded(image.convert("1"))).pixels
    assert set(np.unique(one)) <= {0.0, 1.0}
    image.putalpha(Image.fromarray(RGB[..., 2]))
    grey = Picture.load(encoded(image))
    assert grey.alpha is not None
    assert close(grey.alpha, RGB[..., 2] / np.float32(255))


def test_transparent_entry_of_a_palette() -> None:
    data = palette_transparent()
    image = Image.open(io.BytesIO(data))
    picture = Picture.load(data)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, np.asarray(image) == 3)


def test_transparent_colour_of_rgb() -> None:
    colour = tuple(int(v) for v in RGB[2, 3])
    picture = Picture.load(encoded(Image.fromarray(RGB), transparency=colour))
    assert picture.alpha is not None
    assert picture.alpha[2, 3] == 0
    assert picture.alpha.sum() == 34


@pytest.mark.parametrize(("colour", "channels"), [(0, [0]), (2, [0, 1, 2]), (4, [0, 3]), (6, [0, 1, 2, 3])])
def test_16_bit_png_is_read_at_16_bits(colour: int, channels: list[int]) -> None:
    picture = Picture.load(deep_png(DEEP[..., channels], colour))
    wanted = DEEP[..., [0, 0, 0]] if len(channels) < 3 else DEEP[..., :3]
    assert close(picture.pixels, wanted / np.float32(65535), 1e-7)
    if 3 in channels:
        assert picture.alpha is not None
        assert close(picture.alpha, DEEP[..., 3] / np.float32(65535), 1e-7)


def test_16_bit_transparent_colour_is_compared_at_16_bits() -> None:
    from .corpus import chunk

    values = DEEP[..., :3].copy()
    values[0, 1] = values[0, 0] ^ np.array([1, 0, 0], np.uint16)  # differs in the lowest bit alone
    trns = chunk(b"tRNS", values[0, 0].astype(">u2").tobytes())
    picture = Picture.load(deep_png(values, 2, trns))
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0
    assert picture.alpha[0, 1] == 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_tiff_against_tifffile(order: str, compression: str | None) -> None:
    tifffile = pytest.importorskip("tifffile")
    for values, wanted in ((DEEP[..., :3], DEEP[..., :3]), (DEEP[..., 0], DEEP[..., [0, 0, 0]])):
        out = io.BytesIO()
        kind = "rgb" if values.ndim == 3 else "minisblack"
        tifffile.imwrite(out, values, photometric=kind, byteorder=order, compression=compression)
        assert close(Picture.load(out.getvalue()).pixels, wanted / np.float32(65535), 1e-7)


def test_16_bit_planes_apart_are_refused() -> None:
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, DEEP[..., :3].transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    with pytest.raises(BadPicture, match="variety"):
        Picture.load(out.getvalue())


def test_cmyk_without_a_profile() -> None:
    image = Image.fromarray(np.array([[[0, 128, 255, 64]]], np.uint8), "CMYK")
    picture = Picture.load(encoded(image, "TIFF"))
    wanted = [(1 - c / 255) * (1 - 64 / 255) for c in (0, 128, 255)]
    assert np.abs(picture.pixels[0, 0] - wanted).max() < 1.5 / 255
    assert len(picture.notes) == 1


def test_lab_against_the_formula() -> None:
    # L* 50, a* 40, b* -30 under D50 -> XYZ (CIE 15) -> linear sRGB -> sRGB.
    image = Image.frombytes("LAB", (1, 1), bytes([round(50 * 2.55), 40, 256 - 30]))
    fy = (50 + 16) / 116
    f = np.array([fy + 40 / 500, fy, fy + 30 / 200])
    xyz = np.array([0.9642, 1, 0.8249]) * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    wanted = profile.encode(np.linalg.inv(profile.SRGB_TO_XYZ) @ xyz)
    assert np.abs(Picture.load(encoded(image, "TIFF")).pixels[0, 0] - wanted).max() < 2 / 255


def test_whole_numbers_of_32_bits() -> None:
    inside = np.array([[0, 32768, 65535]], np.int32)
    picture = Picture.load(Image.fromarray(inside))
    assert close(picture.pixels[..., 0], inside.astype(np.float32) / 65535)
    assert picture.notes == ()
    beyond = Picture.load(encoded(Image.fromarray(np.array([[-100, 0, 900]], np.int32)), "TIFF"))
    assert close(beyond.pixels[0, :, 0], np.array([0, 0.1, 1], np.float32))
    assert "-100" in beyond.notes[0]


def test_floats() -> None:
    inside = Picture.load(floats(0, 0.25, 0.5, 1)())
    assert close(inside.pixels[..., 0], np.array([[0, 0.25], [0.5, 1]], np.float32))
    assert inside.notes == ()
    broken = Picture.load(floats(float("nan"), float("inf"), float("-inf"), 4, 2, 1)())
    assert close(broken.pixels[..., 0].ravel(), np.array([0, 1, 0.25, 1, 0.5, 0.25], np.float32))
    assert len(broken.notes) == 2
    flat = Picture.load(floats(7, 7)())
    assert close(flat.pixels, np.ones((2, 1, 3), np.float32))


# Orientation, EXIF


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_against_pillow(value: int, kind: str) -> None:
    tags = Image.Exif()
    tags[exif.ORIENTATION] = value
    y, x = np.mgrid[0:48, 0:64]
    image = Image.fromarray(np.stack([x * 4, y * 5, x + y], -1).astype(np.uint8))
    data = encoded(image, kind, exif=tags.tobytes())
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")) / np.float32(255)
    picture = Picture.load(data)
    assert close(picture.pixels, upright)
    assert picture.size == ((48, 64) if value > 4 else (64, 48))
    assert picture.exif is None or exif.parse(picture.exif).orientation == 1


@pytest.mark.parametrize(
    "entry",
    [
        exif.Entry(3, 1, b"\x63\0"),
        exif.Entry(3, 1, b"\0\0"),
        exif.Entry(3, 2, b"\6\0\6\0"),
        exif.Entry(2, 2, b"6\0"),
        exif.Entry(8, 1, b"\xff\xff"),
    ],
)
def test_orientation_that_is_none_is_ignored(entry: exif.Entry) -> None:
    block = exif.Block(tags={exif.ORIENTATION: entry})
    assert exif.parse(block.tobytes()).orientation == 1
    assert close(Picture.load(encoded(Image.fromarray(RGB), exif=block.tobytes())).pixels, RGB / np.float32(255))


def with_exif(kind: str = "JPEG") -> bytes:
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    tags[0x013B] = "Artist"
    tags[exif.EXIF_IFD] = {0x829A: 0.01, 0xA002: 999, exif.MAKER_NOTE: b"secret of the maker"}
    tags[exif.GPS_IFD] = {1: "N", 2: (30.0, 15.0, 0.0)}
    return encoded(Image.fromarray(RGB), kind, exif=tags.tobytes())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_exif_is_kept_without_gps(kind: str) -> None:
    data = Picture.load(with_exif(kind)).exif
    assert data is not None
    kept = exif.parse(data)
    assert kept.tags[0x010F].data == b"Maker\0"
    assert kept.tags[0x013B].data == b"Artist\0"
    assert set(kept.details) == {0x829A, exif.MAKER_NOTE}
    assert kept.details[exif.MAKER_NOTE].data == b"secret of the maker"
    assert not kept.gps
    assert set(kept.tags) == {0x010F, 0x013B}
    asked = Picture.load(with_exif(kind), keep_gps=True).exif
    assert asked is not None
    assert exif.parse(asked).gps[1].data == b"N\0"
    # Pillow, which knows nothing of this module, reads the same.
    tags = Image.Exif()
    tags.load(asked)
    assert tags[0x010F] == "Maker"
    assert float(tags.get_ifd(exif.EXIF_IFD)[0x829A]) == pytest.approx(0.01)
    assert tags.get_ifd(exif.GPS_IFD)[2] == (30.0, 15.0, 0.0)


def test_thumbnail_is_dropped() -> None:
    thumbnail = encoded(Image.new("RGB", (8, 8), "red"), "JPEG")
    head = b"II*\0\x08\0\0\0" + b"\1\0" + b"\x0f\1\2\0\4\0\0\0abc\0" + b"\x1a\0\0\0"
    head += b"\2\0" + b"\1\2\4\0\1\0\0\0" + (56).to_bytes(4, "little")
    head += b"\2\2\4\0\1\0\0\0" + len(thumbnail).to_bytes(4, "little") + bytes(4)
    block = b"Exif\0\0" + head + thumbnail
    data = encoded(Image.fromarray(RGB), "JPEG", exif=block)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.IFD1)  # it was there
    kept = Picture.load(data).exif
    assert kept is not None
    assert thumbnail[:40] not in kept
    assert exif.parse(kept).tags[0x010F].data == b"abc\0"


def test_an_opening_that_is_repeated_without_end_costs_no_time() -> None:
    block = exif.Block(tags={0x013B: exif.Entry(2, 2, b"a\0")}).tobytes()
    begun = time.monotonic()
    assert exif.parse(b"Exif\0\0" * 300_000 + block).tags[0x013B].data == b"a\0"
    assert time.monotonic() - begun < 2


def test_broken_exif_is_left_out() -> None:
    block = b"Exif\0\0XX*\0\x08\0\0\0\xff\xff" + bytes(9)
    picture = Picture.load(encoded(Image.fromarray(RGB), "PNG", exif=block))
    assert picture.exif is None
    assert len(picture.notes) == 1


# Profiles


def p3() -> bytes:
    """Display P3 as matrix and curve: primaries of DCI-P3 under D50, sRGB's curve."""
    made = bytearray(profile.srgb())
    columns = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    for n in range(int.from_bytes(made[128:132], "big")):
        at = 132 + 12 * n
        if (name := bytes(made[at : at + 4])) in columns:
            offset = int.from_bytes(made[at + 4 : at + 8], "big")
            for k, v in enumerate(columns[name]):
                made[offset + 8 + 4 * k : offset + 12 + 4 * k] = round(v * 65536).to_bytes(4, "big", signed=True)
    return bytes(made)


def test_a_thousand_tags_that_cover_the_whole_profile_take_no_memory() -> None:
    tags = b"".join(struct.pack(">4sII", b"%04d" % number, 1, 1_000_000) for number in range(1000))
    made = (profile.srgb()[:128] + struct.pack(">I", 1000) + tags).ljust(1_000_000, b"\0")
    tracemalloc.start()
    try:
        assert profile.read_matrix(made) is None
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_profiles_of_8_bits_go_through_littlecms() -> None:
    picture = Picture.load(encoded(Image.fromarray(RGB), icc_profile=p3()))
    wanted = ImageCms.profileToProfile(
        Image.fromarray(RGB), ImageCms.ImageCmsProfile(io.BytesIO(p3())), ImageCms.createProfile("sRGB"), 1
    )
    assert np.abs(picture.pixels - np.asarray(wanted) / 255).max() <= 1.01 / 255
    assert np.abs(picture.pixels - RGB / 255).max() > 10 / 255
    assert picture.icc == p3()


def test_profiles_of_16_bits_agree_with_littlecms() -> None:
    values = RNG.integers(0, 65536, (40, 40, 3), dtype=np.uint16)
    got = profile.to_srgb_array((values / 65535).astype(np.float32), p3())
    eight = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    wanted = np.asarray(profile.to_srgb_image(eight, p3())) / 255
    assert np.abs(got - wanted).max() < 6 / 255  # near black, a step of 8 bits is several of the result
    assert np.abs(got - wanted).mean() < 0.5 / 255


def test_profile_of_16_bit_file_is_applied_at_16_bits() -> None:
    ramp = np.zeros((1, 2000, 3), np.uint16)
    ramp[0, :, :] = np.linspace(20000, 24000, 2000, dtype=np.uint16)[:, None]
    ramp[..., 0] += 3000
    import zlib

    from .corpus import chunk

    data = deep_png(ramp, 2, chunk(b"iCCP", b"p\0\0" + zlib.compress(p3())))
    assert len(np.unique(Picture.load(data).pixels[0, :, 1])) > 1500


def test_srgb_changes_nothing() -> None:
    for icc in (profile.srgb(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        picture = Picture.load(encoded(Image.fromarray(RGB), icc_profile=icc))
        assert close(picture.pixels, RGB / np.float32(255), 0)
        assert picture.icc is None
        assert picture.notes == ()


def test_broken_or_unfitting_profile_is_noted() -> None:
    for icc in (b"nothing", profile.srgb()[:200], b"\0" * 400):
        picture = Picture.load(encoded(Image.fromarray(RGB), icc_profile=icc))
        assert close(picture.pixels, RGB / np.float32(255))
        assert len(picture.notes) == 1
        deep = Picture.load(pillow("CMYK", "JPEG", icc_profile=icc)())
        assert len(deep.notes) == 1


def test_first_of_several_is_noted() -> None:
    from .corpus import animated

    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        picture = Picture.load(animated(kind, 3)())
        assert len(picture.notes) == 1
        assert np.abs(picture.pixels[0, 0] - [0, 1, 90 / 255]).max() < 0.04
