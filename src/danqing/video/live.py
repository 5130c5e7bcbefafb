"""Live: a camera that is painted as fast as the machine does it.

The newest frame of a camera goes in, what came meanwhile is left out; paintings come out, for whoever looks, and into a
film or a picture when that is asked for. This module knows no page and no terminal.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from danqing import commission, files
from danqing.commission import Styles
from danqing.errors import DanqingError, RunFailed
from danqing.messages import text
from danqing.picture import Picture
from danqing.video.camera import Camera
from danqing.video.clip import reason
from danqing.video.flow import Seer
from danqing.video.pixels import Colour, Pixels, from_numbers, from_rgb, to_numbers
from danqing.video.run import FLOW_LONG
from danqing.video.steady import Steady

ACTIONS = ("next", "previous", "stronger", "weaker", "snapshot", "record")

STEP = 0.1  # of strength

QUALITY = 85  # of the JPEGs that are shown

SMOOTH = 0.8  # of the frame rate that is told stays from frame to frame


class Live:
    """A camera, painted.

    Args:
        camera: gives frames.
        styles: one is painted at a time, in this order.
        folder: for snapshots and recordings.
        steady: 0..1.
        order: the further arguments of `danqing.prepare`, and knobs.

    Raises:
        DanqingError: one line that says what is wrong.
    """

    def __init__(self, camera: Camera, styles: Styles, *, folder: Path, steady: float, **order: Any) -> None:
        first = camera.read()
        if first is None:
            raise RunFailed(text("video.camera_gone"))
        self.camera, self.folder = camera, folder
        self.order = commission.prepare(Picture(pixels=to_numbers(first)), styles, **order)
        width, height = self.order.content.size
        self.size = width // 2 * 2, height // 2 * 2  # of a film, which is even
        self.problem: str | None = None
        self._held, self._seer = Steady(steady, cover=None), Seer(long=FLOW_LONG)
        self._number, self._styles, self._recipe = 0, self.order.styles[:1], self.order.recipe
        self._newest: Pixels | None = first
        self._shown: Pixels | None = None
        self._jpeg, self._count, self._rate = b"", 0, 0.0
        self._recording: Recording | None = None
        self._last_frame = self._ended = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._paint)]
        for thread in self._threads:
            thread.start()

    # ── what whoever looks asks for ─────────────────────────────────────────────────────────────────────────────────

    def picture(self, after: int, *, timeout: float = 1.0) -> tuple[int, bytes]:
        """The number and JPEG of the newest painting, waiting for one later than `after`; the same if none comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > after or self._ended, timeout)
            return self._count, self._jpeg

    @property
    def ended(self) -> bool:
        """Whether no more paintings come."""
        return self._ended

    def told(self) -> dict[str, Any]:
        """How it stands, for whoever looks."""
        recording = self._recording
        return {
            "style": self.order.styles[self._number].name,
            "styles": len(self.order.styles),
            "strength": round(self._recipe.strength, 2),
            "rate": round(self._rate, 1),
            "size": list(self.size),
            "recording": None if recording is None else recording.path.name,
            "ended": self._ended,
            "problem": self.problem,
        }

    def do(self, action: str) -> str | None:
        """Do one of `ACTIONS`; the name of the file that was written, if one was.

        Raises:
            RunFailed: it cannot be written.
        """
        if action in ("next", "previous"):
            self._number = (self._number + (1 if action == "next" else -1)) % len(self.order.styles)
            self._styles = self.order.styles[self._number : self._number + 1]
        elif action in ("stronger", "weaker"):
            by = STEP if action == "stronger" else -STEP
            self._recipe = self._recipe.turned({"strength": min(1.0, max(0.0, round(self._recipe.strength + by, 2)))})
        elif action == "snapshot" and self._shown is not None:
            path = self._free(".png")
            Picture(pixels=to_numbers(self._shown)).save(path)
            return path.name
        elif action == "record":
            with self._changed:
                if (recording := self._recording) is None:
                    self._recording = Recording(self._free(".mp4"), self.size)
                    return None
                self._recording = None
            recording.close()
            return recording.path.name
        return None

    def close(self) -> None:
        """Stop; a recording is finished."""
        self._stop()
        for thread in self._threads:
            thread.join()
        self.camera.close()
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()

    def _free(self, ending: str) -> Path:
        stem = time.strftime("danqing-%Y%m%d-%H%M%S")
        names = (f"{stem}{f'-{n}' if n else ''}{ending}" for n in range(1000))
        return next(path for name in names if not (path := self.folder / name).exists())

    # ── the two threads ─────────────────────────────────────────────────────────────────────────────────────────────

    def _stop(self, problem: str | None = None) -> None:
        """No more frames come; what is there is still painted."""
        with self._changed:
            self._last_frame, self.problem = True, self.problem or problem
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            while not self._last_frame:
                frame = self.camera.read()
                if frame is None:
                    self._stop(text("video.camera_gone"))
                    return
                with self._changed:
                    self._newest = frame
                    self._changed.notify_all()
        except DanqingError as error:
            self._stop(str(error))

    def _paint(self) -> None:
        before: Pixels | None = None
        last = time.monotonic()
        try:
            while (frame := self._taken()) is not None:
                pixels = np.asarray(cv2.resize(frame, self.size, interpolation=cv2.INTER_AREA))
                shown = from_numbers(self._painted(before, pixels), deep=False)
                before = pixels
                now = time.monotonic()
                rate = 1 / max(now - last, 1e-6)
                last, self._rate = now, SMOOTH * self._rate + (1 - SMOOTH) * rate if self._rate else rate
                self._show(shown)
        except DanqingError as error:
            self._stop(str(error))
        except Exception as error:  # whatever it is, whoever looks is told
            self._stop(text("video.live_failed", reason=f"{type(error).__name__}: {error}"))
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _taken(self) -> Pixels | None:
        """The newest frame that was not painted yet; None = that was all."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._last_frame)
            frame, self._newest = self._newest, None
            return frame

    def _painted(self, before: Pixels | None, pixels: Pixels) -> Any:
        content = Picture(pixels=to_numbers(pixels))
        order = dataclasses.replace(self.order, content=content, styles=self._styles, recipe=self._recipe)
        motion = self._seer(before, pixels) if before is not None and self._held.strength else None
        return self._held(order.paint().picture.pixels, motion)

    def _show(self, shown: Pixels) -> None:
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        with self._changed:
            self._shown, self._jpeg, self._count = shown, jpeg.tobytes(), self._count + 1
            if self._recording is not None:
                self._recording.add(shown)
            self._changed.notify_all()


class Recording:
    """A film of what is shown, each frame at the time when it came.

    Args:
        path: it gets its name when it is closed.
        size: (width, height) px, even.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path = path
        self._held = ExitStack()
        file = self._held.enter_context(files.atomic_write(path))
        self._container: Any = av.open(file, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=30, options={"preset": "faster", "crf": "18"})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, 1000)
        self._began, self._last = time.monotonic(), -1

    def add(self, pixels: Pixels) -> None:
        """Take a frame (H, W, 3) as it is shown now."""
        frame = from_rgb(pixels, "yuv420p", Colour())
        self._last = max(self._last + 1, round(1000 * (time.monotonic() - self._began)))
        frame.pts, frame.time_base = self._last, Fraction(1, 1000)
        with _failing(self.path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish it; without a frame there is no file."""
        if self._last < 0:
            error = GeneratorExit()
            with suppress(GeneratorExit):
                self._held.__exit__(type(error), error, None)
            return
        with _failing(self.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._held.close()


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        raise RunFailed(text("video.encoder", codec="libx264", reason=reason(error))) from error
    except OSError as error:
        raise files.write_failure(path, error) from error
