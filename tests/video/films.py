"""Films made by the tests: every frame drawn, every time chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (64, 48)
TICKS = Fraction(1, 12800)
FRAME = 512  # ticks: 25 frames/s


def texture(size: tuple[int, int] = SIZE, *, seed: int = 0, cell: int = 8) -> NDArray[np.uint8]:
    """Soft coloured noise, (H, W, 3), in which flow can be found."""
    width, height = size
    small = np.random.default_rng(seed).integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def panned(count: int, size: tuple[int, int] = SIZE, *, step: int = 2, seed: int = 0) -> list[NDArray[np.uint8]]:
    """So many views of a large texture, each `step` px further to the right."""
    wide = texture((size[0] + step * count, size[1]), seed=seed)
    return [np.ascontiguousarray(wide[:, step * n : step * n + size[0]]) for n in range(count)]


def tone(seconds: float) -> Any:
    """A hum of so many seconds, as one frame of sound."""
    wave = np.sin(np.arange(int(48000 * seconds)) * 0.05).astype(np.float32)[None] * 0.3
    frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
    frame.rate, frame.pts = 48000, 0
    return frame


def film(
    path: Path,
    frames: Sequence[NDArray[Any]],
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    format: str = "yuv444p",
    sound: str | None = None,
    colour: tuple[int, int] = (1, 1),
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Write a film; its frames are shown at `times` (in `TICKS`), else 25 times a second."""
    times = times or [FRAME * number for number in range(len(frames))]
    settings = options if options is not None else {"crf": "4", "preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=settings)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = format
        stream.codec_context.time_base = stream.time_base = TICKS
        stream.codec_context.colorspace, stream.codec_context.color_range = colour
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        out.metadata.update(metadata or {})
        heard = out.add_stream(sound, rate=48000, layout="mono") if sound else None
        for pixels, time in zip(frames, times, strict=True):
            given = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, given)
            frame = frame.reformat(format=format, dst_colorspace=colour[0], dst_color_range=colour[1])
            frame.colorspace, frame.color_range = colour
            frame.pts, frame.time_base = time, TICKS
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if heard is not None:
            out.mux(heard.encode(tone(max(times) * float(TICKS) + 0.04)))
            out.mux(heard.encode(None))
    return path


def seen(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    """Each frame of a film with its time in s."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(frame.pts * stream.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]


def heard(path: Path) -> list[tuple[Fraction, bytes]]:
    """Each packet of a film's sound with its time in s."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def left_behind(folder: Path) -> Iterator[Path]:
    """What a run should not have left in a folder."""
    return (path for path in folder.rglob("*") if path.name.endswith((".tmp", ".parts", ".whole")))
