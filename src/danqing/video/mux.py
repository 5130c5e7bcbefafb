"""Mux: from painted segments and the film that they were painted from to the finished film.

Packets go in and out: pictures come from the segments, sound and subtitles from the source, packet by packet as they
are; only sound that the new container cannot hold is encoded again. What has no sound (GIF, WebP, a folder of pictures)
is encoded here, from segments without loss. This module knows no painter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from danqing import files
from danqing.errors import RunFailed
from danqing.messages import text
from danqing.picture import Picture
from danqing.video import clip
from danqing.video.clip import reason
from danqing.video.segments import CONTAINER, Segments

PLACES = ("location", "com.apple.quicktime.location", "xyz")
"""How the names of notes begin that say where a film was made."""

KEPT = ("title", "artist", "comment", "date", "creation_time", "description", "copyright", "album", "genre", "language")
"""Notes of a film that its painting keeps, besides where it was made if that is asked for."""

FINE = "240000"
"""Ticks/s of an mp4's own clock, by which sound and pictures are moved against each other; FFmpeg's own is 1000."""

UNPLAYED = {"mp4": {"vorbis"}, "mov": {"vorbis"}}
"""What FFmpeg would put into a container and few players play there."""

SOUND = {"webm": "libopus"}
SOUND_ELSE = "aac"
"""What sound is encoded with that a container cannot hold."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a film brings along besides its pictures.

    Attributes:
        path: of the film; None where it is a folder of pictures.
        begins: s on its own clock that are the beginning of the painted film.
        keep_gps: whether it may say where it was made.
    """

    path: Path | None
    begins: Fraction
    keep_gps: bool = False


def assemble(
    segments: Segments,
    source: Source,
    target: Path,
    *,
    ticks: Fraction,
    overwrite: bool,
    on_work: Callable[[], object] | None = None,
) -> list[str]:
    """Write the film; a line for everything that it could not take along.

    Args:
        segments: at least one.
        source: whose sound, subtitles and notes it gets.
        target: gets its name only when all is done.
        ticks: s a tick of the segments' times.
        overwrite: whether a file of that name may be replaced.
        on_work: called for every frame that is encoded here, which takes its time.

    Raises:
        UsageError: the name is taken.
        RunFailed: the disk or an encoder failed.
    """
    writing = segments.writing
    if writing.container == "folder":
        _pictures(_frames(segments, on_work), segments, target)
        return _without_sound(source)
    whole = segments.folder / "film.whole"
    try:
        if writing.plain:
            _animation(_frames(segments, on_work), segments, whole, ticks)
            notes = _without_sound(source)
        else:
            notes = _film(segments, source, whole, ticks)
    except (av.FFmpegError, OSError, ValueError) as error:
        whole.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            raise files.write_failure(target, error) from error
        raise RunFailed(text("video.encoder", codec=writing.container, reason=reason(error))) from error
    with files.atomic_write(target, overwrite=overwrite) as out, whole.open("rb") as there:
        while block := there.read(1 << 20):
            out.write(block)
    whole.unlink()
    return notes


def _film(segments: Segments, source: Source, target: Path, ticks: Fraction) -> list[str]:
    writing = segments.writing
    options = {"movflags": "+faststart", "movie_timescale": FINE} if writing.container in ("mp4", "mov") else {}
    with ExitStack() as held:
        first = held.enter_context(av.open(f"file:{segments.paths[0].absolute()}", format=CONTAINER))
        out = held.enter_context(av.open(f"file:{target.absolute()}", "w", format=writing.container, options=options))
        stream = out.add_stream_from_template(first.streams.video[0], opaque=True)
        stream.time_base = ticks
        length = (segments.times[-1] + segments.spans[-1]) * ticks
        sound: Iterator[tuple[Fraction, Any]] = iter(())
        notes: list[str] = []
        if source.path is not None:
            container = held.enter_context(closing(clip.opened(source.path)))
            out.metadata.update(kept(container.metadata, keep_gps=source.keep_gps))
            along = Along(container, out, source.begins, length)
            notes, sound = along.notes, along.packets()
            out.set_chapters(along.chapters())
        pictures = ((packet.dts * ticks, packet) for packet in _timed(segments, stream, ticks))
        for _, packet in heapq.merge(pictures, sound, key=lambda entry: entry[0]):
            out.mux(packet)
    return notes


def _timed(segments: Segments, stream: Any, ticks: Fraction) -> Iterator[Any]:
    """All packets of the pictures with their true times.

    A segment's own clock only tells the order in which its frames are shown. Times of decoding are the times of
    showing, as many frames earlier as any frame has to wait for one that is shown after it.
    """
    times, spans = segments.times, segments.spans
    wait = 0
    for packets in segments.packets():
        for place, rank in enumerate(_ranks(packets)):
            wait = max(wait, place - rank)
    step = times[1] - times[0] if len(times) > 1 else 1
    number = first = 0
    for packets in segments.packets():
        for packet, rank in zip(packets, _ranks(packets), strict=True):
            shown_at = first + rank
            early = number - wait
            packet.stream, packet.time_base = stream, ticks
            packet.pts, packet.duration = times[shown_at], spans[shown_at]
            packet.dts = times[early] if early >= 0 else times[0] + early * step
            number += 1
            yield packet
        first += len(packets)


def _ranks(packets: list[Any]) -> list[int]:
    """For packets in the order of decoding, at which place each is shown."""
    order = sorted(range(len(packets)), key=lambda place: packets[place].pts)
    ranks = [0] * len(packets)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks


def kept(notes: Mapping[str, str], *, keep_gps: bool) -> dict[str, str]:
    """Of what a film says about itself, what its painting says too."""
    return {
        name: value
        for name, value in notes.items()
        if name.lower() in KEPT or (keep_gps and name.lower().startswith(PLACES))
    }


class Along:
    """Sound, subtitles and chapters on their way from a film to its painting.

    Args:
        container: of the film.
        out: of the painting.
        begins: s on the film's clock that are the painting's beginning.
        length: s that the painting lasts.

    Attributes:
        notes: a line for everything that cannot come along as it is.
    """

    def __init__(self, container: Any, out: Any, begins: Fraction, length: Fraction) -> None:
        self.container, self.begins, self.length = container, begins, length
        self.notes: list[str] = []
        self.copied: dict[int, Any] = {}
        self.encoded: dict[int, Any] = {}
        for stream in container.streams:
            if stream.type not in ("audio", "subtitle"):
                continue
            name = stream.codec_context.codec.canonical_name if stream.codec_context else text("video.unknown_codec")
            plays = name in out.supported_codecs - UNPLAYED.get(out.format.name, set())
            if stream.codec_context and plays:
                self.copied[stream.index] = out.add_stream_from_template(stream, opaque=True)
            elif stream.type == "audio" and stream.codec_context:
                chosen = SOUND.get(out.format.name, SOUND_ELSE)
                rate = 48000 if chosen == "libopus" else stream.codec_context.sample_rate
                self.encoded[stream.index] = out.add_stream(chosen, rate=rate, layout=stream.codec_context.layout.name)
                self.notes.append(text("video.sound_encoded", codec=name, new=chosen))
            else:
                self.notes.append(text("video.left_out", kind=stream.type, codec=name))
                continue
            mine = self.copied.get(stream.index) or self.encoded[stream.index]
            mine.metadata.update({k: v for k, v in stream.metadata.items() if k.lower() in KEPT})
            mine.disposition = stream.disposition

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        """(s, packet) of everything that comes along, in the order of the film."""
        taken = [self.container.streams[index] for index in (*self.copied, *self.encoded)]
        last: dict[int, int] = {}
        try:
            for packet in self.container.demux(taken) if taken else ():
                index = packet.stream.index
                if index in self.encoded:
                    yield from self._again(packet)
                elif (time := self._moved(packet)) is not None and packet.dts > last.get(index, packet.dts - 1):
                    last[index] = packet.dts
                    packet.stream = self.copied[index]
                    yield time, packet
        except av.FFmpegError as error:  # the film ends early; what came before is kept
            self.notes.append(text("video.sound_damaged", reason=reason(error)))
        for stream in self.encoded.values():
            for packet in stream.encode(None):
                yield packet.dts * packet.time_base, packet

    def _moved(self, packet: Any) -> Fraction | None:
        """Move a packet to the painting's clock; None = it lies outside."""
        if packet.pts is None or not packet.size:
            return None
        ticks = packet.time_base
        shift = round(self.begins / ticks)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        shown_at = Fraction(packet.pts * ticks)
        priming = self.begins == 0 or shown_at >= 0
        return Fraction(packet.dts * ticks) if priming and shown_at < self.length else None

    def _again(self, packet: Any) -> Iterator[tuple[Fraction, Any]]:
        """Decode a packet of sound and encode it anew."""
        stream = self.encoded[packet.stream.index]
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return
        for frame in frames:
            if frame.pts is None:
                continue
            frame.pts -= round(self.begins / frame.time_base)
            if 0 <= frame.pts * frame.time_base < self.length:
                for made in stream.encode(frame):
                    yield made.dts * made.time_base, made

    def chapters(self) -> list[Any]:
        """The film's chapters on the painting's clock, as far as it lasts."""
        moved = []
        for chapter in self.container.chapters():
            ticks = chapter["time_base"] or Fraction(1, av.time_base)
            shift = round(self.begins / ticks)
            start, end = max(0, chapter["start"] - shift), min(chapter["end"] - shift, int(self.length / ticks))
            if start < end:
                moved.append({**chapter, "start": start, "end": end})
        return moved


