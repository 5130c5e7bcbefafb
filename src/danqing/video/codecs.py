"""Codecs and containers: what films are written as.

A file's ending, a codec's name, a quality and a depth go in; a `Writing` comes out, which says how frames are encoded.
What has no sound and is no stream of its own (GIF, WebP, a folder of pictures) is kept without loss first and encoded
at the end. This module knows no film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from danqing import machine
from danqing.errors import UsageError
from danqing.files import shown
from danqing.messages import text

SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Containers with sound, by ending: as FFmpeg names them."""

PLAIN = {".gif": "gif", ".webp": "webp", "": "folder"}
"""What is written without sound, from frames without loss."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A codec that films are written with.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        formats: pixel format by bits a channel.
        containers: where it may stand.
        crf: the quality that is taken where none is asked for, lower is better; None = it has none.
        worst: the largest of those numbers.
        options: for the encoder.
        even: whether both sides must be even.
    """

    encoder: str
    formats: Mapping[int, str]
    containers: tuple[str, ...]
    crf: int | None = None
    worst: int = 51
    options: Mapping[str, str]
    even: bool = True


_BRIEF = "trellis=0:subme=1:partitions=i8x8,i4x4"
"""For x264: a frame of strokes, which nothing predicts well, is not worth a long search (docs/experiments.md)."""

CODECS: Mapping[str, Codec] = {
    "h264": Codec(
        encoder="libx264",
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=("mp4", "mov", "matroska"),
        crf=17,
        options={"preset": "veryfast", "x264-params": _BRIEF},
    ),
    "hevc": Codec(
        encoder="libx265",
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=("mp4", "mov", "matroska"),
        crf=21,
        options={"preset": "fast", "x265-params": "log-level=none:frame-threads=2"},
    ),
    "vp9": Codec(
        encoder="libvpx-vp9",
        formats={8: "yuv420p"},
        containers=("webm", "matroska", "mp4"),
        crf=28,
        worst=63,
        options={"b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
        even=False,
    ),
    "av1": Codec(
        encoder="libsvtav1",
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=("webm", "matroska", "mp4"),
        crf=28,
        worst=63,
        options={"preset": "9"},
    ),
    "prores": Codec(
        encoder="prores_ks", formats={10: "yuv422p10le"}, containers=("mov", "matroska"), options={"profile": "hq"}
    ),
    "ffv1": Codec(encoder="ffv1", formats={8: "bgr0"}, containers=("matroska",), options={"level": "3"}, even=False),
}
"""Codecs by the name that `--codec` knows."""

LOSSLESS = CODECS["ffv1"]


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a film is written.

    Attributes:
        container: as FFmpeg names it, `gif`, `webp` or `folder`.
        codec: of its segments.
        crf: the quality.
        depth: bits a channel.
    """

    container: str
    codec: Codec
    crf: int | None
    depth: int

    @property
    def plain(self) -> bool:
        """Whether it is encoded at the end, without sound."""
        return self.container in PLAIN.values()

    @property
    def format(self) -> str:
        """The pixel format of the segments."""
        return self.codec.formats[self.depth]

    @property
    def options(self) -> dict[str, str]:
        """The encoder's options."""
        options = dict(self.codec.options) | ({} if self.crf is None else {"crf": str(self.crf)})
        if self.codec.encoder == "libx264" and "avx512f" in machine.features():
            options["x264-params"] += ":asm=AVX2"  # with AVX-512 it now and then encodes the same frames otherwise
        return options

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size in px at which frames of a size are encoded: a side that must be even gets one px more."""
        return (size[0] + size[0] % 2, size[1] + size[1] % 2) if self.codec.even else size


def writing(target: Path, *, codec: str | None = None, crf: int | None = None, depth: int | None = None) -> Writing:
    """How a film is written to a path.

    Raises:
        UsageError: films are not written so; all that is wrong with the codec, its quality and its depth in one line.
    """
    ending = target.suffix.lower()
    if ending in PLAIN:
        if codec is not None or crf is not None or depth not in (None, 8):
            raise UsageError(text("video.no_codec", path=shown(target)))
        return Writing(container=PLAIN[ending], codec=LOSSLESS, crf=None, depth=8)
    if ending not in SUFFIXES:
        known = " ".join([*SUFFIXES, *filter(None, PLAIN)])
        raise UsageError(text("video.unknown_ending", path=shown(target), known=known))
    container = SUFFIXES[ending]
    name = codec or next(name for name, known in CODECS.items() if container in known.containers)
    if name not in CODECS:
        raise UsageError(text("video.unknown_codec_name", codec=shown(name), known=", ".join(CODECS)))
    found = CODECS[name]
    if container not in found.containers:
        fitting = ", ".join(other for other, known in CODECS.items() if container in known.containers)
        raise UsageError(text("video.codec_container", codec=name, ending=ending, known=fitting))
    if crf is not None and (found.crf is None or not 0 <= crf <= found.worst):
        worst = found.worst if found.crf is not None else "-"
        raise UsageError(text("video.crf", codec=name, crf=crf, worst=worst))
    chosen = depth or min(found.formats)
    if chosen not in found.formats:
        depths = ", ".join(map(str, found.formats))
        raise UsageError(text("video.depth", codec=name, depth=chosen, known=depths))
    return Writing(container=container, codec=found, crf=found.crf if crf is None else crf, depth=chosen)
