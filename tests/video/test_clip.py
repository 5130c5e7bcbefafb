"""Films are read frame by frame with their true times; what is no film is told in one line and leads nowhere."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from danqing import limits
from danqing.errors import BadInput, DoesNotFit
from danqing.video import clip
from danqing.video.clip import Cut
from danqing.video.pixels import Colour, from_rgb, to_rgb
from tests.video.films import FRAME, SIZE, TICKS, film, panned, texture, tone


def read(path: Path, cut: Cut | None = None) -> list[clip.Frame]:
    return list(clip.load(path).read(cut or Cut()))


def test_frames_come_with_their_times(tmp_path: Path) -> None:
    frames = panned(6)
    path = film(tmp_path / "桂林.mp4", frames)
    found = clip.load(path)
    assert found.size == SIZE and found.time_base == TICKS and found.rate == 25 and found.frames == 6
    got = list(found.read(Cut()))
    assert [(f.time, f.span) for f in got] == [(FRAME * n, FRAME) for n in range(6)]
    for frame, drawn in zip(got, frames, strict=True):
        assert np.abs(frame.pixels.astype(int) - drawn).mean() < 3


def test_a_variable_rate_is_read_exactly(tmp_path: Path) -> None:
    times = [0, 512, 1500, 1501, 9000, 9512]
    got = read(film(tmp_path / "快慢.mp4", panned(6), times=times))
    assert [f.time for f in got] == times
    assert [f.span for f in got[:-1]] == list(np.diff(times))


@pytest.mark.parametrize(
    ("cut", "times"),
    [
        (Cut(start=Fraction("0.08")), [0, 1, 2, 3]),
        (Cut(end=Fraction("0.08")), [0, 1]),
        (Cut(start=Fraction("0.04"), end=Fraction("0.16")), [0, 1, 2]),
        (Cut(every=4), [0, 4]),
        (Cut(every=2, start=Fraction("0.04")), [0, 2, 4]),
    ],
)
def test_a_part_of_a_film(tmp_path: Path, cut: Cut, times: list[int]) -> None:
    path = film(tmp_path / "a.mp4", panned(6))
    got = read(path, cut)
    assert [f.time for f in got] == [FRAME * n for n in times]
    assert clip.load(path).expected(cut) == len(times)
    whole = (cut.end or Fraction("0.24")) - cut.start
    assert sum(f.span for f in got) == round(whole / TICKS)


def test_another_rate_shows_what_is_shown_then(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", panned(5))
    fast = read(path, Cut(fps=Fraction(50)))
    assert [f.time for f in fast] == list(range(10)) and [f.again for f in fast] == [False, True] * 5
    assert len(read(path, Cut(fps=Fraction(10)))) == 2


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_turned_film_is_read_upright(tmp_path: Path, angle: int) -> None:
    drawn = texture()
    path = turned(film(tmp_path / "竖.mp4", [drawn] * 2), angle)
    found = clip.load(path)
    upright = np.rot90(drawn, found.turned)
    assert found.turned and found.size == upright.shape[1::-1]
    got = next(found.read(Cut())).pixels
    assert np.abs(got.astype(int) - upright).mean() < 4
    with av.open(str(path)) as container:  # FFmpeg's own opinion of what is upright
        assert next(container.decode(video=0)).rotation % 360 == found.turned * 90


def turned(path: Path, angle: int) -> Path:
    """The film with the matrix of a camera that was held otherwise, written into its track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one, cosine, sine = 1 << 16, {90: 0, 180: -1, 270: 0}[angle], {90: 1, 180: 0, 270: -1}[angle]
    values = [cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full", [1, 2])
def test_matrix_and_range_there_and_back(matrix: int, full: int) -> None:
    drawn = np.repeat(np.repeat(texture((8, 6), cell=1), 8, axis=0), 8, axis=1)
    frame = from_rgb(drawn, "yuv444p", Colour(matrix=matrix, range=full))
    assert (frame.colorspace, frame.color_range) == (matrix, full)
    assert np.abs(to_rgb(frame, (64, 48), deep=False).astype(int) - drawn).max() <= 3
    other = from_rgb(drawn, "yuv444p", Colour(matrix=1 if matrix != 1 else 5, range=full))
    assert np.abs(other.to_ndarray().astype(int) - frame.to_ndarray()).max() > 3


def test_what_is_not_said_is_what_players_guess() -> None:
    assert Colour().encoded((640, 480)).matrix == 6 and Colour().encoded((1280, 720)).matrix == 1


def test_ten_bits_are_read(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :, None].repeat(48, 0).repeat(3, 2)
    path = film(tmp_path / "深.mkv", [ramp] * 2, codec="libx264", format="yuv444p10le")
    found = clip.load(path)
    pixels = next(found.read(Cut())).pixels
    assert found.depth == 10 and pixels.dtype == np.uint16
    assert len(np.unique(pixels[0, :, 1])) == 64 and np.abs(pixels.astype(int) - ramp).max() < 400


def test_high_dynamic_range_is_said(tmp_path: Path) -> None:
    path = tmp_path / "hdr.mp4"
    params = {"crf": "4", "x264-params": "transfer=smpte2084:colorprim=bt2020"}
    film(path, [texture()] * 2, format="yuv420p10le", colour=(9, 1), options=params)
    assert any("PQ" in note for note in clip.load(path).notes)


def test_a_gif_is_read(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in panned(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[40, 100, 200, 60])
    got = read(tmp_path / "a.gif")
    assert [f.time for f in got] == [0, 4, 14, 34]


def test_a_folder_of_numbered_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "帧"
    folder.mkdir()
    for number in (1, 2, 10):
        Image.new("RGB", SIZE, (number * 20, 0, 0)).save(folder / f"f{number}.png")
    (folder / "notes.txt").touch()
    found = clip.load(folder, fps=Fraction(12))
    got = list(found.read(Cut()))
    assert [int(f.pixels[0, 0, 0]) for f in got] == [20, 40, 200] and found.rate == 12
    assert found.expected(Cut()) == 3


def test_sizes_change_within_a_film(tmp_path: Path) -> None:
    with (tmp_path / "a.ts").open("wb") as both:
        for name, size in (("1.ts", SIZE), ("2.ts", (32, 24))):
            both.write(film(tmp_path / name, [texture(size)] * 3).read_bytes())
    assert {f.pixels.shape for f in read(tmp_path / "a.ts")} == {(48, 64, 3)}


# ── what is no film ─────────────────────────────────────────────────────────────────────────────────────────────────


def bad(folder: Path, kind: str) -> Path:
    """A file called .mp4 of a kind of RELIABILITY's list."""
    path = folder / f"{kind} 坏.mp4"
    good = film(folder / "good.mp4", panned(20), sound="aac")
    if kind == "moov missing":
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif kind == "sound only":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=48000, layout="mono")
            out.mux(stream.encode(tone(0.5)))
            out.mux(stream.encode(None))
    elif kind == "no frames":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height = SIZE
            stream.codec_context.open()
            out.start_encoding()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "text": b"hello",
                "html": b"<html><body>404</body></html>",
                "noise": np.random.default_rng(0).bytes(5000),
                "ffconcat": b"ffconcat version 1.0\nfile good.mp4\n",
                "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ngood.mp4\n#EXT-X-ENDLIST\n",
                "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
            }[kind]
        )
    return path


