"""Painted films: their times, sound, colours and sizes; stopped, killed and resumed; whatever goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from danqing import machine
from danqing.errors import BadInput, RunFailed, UsageError
from danqing.files import lock
from danqing.video import codecs, run, segments
from danqing.video.clip import Cut
from danqing.video.film import Film, prepare
from danqing.video.run import Progress
from danqing.video.steady import Steady
from tests.cli.test_signals import AWAKE
from tests.fake_engine import FakeStylizer, install, picture
from tests.video.films import FRAME, SIZE, TICKS, film, heard, left_behind, panned, seen, texture

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("gallery")


def ordered(source: Path, target: Path, **settings: Any) -> Film:
    """A film that the stand-in engine paints: each frame a little nearer to the style's mean colour."""
    given = {"strength": 0.2, "steps": 1, "crf": 1 if target.suffix in codecs.SUFFIXES else None} | settings
    return prepare(source, given.pop("style", "great-wave"), target=target, engine="optimize", **given)


def expected(frames: list[np.ndarray], strength: float = 0.2) -> list[np.ndarray]:
    colour = FakeStylizer.calls[-1].styles[0].source.pixels.mean(axis=(0, 1))
    return [(1 - strength) * frame.astype(np.float32) / 255 + strength * colour for frame in frames]


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return float(np.abs(found / 255 - wanted).mean()) < 0.03


# ── in and out ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("source", [".mp4", ".mkv", ".webm"])
def test_every_frame_is_painted_and_shown_when_it_was(tmp_path: Path, source: str, ending: str) -> None:
    times = [0, 512, 1536, 2048, 6144, 6656, 7168]
    frames = panned(7)
    coded: dict[str, Any] = {}
    if source == ".webm":
        coded = {"codec": "libvpx-vp9", "format": "yuv420p", "options": {"crf": "10", "b": "0"}}
    made = film(tmp_path / f"桂林{source}", frames, times=times, **coded)
    target = tmp_path / f"画{ending}"
    filmed = ordered(made, target, steady=0).paint()
    assert filmed.complete and filmed.frames == 7 and filmed.path == target
    got = seen(target)
    coarse = Fraction(1, 1000) if {source, ending} & {".mkv", ".webm"} else Fraction(0)  # Matroska counts ms
    assert all(abs(at - time * TICKS) <= coarse for (at, _), time in zip(got, times, strict=True))
    assert all(near(found, wanted) for (_, found), wanted in zip(got, expected(frames), strict=True))
    assert not list(left_behind(tmp_path))


def test_segments_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FRAMES", 7)
    times = np.cumsum(np.random.default_rng(0).integers(1, 2000, 40)).tolist()
    times = [time - times[0] for time in times]
    frames = panned(40)
    ordered(film(tmp_path / "a.mp4", frames, times=times), tmp_path / "b.mp4", steady=0).paint()
    got = seen(tmp_path / "b.mp4")
    assert [at for at, _ in got] == [time * TICKS for time in times]
    assert all(near(found, wanted) for (_, found), wanted in zip(got, expected(frames), strict=True))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animations(tmp_path: Path, kind: str) -> None:
    frames = panned(6)
    ordered(film(tmp_path / "a.mp4", frames, sound="aac"), tmp_path / f"动.{kind}", steady=0).paint()
    with Image.open(tmp_path / f"动.{kind}") as image:
        assert image.n_frames == 6 and image.size == SIZE and image.info["loop"] == 0
        image.seek(3)
        image.load()
        assert image.info["duration"] == 40
        shown = np.asarray(image.convert("RGB").resize((16, 12), Image.Resampling.BOX))  # a GIF's colours are mixed
        wanted = Image.fromarray((expected(frames)[3] * 255).astype(np.uint8)).resize((16, 12), Image.Resampling.BOX)
        assert near(shown, np.asarray(wanted) / 255)
    assert not list(left_behind(tmp_path))


