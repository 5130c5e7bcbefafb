"""Segments: what is painted of a film so far, durable beside it until the film is whole.

Painted frames go in; every so many of them become a file that is there completely or not at all, with their times and
what the painter needs to go on. After whatever ended the process, painting goes on behind the last file, and the film
is the same: each segment is encoded by itself. This module knows no source and no sound.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from danqing import files, machine
from danqing.errors import RunFailed, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.video.clip import reason
from danqing.video.codecs import Writing
from danqing.video.pixels import Colour, Pixels, from_rgb

FRAMES = 100
"""In a segment: what a power cut costs at most, and how far key frames lie apart."""

STOPPED = "stopped.json"
"""What was written of a film that was stopped: the name and sha256 of each file."""

OWN = re.compile(r"\d{6,}\.(mkv|json|npz)|film\.(json|whole)|stopped\.json|film\.lock|\.danqing-.*\.tmp")
"""Names of the files that are kept beside a film until it is whole; nothing else is ever removed."""

CONTAINER = "matroska"
"""What a segment is kept in: it takes every codec, and only tells the order of frames."""

THREADS = 4
"""Of an encoder, whatever the machine: some encode otherwise with more, and a resumed film is to be the same."""

FASTEST = Fraction(500)
"""Frames/s that the encoder is told at most, so that Matroska's milliseconds tell frames apart."""

State = Mapping[str, NDArray[Any]]
"""What a painter carries from one frame to the next, by name."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the frames of a film are encoded, beside the codec.

    Attributes:
        size: (width, height) px of the frames that come.
        rate: frames/s, as far as the encoder has to know.
        colour: matrix and range.
        aspect: width of a pixel for a height of 1.
    """

    size: tuple[int, int]
    rate: Fraction
    colour: Colour
    aspect: Fraction