KINDS = ("empty", "text", "html", "noise", "ffconcat", "m3u8", "dash", "moov missing", "sound only", "no frames")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_film_is_one_line(tmp_path: Path, kind: str) -> None:
    path = bad(tmp_path, kind)
    with pytest.raises(BadInput) as told:
        read(path)
    assert path.name in str(told.value) and "\n" not in str(told.value)


def test_a_playlist_would_lead_on_without_the_list(tmp_path: Path) -> None:
    path = bad(tmp_path, "ffconcat")
    with av.open(str(path), options={"safe": "0"}) as container:  # what the list of containers is for
        assert sum(1 for _ in container.decode(video=0)) == 20


@pytest.mark.parametrize("name", ["nothing.mp4", "http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "空"])
def test_what_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("空").mkdir()
    with pytest.raises(BadInput):
        clip.load(Path(name))


def test_a_start_behind_the_end_is_one_line(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", panned(3))
    with pytest.raises(BadInput, match="--start"):
        read(path, Cut(start=Fraction(5)))


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    assert [(f.time, f.span) for f in read(film(tmp_path / "a.mp4", panned(1)))] == [(0, FRAME)]


def test_a_frame_that_does_not_fit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", panned(2))
    monkeypatch.setattr(limits, "max_pixels", lambda: 1000)
    with pytest.raises(DoesNotFit, match="64 x 48"):
        clip.load(path)


def test_damaged_packets_are_passed_over_and_told(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", panned(40), options={"crf": "4", "g": "1"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    found = clip.load(path)
    got = list(found.read(Cut()))
    assert 5 < len(got) <= 40
    assert np.all(np.diff([f.time for f in got]) > 0)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_a_late_beginning_is_found_without_reading_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    coded = {"codec": "libvpx-vp9", "format": "yuv420p"} if ending == ".webm" else {"options": {"g": "20"}}
    path = film(tmp_path / f"长{ending}", panned(120), **coded)
    cut = Cut(start=Fraction("3.3"), end=Fraction(4))
    with monkeypatch.context() as patch:
        patch.setattr(clip, "INDEXED", set())
        wanted = read(path, cut)
    turned = clip.Clip._upright
    decoded: list[int] = []
    monkeypatch.setattr(clip.Clip, "_upright", lambda *given: decoded.append(1) or turned(*given))
    got = read(path, cut)
    assert [(f.time, f.span, f.at) for f in got] == [(f.time, f.span, f.at) for f in wanted] and len(got) == 17
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(got, wanted, strict=True))
    assert len(decoded) < 70 or ending == ".webm"  # two key frames in all


def test_a_clip_beside_a_film_of_another_rate(tmp_path: Path) -> None:
    frames = panned(10)
    beside = clip.Beside(clip.load(film(tmp_path / "a.mp4", frames, times=[1024 * n for n in range(10)])))
    shown = [int(beside.at(Fraction(n, 25)).time) for n in (0, 1, 2, 3, 6, 18, 90)]
    beside.close()
    assert shown == [0, 1024, 1024, 2048, 3072, 9216, 9216] or shown == [0, 0, 1024, 1024, 3072, 9216, 9216]