def test_a_folder_of_pictures_in_and_out(tmp_path: Path) -> None:
    folder = tmp_path / "帧"
    folder.mkdir()
    frames = panned(12, (33, 21))
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / f"{number}.png")
    ordered(folder, tmp_path / "画", steady=0).paint()
    names = sorted(path.name for path in (tmp_path / "画").iterdir())
    assert names == [f"{number:06}.png" for number in range(1, 13)]
    with Image.open(tmp_path / "画" / "000011.png") as image:
        assert image.size == (33, 21) and near(np.asarray(image), expected(frames)[10])
    with pytest.raises(UsageError):
        ordered(folder, tmp_path / "画")


def test_sound_is_copied_packet_by_packet(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(30), sound="aac")
    for target in (tmp_path / "b.mp4", tmp_path / "b.mkv"):
        filmed = ordered(source, target).paint()
        assert filmed.notes == ()
        before, after = heard(source), heard(target)
        assert [data for _, data in after] == [data for _, data in before][: len(after)]
        assert len(before) - len(after) <= 2 and len(after) > 40
        begins = seen(target)[0][0]  # Matroska counts from 0, so that what comes before the pictures moves them too
        assert all(abs(a - begins - b) < Fraction(1, 500) for (a, _), (b, _) in zip(after, before, strict=False))


def test_sound_that_does_not_fit_is_encoded_again(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(30), sound="aac")
    filmed = ordered(source, tmp_path / "b.webm").paint()
    assert len(filmed.notes) == 1 and "aac" in filmed.notes[0]
    assert abs(float(heard(tmp_path / "b.webm")[-1][0]) - 1.2) < 0.1


def test_sound_stays_with_the_pictures_of_a_part(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(50), sound="aac")
    cut = Cut(start=Fraction(1, 2), end=Fraction(3, 2))
    ordered(source, tmp_path / "b.mp4", cut=cut).paint()
    begins = 13 * FRAME * TICKS  # the first frame that is shown after 0.5 s
    wanted = [(at - begins, data) for at, data in heard(source) if begins <= at < Fraction(3, 2)]
    got = heard(tmp_path / "b.mp4")
    assert [data for _, data in got] == [data for _, data in wanted]
    assert all(abs(a - b) < Fraction(1, 40000) for (a, _), (b, _) in zip(got, wanted, strict=True))
    assert seen(tmp_path / "b.mp4")[0][0] == 0


def test_damaged_sound_does_not_stop_it(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", panned(30), sound="aac")
    packets = heard(source)
    data = bytearray(source.read_bytes())
    at = data.index(packets[20][1])
    data[at : at + len(packets[20][1])] = b"\xff" * len(packets[20][1])
    source.write_bytes(data)
    assert ordered(source, tmp_path / "b.mkv").paint().complete
    assert len(heard(tmp_path / "b.mkv")) >= len(packets) - 2
    assert ordered(source, tmp_path / "b.webm").paint().complete


def test_subtitles_chapters_and_notes_come_along_but_not_the_place(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    plain = film(tmp_path / "plain.mkv", panned(50))
    (tmp_path / "a.srt").write_text("1\n00:00:00,500 --> 00:00:01,100\n山水\n", encoding="utf-8")
    with av.open(str(plain)) as there, av.open(str(tmp_path / "a.srt")) as lines, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(there.streams.video[0])
        words = out.add_stream_from_template(lines.streams.subtitles[0], opaque=True)
        words.metadata["language"] = "chi"
        out.metadata.update({"title": "桂林", "location": "+25.2+110.2/", "encoder": "x"})
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "first"}}]
        )
        for container, copy in ((there, stream), (lines, words)):
            for packet in container.demux(container.streams[0]):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    filmed = ordered(source, tmp_path / "b.mkv").paint()
    assert filmed.notes == ()
    with av.open(str(tmp_path / "b.mkv")) as found:
        assert found.metadata["title"] == "桂林" and "+25.2+110.2/" not in found.metadata.values()
        (words,) = found.streams.subtitles
        assert words.language == "chi"
        assert found.chapters()[0]["metadata"]["title"] == "first"
        (packet,) = [packet for packet in found.demux(words) if packet.size]
        assert bytes(packet) == "山水".encode() and packet.pts * packet.time_base == Fraction(1, 2)
    ordered(source, tmp_path / "c.mkv", keep_gps=True).paint()
    with av.open(str(tmp_path / "c.mkv")) as found:
        assert "+25.2+110.2/" in found.metadata.values()
    filmed = ordered(source, tmp_path / "d.mp4").paint()
    assert any("subrip" in note for note in filmed.notes)


