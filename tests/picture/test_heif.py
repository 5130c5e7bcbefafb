"""HEIC: decoded in a process that can be killed, or one line."""

from __future__ import annotations

import importlib.util
import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from danqing import limits
from danqing.errors import BadPicture, DoesNotFit
from danqing.picture import Picture, exif, heif

HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadPicture, match=r"danqing\[heif\]"):
        Picture.load(HEAD, name="照片.heic")


def child(tmp_path: Path, code: str) -> Path:
    script = tmp_path / "child.py"
    script.write_text(code)
    return script


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


@pytest.mark.usefixtures("installed")
def test_a_decoder_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F10."""
    monkeypatch.setattr(heif, "CHILD", child(tmp_path, "import time\ntime.sleep(60)\n"))
    monkeypatch.setattr(limits, "DECODER_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(BadPicture, match=r"照片.*0\.5 s"):
        Picture.load(HEAD, name="照片.heic")
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "code",
    [
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV if os.name == 'posix' else signal.SIGTERM)\n",
        "import os\nos._exit(1)\n",
        "print('not an answer at all')\n",
        "import sys\nsys.stdout.buffer.write(b'\\xff\\xff\\xff\\x7f{}')\n",
        "import sys, json, struct\n"
        "h = json.dumps({'size': [9999, 9999], 'channels': 3, 'bits': 8, 'icc': 0, 'exif': 0}).encode()\n"
        "sys.stdout.buffer.write(struct.pack('<I', len(h)) + h)\n",
    ],
)
def test_a_decoder_that_crashes_or_lies(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "CHILD", child(tmp_path, code))
    with pytest.raises(BadPicture, match="damaged"):
        Picture.load(HEAD, name="照片.heic")


class TestWithTheExtra:
    """What needs pillow-heif to be there."""

    @staticmethod
    def heic(image: Image.Image, **options: object) -> bytes:
        pillow_heif = pytest.importorskip("pillow_heif")
        out = io.BytesIO()
        pillow_heif.from_pillow(image).save(out, quality=95, **options)
        return out.getvalue()

    @staticmethod
    def image() -> Image.Image:
        y, x = np.mgrid[0:48, 0:64]
        return Image.fromarray(np.stack([x * 4, y * 5, 255 - x - y], -1).astype(np.uint8))

    def test_decodes(self, tmp_path: Path) -> None:
        path = tmp_path / "照片.heic"
        tags = Image.Exif()
        tags[0x010F] = "Maker"
        tags[exif.GPS_IFD] = {1: "N"}
        image = self.image()
        path.write_bytes(self.heic(image, exif=tags.tobytes()))
        picture = Picture.load(path)
        assert np.abs(picture.pixels - np.asarray(image) / 255).mean() < 2 / 255
        assert picture.exif is not None
        assert exif.parse(picture.exif).tags[0x010F].data == b"Maker\0"
        assert not exif.parse(picture.exif).gps

    def test_alpha(self) -> None:
        image = self.image()
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        picture = Picture.load(self.heic(image))
        assert picture.alpha is not None
        assert np.abs(picture.alpha - np.asarray(image.getchannel("A")) / 255).mean() < 3 / 255

    def test_more_than_8_bits(self) -> None:
        pillow_heif = pytest.importorskip("pillow_heif")
        ramp = np.tile(np.linspace(0, 65535, 256, dtype=np.uint16)[None, :, None], (16, 1, 3))
        out = io.BytesIO()
        pillow_heif.encode("RGB;16", (256, 16), ramp.tobytes(), out, quality=100)
        picture = Picture.load(out.getvalue())
        assert np.abs(picture.pixels - ramp / 65535).max() < 6 / 1023
        eighths = picture.pixels * 255
        assert np.abs(eighths - np.rint(eighths)).max() > 0.1

    def test_too_large(self) -> None:
        with pytest.raises(DoesNotFit, match="64 x 48"):
            Picture.load(self.heic(self.image()), max_pixels=1000)

    def test_damaged(self) -> None:
        data = self.heic(self.image())
        with pytest.raises(BadPicture, match="cut off"):
            Picture.load(data[: len(data) // 2])
        with pytest.raises(BadPicture, match="damaged"):
            Picture.load(data[:40] + bytes(len(data) - 40))
