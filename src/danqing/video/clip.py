"""Clip: a film as it is read, a frame at a time.

A file or a folder of numbered pictures goes in; frames come out upright, in order, with their exact times, and never
more than a few are in memory. Containers are taken from a list, and nothing but the file itself is opened: a playlist
that calls itself a film is refused. This module knows no painter and no flow.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from danqing import limits
from danqing.errors import BadInput
from danqing.files import shown
from danqing.image import mask
from danqing.image.fit import resize
from danqing.messages import text
from danqing.picture import Picture, formats
from danqing.video.pixels import Colour, Pixels, from_numbers, to_rgb

OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,gif",
    "protocol_whitelist": "file",
}
"""What a film may be, and where it may lead: FFmpeg opens playlists, and what they name, unless it is told."""

RATE = Fraction(25)
"""Frames/s of a folder of pictures, where none is asked for."""

INDEXED = {"mp4", "webm"}
"""Containers that say where their key frames are; others are read from the beginning."""

LEAD = Fraction(1)
"""s before the first frame that is wanted: a key frame is looked for before it, with something to spare."""

HDR = {16: "PQ", 18: "HLG"}
"""Transfer curves of high dynamic range, by their number in H.273."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame.

    Attributes:
        time: when it is shown, in ticks of `Clip.ticks`, from the beginning of the cut.
        span: for how many ticks.
        pixels: as displayed.
        at: s from the beginning of the film.
        again: whether these are the pixels of the frame before.
    """

    time: int
    span: int
    pixels: Pixels
    at: Fraction = Fraction(0)
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which frames of a film are wanted.

    Attributes:
        start, end: s from its beginning; None = to the end.
        every: of so many frames one, which stands until the next.
        fps: frames/s, shown at equal distances; None = as they come.
        size: (width, height) px, as displayed; None = the film's own.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1
    fps: Fraction | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A film that can be read.

    Attributes:
        path: the file or folder.
        size: (width, height) px, as displayed.
        time_base: s a tick.
        rate: frames/s on average.
        frames: how many there are, as well as can be told; None = not at all.
        seconds: how long it lasts, likewise.
        begins: s at which its clock begins.
        depth: bits a channel.
        aspect: width of a pixel for a height of 1, as displayed.
        turned: quarter turns counter-clockwise that bring it upright.
        notes: what had to be decided, a line each.
        pictures: the frames' files, of a folder.
    """

    path: Path
    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    frames: int | None
    seconds: Fraction | None
    begins: Fraction = Fraction(0)
    colour: Colour = field(default_factory=Colour)
    depth: int = 8
    aspect: Fraction = Fraction(1)
    turned: int = 0
    notes: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = field(default=(), repr=False)
    damaged: list[str] = field(default_factory=list, repr=False, compare=False)
    """Filled while frames are read: what could not be."""

    def ticks(self, cut: Cut) -> Fraction:
        """s a tick of the frames' times."""
        return self.time_base if cut.fps is None else 1 / cut.fps

    def expected(self, cut: Cut) -> int | None:
        """How many frames a cut has, as well as can be told."""
        if self.seconds is None:
            return None
        seconds = max(Fraction(0), min(cut.end or self.seconds, self.seconds) - cut.start)
        whole = cut == replace(cut, start=Fraction(0), end=None) and cut.fps is None and self.frames
        count = whole or round(seconds * (cut.fps or self.rate))
        return max(1, -(-int(count) // cut.every))

    def read(self, cut: Cut) -> Generator[Frame]:
        """The frames of a cut, their times counted from its beginning.

        Raises:
            BadInput: there is none, or one that is no picture.
            DoesNotFit: one is larger than the limits allow.
        """
        frames = self._pictures(cut) if self.pictures else self._decoded(cut)
        within = _within(frames, self, cut)
        yield from within if cut.fps is None else _paced(within, self.time_base * cut.fps)

    def _pictures(self, cut: Cut) -> Iterator[Frame]:
        for number, path in enumerate(self.pictures):
            yield Frame(time=number, span=1, pixels=_opened(path, cut.size or self.size))

    def _decoded(self, cut: Cut) -> Iterator[Frame]:
        """Every frame, its time from the beginning of the film."""
        with closing(opened(self.path)) as container:
            stream = picture_stream(container, self.path)
            stream.thread_type = "AUTO"
            begins = round(self.begins / self.time_base)
            usual = max(1, round(1 / self.rate / self.time_base))
            last = None
            if cut.start > LEAD and set(container.format.name.split(",")) & INDEXED:
                container.seek(int((self.begins + cut.start - LEAD) * av.time_base))
            for frame in _frames(container, stream, self):
                limits.check_size((frame.width, frame.height), name=shown(self.path))
                time = last + usual if frame.pts is None and last is not None else (frame.pts or begins) - begins
                time = time if last is None else max(time, last + 1)
                last = time
                yield Frame(time=time, span=int(frame.duration or usual), pixels=self._upright(frame, cut.size))

    def _upright(self, frame: VideoFrame, size: tuple[int, int] | None) -> Pixels:
        width, height = size or self.size
        if self.turned % 2:
            width, height = height, width
        pixels = to_rgb(frame, (width, height), deep=self.depth > 8)
        return np.ascontiguousarray(np.rot90(pixels, self.turned)) if self.turned else pixels


class Beside:
    """Another clip beside a film: the frame of it that is shown at a time of the film. Times only go on.

    Args:
        clip: the other; after its end its last frame stands.
        size: (width, height) px; None = its own.
    """

    def __init__(self, clip: Clip, size: tuple[int, int] | None = None) -> None:
        self._clip, self._frames = clip, clip.read(Cut(size=size))
        self._now = next(self._frames)
        self._coming: Frame | None = self._now

    def at(self, seconds: Fraction) -> Frame:
        """What is shown at so many s, as well as clocks of different ticks agree."""
        time = (seconds + Fraction(1, 2) / self._clip.rate) / self._clip.time_base
        while self._coming is not None and self._coming.time <= time:
            self._now, self._coming = self._coming, next(self._frames, None)
        return self._now

    def close(self) -> None:
        """Let go of the clip."""
        self._frames.close()


def still(clip: Clip, at: Fraction, size: tuple[int, int] | None = None) -> Frame:
    """The frame that is shown at so many s of a clip.

    Raises:
        BadInput: it is over by then.
    """
    with closing(clip.read(Cut(start=at, size=size))) as frames:
        return next(frames)


def _within(frames: Iterator[Frame], clip: Clip, cut: Cut) -> Iterator[Frame]:
    """The frames of a cut between its start and end, each standing until the next that is wanted."""
    start = cut.start / clip.time_base
    end = None if cut.end is None else cut.end / clip.time_base
    origin = None if cut.start else 0
    held: Frame | None = None
    number = 0
    for frame in frames:
        if frame.time + Fraction(frame.span, 2) <= start:
            continue
        if end is not None and frame.time >= end:
            break
        origin = frame.time if origin is None else origin
        shown_at = frame.time - origin
        if held is not None:
            held = replace(held, span=shown_at - held.time)
        if number % cut.every == 0:
            if held is not None:
                yield held
            held = replace(frame, time=shown_at, at=frame.time * clip.time_base)
        elif held is not None:
            held = replace(held, span=held.span + frame.span)
        number += 1
    if held is None or origin is None:
        raise BadInput(text("video.no_frames", name=shown(clip.path)))
    if end is not None:
        held = replace(held, span=max(1, min(held.span, int(end) - origin - held.time)))
    yield held


def _paced(frames: Iterator[Frame], pace: Fraction) -> Iterator[Frame]:
    """Frames at whole ticks: at each the one that is shown then; `pace` is new ticks for an old one."""
    number = 0
    for frame in frames:
        again = False
        while number < (frame.time + frame.span) * pace:
            yield replace(frame, time=number, span=1, again=again)
            number, again = number + 1, True


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def opened(path: Path) -> Any:
    """A film's container.

    Raises:
        BadInput: it cannot be read, or is none of the kinds that are.
    """
    if not path.is_file():
        raise BadInput(text("video.missing", name=shown(path)))
    try:
        return av.open(f"file:{path.absolute()}", options=dict(OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadInput(text("video.bad", name=shown(path), reason=reason(error))) from error


def picture_stream(container: Any, path: Path) -> VideoStream:
    """The stream of a container that is looked at.

    Raises:
        BadInput: there is none.
    """
    cover = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        raise BadInput(text("video.no_picture" if container.streams.audio else "video.no_frames", name=shown(path)))
    best = container.streams.best("video")
    found: VideoStream = best if best in streams else streams[0]
    if found.codec_context is None or not found.codec_context.width:
        raise BadInput(text("video.bad", name=shown(path), reason=text("video.unknown_codec")))
    return found


def load(path: Path, *, fps: Fraction | None = None) -> Clip:
    """A film, or a folder of numbered pictures, looked at.

    Args:
        path: the file or folder.
        fps: frames/s of a folder.

    Raises:
        BadInput: it is no film that can be read, or a folder without pictures.
        DoesNotFit: its frames are larger than the limits allow.
    """
    if path.is_dir():
        return _folder(path, fps or RATE)
    with closing(opened(path)) as container:
        stream = picture_stream(container, path)
        context = stream.codec_context
        limits.check_size((context.width, context.height), name=shown(path))
        first = next(_frames(container, stream, None), None)
        if first is None:
            raise BadInput(text("video.no_frames", name=shown(path)))
        limits.check_size((first.width, first.height), name=shown(path))
        turned = round(first.rotation / 90) % 4
        aspect = stream.sample_aspect_ratio or Fraction(1)
        size = (first.width, first.height)
        rate = stream.guessed_rate or stream.average_rate or RATE
        seconds = _seconds(container, stream)
        depth = max(component.bits for component in first.format.components)
        colour = Colour(
            matrix=first.colorspace,
            range=first.color_range,
            primaries=first.color_primaries,
            transfer=first.color_trc,
        )
        return Clip(
            path=path,
            size=size[::-1] if turned % 2 else size,
            time_base=Fraction(stream.time_base or 1 / rate),
            rate=Fraction(rate),
            frames=stream.frames or (round(seconds * rate) if seconds else None),
            seconds=seconds,
            begins=Fraction(container.start_time or 0, av.time_base),
            colour=colour,
            depth=depth,
            aspect=1 / aspect if turned % 2 and aspect else Fraction(aspect) or Fraction(1),
            turned=turned,
            notes=(text("video.hdr", name=shown(path), curve=HDR[colour.transfer]),) if colour.transfer in HDR else (),
        )


def _seconds(container: Any, stream: VideoStream) -> Fraction | None:
    if stream.duration is not None and stream.time_base is not None:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration else None


def _frames(container: Any, stream: VideoStream, clip: Clip | None) -> Iterator[VideoFrame]:
    """The frames of a stream; what cannot be decoded is passed over, and told in `clip.damaged`."""
    broken, count, reached = 0, 0, False
    try:
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    count += 1
                    yield frame
            except av.error.InvalidDataError:
                broken += 1
        reached = True
    except av.FFmpegError:
        pass  # said below: what can be read is
    if clip is not None and (broken or not reached):
        clip.damaged.append(text("video.damaged", name=shown(clip.path), frames=count))


def _folder(path: Path, fps: Fraction) -> Clip:
    files = [file for file in path.iterdir() if formats.by_suffix(file.name) and not file.name.startswith(".")]
    files.sort(key=lambda file: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)])
    if not files:
        raise BadInput(text("video.no_pictures", name=shown(path)))
    return Clip(
        path=path,
        size=Picture.load(files[0]).size,
        time_base=1 / fps,
        rate=fps,
        frames=len(files),
        seconds=len(files) / fps,
        pictures=tuple(files),
    )


def _opened(path: Path, size: tuple[int, int]) -> Pixels:
    pixels = mask.flatten(Picture.load(path))
    if pixels.shape[1::-1] != size:
        pixels = np.clip(resize(pixels, size), 0, 1)
    return from_numbers(np.array(pixels), deep=False)


def reason(error: Exception) -> str:
    """Why FFmpeg failed, in a few words."""
    return shown(getattr(error, "strerror", None) or str(error).splitlines()[0] or type(error).__name__)