@pytest.mark.parametrize("colour", [(1, 1), (1, 2), (5, 1), (6, 1), (9, 1)])
def test_matrix_and_range_are_kept(tmp_path: Path, colour: tuple[int, int]) -> None:
    source = film(tmp_path / "a.mp4", [texture()] * 3, colour=colour)
    target = tmp_path / "b.mp4"
    ordered(source, target, steady=0).paint()
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == colour
    assert near(seen(target)[1][1], expected([texture()])[0])


def test_pixels_that_are_no_squares_stay_so(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(3), aspect=Fraction(4, 3))
    ordered(source, tmp_path / "b.mp4").paint()
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(("ending", "size"), [(".mp4", (66, 50)), (".webm", (65, 49)), (".mkv", (66, 50))])
def test_odd_sizes_lose_nothing(tmp_path: Path, ending: str, size: tuple[int, int]) -> None:
    frames = panned(3, (65, 49))
    order = ordered(film(tmp_path / "a.mp4", frames), tmp_path / f"b{ending}", steady=0)
    assert bool(order.notes) == (size != (65, 49))
    order.paint()
    got = seen(tmp_path / f"b{ending}")[2][1]
    assert got.shape == (size[1], size[0], 3) and near(got[:49, :65], expected(frames)[2])


def test_another_size_rate_and_fewer_frames(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(20))
    filmed = ordered(source, tmp_path / "b.mp4", size=32, cut=Cut(fps=Fraction(10))).paint()
    got = seen(tmp_path / "b.mp4")
    assert filmed.frames == 8 and got[0][1].shape == (24, 32, 3)
    assert [at for at, _ in got] == [Fraction(n, 10) for n in range(8)]
    calls = len(FakeStylizer.calls)
    ordered(source, tmp_path / "c.mp4", cut=Cut(every=5)).paint()
    assert [at for at, _ in seen(tmp_path / "c.mp4")] == [Fraction(n, 5) for n in range(4)]
    assert len(FakeStylizer.calls) - calls == 4
    calls = len(FakeStylizer.calls)
    ordered(source, tmp_path / "d.mp4", cut=Cut(fps=Fraction(50))).paint()
    assert len(seen(tmp_path / "d.mp4")) == 40 and len(FakeStylizer.calls) - calls == 20  # twice shown, once painted