# ── without sound ───────────────────────────────────────────────────────────────────────────────────────────────────


def _without_sound(source: Source) -> list[str]:
    if source.path is None:
        return []
    with closing(clip.opened(source.path)) as container:
        return [text("video.no_sound")] if container.streams.audio else []


def _frames(segments: Segments, on_work: Callable[[], object] | None) -> Iterator[Any]:
    """Every frame as it was painted."""
    for path in segments.paths:
        with av.open(f"file:{path.absolute()}", format=CONTAINER) as container:
            for frame in container.decode(video=0):
                if on_work is not None:
                    on_work()
                yield frame


def _animation(frames: Iterator[Any], segments: Segments, target: Path, ticks: Fraction) -> None:
    """A GIF, each frame with its own colours, or an animated WebP."""
    gif = segments.writing.container == "gif"
    with av.open(f"file:{target.absolute()}", "w", format=segments.writing.container, options={"loop": "0"}) as out:
        settings = {} if gif else {"quality": "80", "compression_level": "2"}
        stream = out.add_stream("gif" if gif else "libwebp_anim", rate=segments.look.rate, options=settings)
        stream.width, stream.height = segments.look.size
        stream.pix_fmt = "pal8" if gif else "yuv420p"
        stream.codec_context.time_base = ticks
        palette = _palettes(segments) if gif else None
        for frame, time, span in zip(frames, segments.times, segments.spans, strict=True):
            if palette is not None:
                palette.push(frame)
                frame = palette.pull()
            else:
                frame = frame.reformat(format="yuv420p", dst_colorspace=5, dst_color_range=1)
            frame.pts, frame.time_base, frame.duration = time, ticks, span
            frame.pict_type = 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _palettes(segments: Segments) -> Any:
    """A graph of filters that gives each frame the 256 colours that it needs."""
    graph = av.filter.Graph()
    width, height = segments.look.size
    format = av.VideoFormat(segments.writing.format, width, height)
    source = graph.add_buffer(width=width, height=height, format=format, time_base=Fraction(1, 1000))
    split, find = graph.add("split"), graph.add("palettegen", "stats_mode=single")
    use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(find, 1, 0)
    find.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _pictures(frames: Iterator[Any], segments: Segments, target: Path) -> None:
    """A folder of pictures, numbered from 1."""
    segments.withdraw(target)  # the beginning of this film, if it was stopped once
    digits = max(6, len(str(len(segments.times))))
    with files.atomic_folder(target) as folder:
        for number, frame in enumerate(frames, 1):
            pixels = frame.to_ndarray(format="rgb24").astype(np.float32) / 255
            Picture(pixels=pixels).save(folder / f"{number:0{digits}}.png")