class Segments:
    """The segments of one film.

    Args:
        folder: where they are kept; made with the first one.
        fingerprint: of everything that decides what the film looks like.
        writing, look: how frames are encoded.

    Attributes:
        times: of every frame that is durable, in ticks.
        spans: for how many ticks each is shown.
    """

    def __init__(self, folder: Path, *, fingerprint: str, writing: Writing, look: Look) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self.writing, self.look = writing, look
        self.times: list[int] = []
        self.spans: list[int] = []
        self.paths: list[Path] = []
        self._open: _Segment | None = None
        self._held = ExitStack()
        self._new = False

    def begin(self, *, resume: bool, overwrite: bool) -> State | None:
        """Take what is there, or begin anew; the painter's state behind the last segment.

        Args:
            resume: go on with what is there.
            overwrite: begin anew; with `resume`, where what is there is of another film.

        Raises:
            UsageError: segments are there and neither is meant, or they are of another film and may not be replaced,
                or somebody else's folder has their name.
            RunFailed: another process paints this film, or the folder cannot be written.
        """
        there, known = self.folder.is_dir(), _told(self.folder / "film.json").get("fingerprint")
        if there and not (resume or overwrite):
            raise UsageError(text("video.unfinished", folder=shown(self.folder)))
        if there and known is None and any(path.name != "film.lock" for path in self.folder.iterdir()):
            raise UsageError(text("video.not_ours", folder=shown(self.folder)))
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise files.write_failure(self.folder, error) from error
        self._held.enter_context(files.lock(self.folder / "film", timeout=0))
        if known is not None and resume:
            if known == self.fingerprint:
                return self._found()
            if not overwrite:
                raise UsageError(text("video.other_film", folder=shown(self.folder)))
        self._new = True
        self._clear()
        with files.atomic_write(self.folder / "film.json", overwrite=True) as stream:
            stream.write(json.dumps({"fingerprint": self.fingerprint}).encode())
        return None

    def _clear(self) -> None:
        """Remove what was kept of a film, but for the lock."""
        for path in self.folder.iterdir():
            if OWN.fullmatch(path.name) and path.name != "film.lock":
                path.unlink(missing_ok=True)

    def _found(self) -> State | None:
        while (about := self._path(len(self.paths)).with_suffix(".json")).is_file():
            told = json.loads(about.read_bytes())
            self._count(about.with_suffix(".mkv"), told["times"], told["spans"])
        if not self.paths:
            return None
        with np.load(self.paths[-1].with_suffix(".npz"), allow_pickle=False) as arrays:
            return dict(arrays)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.mkv"

    def _count(self, path: Path, times: list[int], spans: list[int]) -> None:
        self.paths.append(path)
        self.times += times
        self.spans += spans

    def add(self, pixels: Pixels, time: int, span: int) -> bool:
        """Encode one more frame; whether its segment is full, so that `close` must follow."""
        if self._open is None:
            self._open = _Segment(self._path(len(self.paths)), self.writing, self.look)
        self._open.add(pixels, time, span)
        return len(self._open.times) >= FRAMES

    def close(self, state: State | None = None) -> None:
        """Make the segment at hand durable, with what the painter needs to go on.

        Without a state the segment is the last one of a film that was stopped: whoever resumes paints it again.
        """
        segment, self._open = self._open, None
        if segment is None:
            return
        segment.finish()
        if state is not None:
            with files.atomic_write(segment.path.with_suffix(".npz"), overwrite=True) as stream:
                np.savez(stream, allow_pickle=False, **state)
            about = {"times": segment.times, "spans": segment.spans}
            with files.atomic_write(segment.path.with_suffix(".json"), overwrite=True) as stream:
                stream.write(json.dumps(about).encode())  # the last: where it is, everything is
            if self.paths:
                self.paths[-1].with_suffix(".npz").unlink(missing_ok=True)
        self._count(segment.path, segment.times, segment.spans)

    def packets(self) -> Iterator[list[Any]]:
        """The packets of each segment, in the order of decoding."""
        for path in self.paths:
            with av.open(f"file:{path.absolute()}", format=CONTAINER) as container:
                yield [packet for packet in container.demux(container.streams.video[0]) if packet.size]

    def written(self, path: Path) -> bool:
        """Whether a file is, to the byte, one that an earlier run has written when it was stopped."""
        known = _told(self.folder / STOPPED).get(path.name)
        return known is not None and path.is_file() and files.sha256(path) == known

    def withdraw(self, folder: Path) -> None:
        """Remove the pictures that an earlier run has written when it was stopped, and their folder if that is all."""
        for path in folder.iterdir() if folder.is_dir() else ():
            if self.written(path):
                path.unlink()
        with suppress(OSError):  # there is none, or something else is in it
            folder.rmdir()

    def stop(self, target: Path) -> None:
        """Remember what was written of the film so far, so that the whole one may replace it, and let go."""
        made = target.iterdir() if target.is_dir() else [target]
        with files.atomic_write(self.folder / STOPPED, overwrite=True) as stream:
            stream.write(json.dumps({path.name: files.sha256(path) for path in made}).encode())
        self.leave()

    def leave(self) -> None:
        """Let go of the folder, which stays if anything durable is in it, and of the segment at hand."""
        if self._open is not None:
            self._open.discard()
            self._open = None
        self._held.close()
        if self._new and not self.paths:
            self.remove()

    def remove(self) -> None:
        """The film is whole: the folder goes, unless somebody has put something into it."""
        self._held.close()
        self._clear()
        (self.folder / "film.lock").unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _told(path: Path) -> dict[str, str]:
    """What one of our files says; nothing, if it is not there or none of ours."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


class _Segment:
    """A file of frames on its way to the disk."""

    def __init__(self, path: Path, writing: Writing, look: Look) -> None:
        self.path, self.writing, self.look = path, writing, look
        self.times: list[int] = []
        self.spans: list[int] = []
        self._rate = min(look.rate, FASTEST).limit_denominator(1 << 16)
        self._held = ExitStack()
        with self._failing():
            file = self._held.enter_context(files.atomic_write(path, overwrite=True))
            self._container: Any = av.open(file, "w", format=CONTAINER)
            self._stream = self._encoder()

    def _encoder(self) -> Any:
        codec = self.writing.codec.encoder
        os.environ.setdefault("SVT_LOG", "1")  # else SVT-AV1 tells its settings on stderr
        stream = self._container.add_stream(codec, rate=self._rate, options=self.writing.options)
        stream.width, stream.height = self.writing.size(self.look.size)
        stream.pix_fmt = self.writing.format
        context = stream.codec_context
        context.thread_count = THREADS
        context.sample_aspect_ratio = self.look.aspect
        if self.writing.format.startswith("yuv"):
            colour = self.look.colour.encoded(self.look.size)
            context.colorspace, context.color_range = colour.matrix, 2 if colour.range == 2 else 1
            context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        return stream

    def add(self, pixels: Pixels, time: int, span: int) -> None:
        """Encode a frame."""
        width, height = self.writing.size(self.look.size)
        missing = (height - pixels.shape[0], width - pixels.shape[1])
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        frame = from_rgb(pixels, self.writing.format, self.look.colour)
        frame.pts, frame.time_base = len(self.times), 1 / self._rate
        with self._failing():
            self._container.mux(self._stream.encode(frame))
        if not self.times:  # the first frame opens the encoder
            machine.usual_priority()
        self.times.append(time)
        self.spans.append(span)

    def finish(self) -> None:
        """Encode what the encoder still holds, and give the file its name."""
        with self._failing():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._held.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong is told in a line, and no part of the file stays.

        Raises:
            RunFailed: the disk or the encoder failed.
        """
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            self.discard(error)
            if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
                raise files.write_failure(self.path, error) from error
            codec = self.writing.codec.encoder
            raise RunFailed(text("video.encoder", codec=codec, reason=reason(error))) from error

    def discard(self, error: BaseException | None = None) -> None:
        """Leave nothing behind."""
        error = error or GeneratorExit()
        with suppress(BaseException):  # the file's own error, once more
            self._held.__exit__(type(error), error, error.__traceback__)