@pytest.mark.parametrize(
    ("name", "ending", "found"),
    [
        ("h264", ".mp4", "h264"),
        ("hevc", ".mkv", "hevc"),
        ("vp9", ".webm", "vp9"),
        ("av1", ".webm", "av1"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
    ],
)
def test_codecs(tmp_path: Path, name: str, ending: str, found: str) -> None:
    frames = panned(5, (96, 80))
    order = ordered(film(tmp_path / "a.mp4", frames), tmp_path / f"b{ending}", codec=name, crf=None, steady=0,
                    depth=10 if name == "prores" else None)  # fmt: skip
    order.paint()
    if hasattr(os, "sched_getscheduler"):  # SVT-AV1 makes root's processes real-time ones
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with av.open(str(tmp_path / f"b{ending}")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == found
    assert near(seen(tmp_path / f"b{ending}")[4][1], expected(frames)[4])


@pytest.mark.parametrize(("features", "more"), [((), ""), (("avx512f",), ":asm=AVX2")])
def test_an_encoder_searches_as_briefly_on_every_processor(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], more: str
) -> None:
    monkeypatch.setattr(machine, "features", lambda: features)
    known = codecs.CODECS["h264"].options["x264-params"]
    assert codecs.writing(Path("b.mp4")).options["x264-params"] == known + more


def test_ten_bits_are_written_where_they_are_asked_for_and_missed_where_not(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :, None].repeat(48, 0).repeat(3, 2)
    source = film(tmp_path / "a.mkv", [ramp] * 3, format="yuv444p10le")
    plain = ordered(source, tmp_path / "b.mp4")
    assert any("10 bits" in note and "8" in note for note in plain.notes)
    deep = ordered(source, tmp_path / "c.mp4", depth=10, strength=0.0)
    assert not deep.notes
    deep.paint()
    with av.open(str(tmp_path / "c.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        assert len(np.unique(frame.to_ndarray(format="rgb48le")[10, :, 1] >> 6)) > 56


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("b.avi", {}),
        ("b.mp4", {"codec": "divx"}),
        ("b.webm", {"codec": "h264"}),
        ("b.mp4", {"crf": 77}),
        ("b.mov", {"codec": "prores", "crf": 3, "depth": 10}),
        ("b.webm", {"depth": 10}),
        ("b.gif", {"codec": "h264"}),
        ("b", {"crf": 3}),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, target: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as told:
        ordered(film(tmp_path / "a.mp4", panned(2)), tmp_path / target, **({"crf": None} | settings))
    assert "\n" not in str(told.value) and not (tmp_path / target).exists()


def test_styles_are_given_as_for_pictures(tmp_path: Path) -> None:
    own = picture(tmp_path / "水墨.png", seed=3)
    white = tmp_path / "white.png"
    Image.new("L", (8, 8), 255).save(white)
    source = film(tmp_path / "a.mp4", panned(3))
    ordered(source, tmp_path / "b.mp4", style=[str(own), "starry-night:0.5"], masks=[str(white)]).paint()
    call = FakeStylizer.calls[-1]
    assert [style.name for style in call.styles] == ["水墨", "starry-night"] and call.styles[1].weight == 0.5
    assert call.styles[0].mask is not None and call.styles[0].mask.shape == (48, 64)
    recipe = tmp_path / "r.toml"
    recipe.write_text('version = 1\nstrength = 0.5\n[[styles]]\nname = "great-wave"\n')
    order = ordered(source, tmp_path / "c.mp4", style=None, recipe=str(recipe), strength=None)
    assert order.order.recipe.strength == 0.5 and order.order.styles[0].name == "great-wave"


def test_styles_take_over_from_one_another(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(60))
    later = [(Fraction(1, 2), "starry-night")]
    ordered(source, tmp_path / "b.mp4", later=later, steady=0, cut=Cut(every=5)).paint()
    shares = [{style.name: style.weight for style in call.styles} for call in FakeStylizer.calls]
    assert shares[0] == {"great-wave": 1} == shares[2] and set(shares[5]) == {"great-wave", "starry-night"}
    assert shares[5]["starry-night"] < shares[8]["starry-night"] < 1
    with pytest.raises(UsageError, match="--mask"):
        ordered(source, tmp_path / "c.mp4", later=later, masks=[str(tmp_path / "m.png")])
    with pytest.raises(UsageError, match="another source, style"):
        half = ordered(source, tmp_path / "d.mp4", later=later)
        half.folder.mkdir()
        (half.folder / "film.json").write_text('{"fingerprint": "x"}')
        half.paint(resume=True)


def test_moments_of_another_film_are_styles(tmp_path: Path) -> None:
    other = panned(50, seed=4)
    film(tmp_path / "另.mp4", other)
    white = tmp_path / "white.png"
    Image.new("L", (8, 8), 255).save(white)
    style = [f"{tmp_path / '另.mp4'}@0.4,1.2", "starry-night"]
    ordered(film(tmp_path / "a.mp4", panned(2)), tmp_path / "b.mp4", style=style, masks=[str(white)]).paint()
    found = FakeStylizer.calls[-1].styles
    assert [one.name for one in found] == ["另@0.4", "另@1.2", "starry-night"]
    assert near(found[1].source.pixels * 255, other[30] / 255)
    assert found[0].mask is not None and found[0].mask.all() and found[1].mask.all()


def test_a_film_of_masks_keeps_what_it_shows_in_white(tmp_path: Path) -> None:
    frames = panned(10)
    masks = [np.zeros((48, 64, 3), np.uint8) for _ in frames]
    for number, drawn in enumerate(masks):
        drawn[:, 6 * number : 6 * number + 8] = 255
    film(tmp_path / "影.mp4", masks)
    source, settings = film(tmp_path / "a.mp4", frames), {"protect": str(tmp_path / "影.mp4"), "strength": 1.0}
    order = ordered(source, tmp_path / "b.mkv", steady=0, codec="ffv1", crf=None, **settings)
    assert order.protect is not None and order.order.cover is None
    order.paint()
    for number, (_, got) in enumerate(seen(tmp_path / "b.mkv")):
        alone, here = got / 255, slice(6 * number + 2, 6 * number + 6)
        assert np.abs(alone - frames[number] / 255)[:, here].mean() < 0.03
        rest = np.ones(64, bool)
        rest[max(0, 6 * number - 3) : 6 * number + 11] = False
        assert np.abs(alone - frames[number] / 255)[:, rest].mean() > 0.05
    assert len(order.preview()) == 3


def test_a_preview_shows_three_frames(tmp_path: Path) -> None:
    frames = panned(30)
    pairs = ordered(film(tmp_path / "a.mp4", frames), tmp_path / "b.mp4").preview()
    assert len(pairs) == 3
    for place, (frame, painting) in zip((5, 15, 25), pairs, strict=True):
        assert near(frame.pixels * 255, frames[place].astype(np.float32) / 255)
        assert near(painting.pixels * 255, expected(frames)[place])
    assert not (tmp_path / "b.mp4").exists()


def test_holding_still_goes_through_the_whole_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flicker = iter(range(1000))
    finish = FakeStylizer._pastiche

    def wavering(self: FakeStylizer, picture: Any, *rest: Any) -> Any:
        wave = np.float32(0.1 * (next(flicker) % 2))
        return finish(self, type(picture)(pixels=np.clip(picture.pixels * 0.8 + wave, 0, 1)), *rest)

    monkeypatch.setattr(FakeStylizer, "_pastiche", wavering)
    monkeypatch.setattr(run, "Recall", Steady)  # as for an engine that paints at once
    source = film(tmp_path / "a.mp4", panned(12, (160, 96)))
    tones = {}
    for steady in (0.0, 1.0):
        ordered(source, tmp_path / f"{steady}.mp4", steady=steady).paint()
        tones[steady] = [frame.mean() for _, frame in seen(tmp_path / f"{steady}.mp4")][6:]
    assert np.std(tones[1.0]) < 0.3 * np.std(tones[0.0])


def test_an_engine_that_searches_begins_with_the_last_painting_carried_along(tmp_path: Path) -> None:
    frames = panned(3, (160, 96)) + panned(2, (160, 96), seed=9)
    FakeStylizer.calls.clear()
    ordered(film(tmp_path / "a.mp4", frames), tmp_path / "b.mp4", steady=1.0, strength=0.0).paint()
    _, *calls = FakeStylizer.calls[-5:]
    assert [call.prior is not None for call in calls] == [True, True, False, True]
    begun = calls[1].prior.picture.pixels[8:-8, 16:-16]
    assert np.abs(begun - calls[1].content.pixels[8:-8, 16:-16]).mean() < 0.02  # moved as the film did
    assert np.abs(begun - calls[0].content.pixels[8:-8, 16:-16]).mean() > 0.03
    FakeStylizer.calls.clear()
    ordered(tmp_path / "a.mp4", tmp_path / "c.mp4", steady=0.0).paint()
    assert all(call.prior is None for call in FakeStylizer.calls)


# ── stopped, killed, resumed ────────────────────────────────────────────────────────────────────────────────────────


def stopping_after(frames: int) -> Any:
    def on_frame(step: Progress) -> bool:
        return step.frames < frames

    return on_frame


def test_progress_is_told(tmp_path: Path) -> None:
    steps: list[Progress] = []
    ordered(film(tmp_path / "a.mp4", panned(10)), tmp_path / "b.mp4").paint(steps.append)
    assert [step.frames for step in steps] == list(range(1, 11)) and steps[0].total == 10
    assert steps[-1].remaining == 0 and steps[4].per_second > 0


@pytest.mark.parametrize(("name", "encoded"), [("b.gif", 6), ("b", 6), ("b.mp4", 0)])
def test_signs_of_life_are_given_within_frames_and_at_the_end(tmp_path: Path, name: str, encoded: int) -> None:
    told: list[str] = []
    order = ordered(film(tmp_path / "a.mp4", panned(6)), tmp_path / name, steps=3)
    order.paint(lambda _: told.append("frame"), on_work=lambda: told.append("work"))
    last = len(told) - told[::-1].index("frame")
    assert told[:last].count("work") == 6 * 3 and told[last:] == ["work"] * encoded


def test_a_stopped_film_plays_and_goes_on_to_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FRAMES", 5)
    source = film(tmp_path / "a.mp4", panned(23), sound="aac")
    ordered(source, tmp_path / "whole.mp4").paint()
    target = tmp_path / "b.mp4"
    filmed = ordered(source, target).paint(stopping_after(13))
    assert not filmed.complete and filmed.frames == 13 and len(seen(target)) == 13
    assert float(heard(target)[-1][0]) < 13 * 0.04
    with pytest.raises(UsageError):
        ordered(source, target)
    FakeStylizer.calls.clear()
    filmed = ordered(source, target, resume=True).paint(resume=True)
    assert filmed.complete and filmed.painted == 13 == len(FakeStylizer.calls)  # from the tenth on
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(left_behind(tmp_path))


@pytest.mark.parametrize("name", ["b", "b.gif", "b.webm"])
def test_what_is_encoded_at_the_end_is_resumed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(segments, "FRAMES", 4)
    source = film(tmp_path / "a.mp4", panned(11))
    for frames, complete in ((6, False), (100, True)):
        filmed = ordered(source, tmp_path / name, resume=complete).paint(stopping_after(frames), resume=complete)
        assert filmed.complete is complete and filmed.frames == min(frames, 11)
        got = list((tmp_path / name).iterdir()) if name == "b" else seen(tmp_path / name)
        assert len(got) == filmed.frames
    assert not list(left_behind(tmp_path))


KILLED = f"""{AWAKE}
import pathlib, pytest
from tests.fake_engine import install
install(pytest.MonkeyPatch(), pathlib.Path(sys.argv.pop(1)))
from danqing.video import segments
segments.FRAMES = 5
from danqing.cli.main import main
sys.exit(main())
"""


def start(folder: Path, *arguments: str, seconds: str = "0.05") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "FAKE_SECONDS": seconds, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    options = ["--engine", "optimize", "--steps", "1", "--strength", "0.2", "-s", "great-wave"]
    command = [sys.executable, "-c", KILLED, str(folder), "video", *arguments, *options]
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_killed_film_is_resumed_to_the_same_film(tmp_path: Path) -> None:
    film(tmp_path / "影.mp4", panned(30), sound="aac")
    process = start(tmp_path, "影.mp4", "-o", "whole.mp4", seconds="0")
    assert process.wait(timeout=120) == 0, process.communicate()
    process = start(tmp_path, "影.mp4", "-o", "b.mp4")
    until(lambda: len(list((tmp_path / "b.mp4.parts").glob("0*.json"))) > 2, process)
    process.kill()
    process.communicate()
    assert not (tmp_path / "b.mp4").exists() and (tmp_path / "b.mp4.parts").is_dir()
    again = start(tmp_path, "影.mp4", "-o", "b.mp4", seconds="0")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 2 and b"--resume" in err
    process = start(tmp_path, "影.mp4", "-o", "b.mp4", "--resume", seconds="0")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(left_behind(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_ctrl_c_leaves_a_film_that_plays(tmp_path: Path, name: str, code: int) -> None:
    film(tmp_path / "影.mp4", panned(200), sound="aac")
    process = start(tmp_path, "影.mp4", "-o", "b.mp4")
    until(lambda: len(list((tmp_path / "b.mp4.parts").glob("0*.json"))) > 0, process)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in err, err
    assert out.decode().strip() == "b.mp4" and b"--resume" in err
    assert 5 <= len(seen(tmp_path / "b.mp4")) < 200


def test_another_film_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FRAMES", 2)
    source = film(tmp_path / "a.mp4", panned(9))
    target = tmp_path / "b.mp4"
    ordered(source, target).paint(stopping_after(5))
    for other in ({"style": "starry-night"}, {"steady": 0.1}, {"crf": 9}, {"cut": Cut(every=2)}):
        with pytest.raises(UsageError, match="another source, style or setting"):
            ordered(source, target, resume=True, **other).paint(resume=True)
    film(source, panned(9, seed=5))
    with pytest.raises(UsageError, match="another source"):
        ordered(source, target, resume=True).paint(resume=True)
    for resume in (False, True):
        ordered(source, target, overwrite=True).paint(stopping_after(5))
        film(source, panned(9, seed=6 + resume))
        assert ordered(source, target, overwrite=True, resume=resume).paint(resume=resume).complete


@pytest.mark.parametrize("name", ["b", "b.mp4"])
def test_nothing_of_somebody_elses_is_replaced_or_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(segments, "FRAMES", 2)
    source, target = film(tmp_path / "a.mp4", panned(9)), tmp_path / name
    order = ordered(source, target)
    order.folder.mkdir()
    (order.folder / "我的.txt").write_text("mine")
    for how in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(UsageError, match="something else is in it"):
            ordered(source, target, **how).paint(resume="resume" in how)
    (order.folder / "我的.txt").unlink()
    order.folder.rmdir()
    order.paint(stopping_after(5))
    mine = target / "000002.png" if name == "b" else target
    mine.write_bytes(b"mine")
    (order.folder / "我的.txt").write_text("mine")
    FakeStylizer.calls.clear()
    with pytest.raises(UsageError, match="is there already"):
        ordered(source, target, resume=True).paint(resume=True)
    assert mine.read_bytes() == b"mine" and not FakeStylizer.calls
    mine.unlink()
    assert ordered(source, target, resume=True).paint(resume=True).complete
    assert [path.name for path in order.folder.iterdir()] == ["我的.txt"]


def test_two_at_once_do_not_paint_the_same_film(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(3))
    order = ordered(source, tmp_path / "b.mp4")
    order.folder.mkdir()
    with lock(order.folder / "film"), pytest.raises(RunFailed, match="another danqing"):
        order.paint(resume=True)
    assert order.folder.is_dir()
    assert order.paint(resume=True).complete


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(3))
    (tmp_path / "b.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match="--overwrite"):
        ordered(source, tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == b"mine"
    ordered(source, tmp_path / "b.mp4", overwrite=True).paint()
    assert len(seen(tmp_path / "b.mp4")) == 3


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


LITTLE_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150000, 150000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_one_line_and_what_is_durable_stays(tmp_path: Path) -> None:
    noise = [np.random.default_rng(n).integers(0, 256, (96, 128, 3), dtype=np.uint8) for n in range(20)]
    film(tmp_path / "a.mp4", noise)
    program = f"{LITTLE_ROOM}{KILLED}"
    arguments = ["video", "a.mp4", "-o", "b.mp4", "--crf", "0", "-s", "great-wave", "--engine", "optimize"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *arguments, "--steps", "1", "--strength", "0.1"],
        cwd=tmp_path, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    assert "b.mp4" in done.stderr.decode().splitlines()[-1]
    assert not (tmp_path / "b.mp4").exists() and not list(tmp_path.rglob("*.tmp"))


def test_a_film_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "nan")
    with pytest.raises(RunFailed):
        ordered(film(tmp_path / "a.mp4", panned(3)), tmp_path / "b.mp4", steps=4).paint()
    assert not (tmp_path / "b.mp4").exists() and not list(left_behind(tmp_path))


def test_a_film_that_is_cut_off_is_painted_as_far_as_it_goes(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", panned(60), sound="aac")
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    filmed = ordered(source, tmp_path / "b.mkv").paint()
    assert filmed.complete and 10 < filmed.frames < 55
    assert len(filmed.notes) == 1 and str(filmed.frames) in filmed.notes[0]


def test_no_film_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"hello")
    with pytest.raises(BadInput):
        ordered(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert not list(left_behind(tmp_path))


def test_install_is_what_the_processes_use() -> None:
    assert install.__module__ == "tests.fake_engine"
