"""Films over HTTP: what comes out, what is refused, and that a stopped film is a film."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="the extra video is not installed")
pytest.importorskip("cv2", reason="the extra video is not installed")

import av

from danqing.errors import UsageError
from danqing.studio import filming
from danqing.studio.orders import FILM_KNOBS, File, Filming, Layer, Order, film_schema, read_filming
from danqing.studio.worker import Worker, chosen
from danqing.video import segments
from tests.studio.conftest import Serve, eventually, finished, picture
from tests.video.films import film, panned

FILMS = "/api/v1/films"


def clip(folder: Path, frames: int = 12, *, sound: str | None = "aac") -> bytes:
    return film(folder / "桂林.mp4", panned(frames), sound=sound, format="yuv420p").read_bytes()


def ordered(client: Any, data: bytes, name: str = "桂林 山水.mp4", **fields: Any) -> Any:
    return client.post(FILMS, files={"film": (name, data)}, data={"style": "reeds"} | fields)


def looked_at(data: bytes, tmp_path: Path) -> tuple[int, set[str], tuple[int, int]]:
    """Frames, kinds of streams, and size of a film."""
    path = tmp_path / "result"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        kinds = {stream.type for stream in container.streams}
        count = sum(1 for _ in container.decode(video=0))
        stream = container.streams.video[0]
        return count, kinds, (stream.width, stream.height)


def test_a_film_is_painted_with_its_sound(client: Any, tmp_path: Path) -> None:
    answer = ordered(client, clip(tmp_path), strength="0.8")
    assert answer.status_code == 202, answer.text
    done = finished(client, answer.json())
    assert (done["state"], done["kind"]) == ("done", "film"), done
    assert (done["result"]["frames"], done["result"]["width"], done["result"]["complete"]) == (12, 64, True)
    result = client.get(f"{answer.headers['location']}/result")
    assert result.headers["content-type"] == "video/mp4"
    assert "reeds.mp4" in result.headers["content-disposition"]
    assert looked_at(result.content, tmp_path) == (12, {"video", "audio"}, (64, 48))


def test_a_part_of_a_film_and_other_formats(client: Any, tmp_path: Path) -> None:
    data = clip(tmp_path, 25, sound=None)
    for kind, mime in (("webm", "video/webm"), ("gif", "image/gif")):
        answer = ordered(client, data, start="0.2", end="0.4", format=kind)
        assert finished(client, answer.json())["result"]["frames"] == 5
        result = client.get(f"{answer.headers['location']}/result")
        assert result.headers["content-type"] == mime and looked_at(result.content, tmp_path)[0] == 5


def test_a_film_that_is_stopped_is_the_film_of_what_was_painted(client: Any, tmp_path: Path) -> None:
    size = (320, 240)
    data = film(tmp_path / "long.mp4", panned(300, size), format="yuv420p").read_bytes()
    job = ordered(client, data).json()

    def frames() -> int:
        now = client.get(f"/api/v1/jobs/{job['id']}").json()
        assert now["state"] in ("queued", "running"), now
        return int(now.get("progress", {}).get("step", 0))

    eventually(lambda: frames() > 2, seconds=60)
    client.post(f"/api/v1/jobs/{job['id']}/cancel")
    told = finished(client, job)
    assert told["state"] == "cancelled" and 2 < told["result"]["frames"] < 300
    count, _, found = looked_at(client.get(f"/api/v1/jobs/{job['id']}/result").content, tmp_path)
    assert (count, found) == (told["result"]["frames"], size)


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 422), (b"no film", 422), (picture(), 422), (b"ffconcat version 1.0\nfile /etc/passwd\n", 422)],
    ids=["empty", "text", "picture", "playlist"],
)
def test_s7_what_is_no_film_is_refused(client: Any, data: bytes, status: int) -> None:
    answer = ordered(client, data, name="x.mp4")
    assert answer.status_code == status, answer.text
    assert "x.mp4" in answer.json()["error"]["message"] and "/" not in answer.json()["error"]["message"]


def test_s7_films_are_short(serve: Serve, tmp_path: Path) -> None:
    data = clip(tmp_path, 25)
    with serve(frames=10).client() as client:
        answer = ordered(client, data)
        assert answer.status_code == 413 and "桂林 山水.mp4" in answer.text and "25" in answer.text
        told = finished(client, ordered(client, data, end="0.4").json())
        assert (told["state"], told["result"]["frames"]) == ("done", 10)


def test_s7_films_do_not_last_long(serve: Serve, tmp_path: Path) -> None:
    with serve(film_seconds=0.5, film=100_000).client() as client:
        assert ordered(client, clip(tmp_path, 25)).status_code == 413
        assert client.post(FILMS, content=bytes(100_001)).status_code == 413, "nor are they large"


def test_what_is_asked_of_a_film_is_checked(client: Any) -> None:
    assert read_filming({"start": "1.5", "end": "", "format": "gif"}) == Filming(start=1.5, format="gif")
    for wrong, names in (({"start": "x", "steady": "2"}, "start, steady"), ({"start": "3", "end": "2"}, "start, end")):
        with pytest.raises(UsageError, match=names):
            read_filming(wrong)
    assert "square" not in FILM_KNOBS and set(Filming.model_fields) < set(film_schema()["properties"])
    for fields in ({"square": "true"}, {"quality": "3"}, {"format": "avi"}, {"style": "nothing"}):
        assert ordered(client, b"x", **fields).status_code == 422


# ── what a worker does with a film ──────────────────────────────────────────────────────────────────────────────────


def taken(folder: Path, frames: int, *, format: str = "mp4") -> filming.Ordered:
    """A film as a worker takes it, for the stand-in engine."""
    folder.mkdir()
    photo = File(id="0" * 32, name="桂林 山水.mp4", sha256="0" * 64)
    film(folder / "a.mp4", panned(frames)).rename(folder / photo.id)
    knobs = {"engine": "optimize", "steps": 1, "strength": 0.2}
    layers = (Layer(style="great-wave"),)
    order = Order(photo=photo, layers=layers, knobs=knobs, format=format, filming=Filming(format=format))
    styles = chosen(order, lambda *_: pytest.fail("no picture is needed"))
    return filming.Ordered(path=folder / photo.id, target=folder / "result", order=order, styles=styles)


@pytest.mark.usefixtures("gallery")
@pytest.mark.parametrize(("most", "frames", "complete"), [(9, 9, True), (7, 8, False)])
def test_a_film_ends_with_the_first_frame_beyond_the_most(
    tmp_path: Path, most: int, frames: int, complete: bool
) -> None:
    told = taken(tmp_path / "画", 9).paint(lambda _: True, most=most)
    assert (told["frames"], told["complete"]) == (frames, complete)


@pytest.mark.usefixtures("gallery")
def test_a_film_that_an_older_danqing_began_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FRAMES", 2)
    order = taken(tmp_path / "画", 9)

    def killed(step: dict[str, Any]) -> bool:
        if step["step"] == 5:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        order.paint(killed, most=600)
    begun = tmp_path / "画" / "result.mp4.parts" / "film.json"
    begun.write_text(begun.read_text().replace('": "', '": "older '))
    steps: list[int] = []
    told = order.paint(lambda step: steps.append(step["step"]) or True, most=600)
    assert told["complete"] and steps == list(range(1, 10))
    assert not begun.parent.exists()


@pytest.mark.usefixtures("gallery")
def test_s17_no_place_of_the_server_is_told(tmp_path: Path) -> None:
    order = taken(tmp_path / "画", 2)
    (tmp_path / "画" / "result.mp4.parts").mkdir()
    (tmp_path / "画" / "result.mp4.parts" / "x").touch()
    with pytest.raises(UsageError, match="桂林 山水") as told:
        order.paint(lambda _: True, most=600)
    assert str(tmp_path) not in str(told.value)


@pytest.mark.usefixtures("gallery")
def test_a_worker_gives_signs_of_life_while_a_film_is_encoded_at_the_end(tmp_path: Path) -> None:
    film, out = taken(tmp_path / "画", 6, format="gif"), io.BytesIO()
    work = {"order": film.order.model_dump(mode="json"), "folder": str(tmp_path / "画"), "out": str(film.target)}
    answer, _ = Worker({"frames": 600}, out).film(work)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    last = max(at for at, header in enumerate(said) if "step" in header)
    assert answer["frames"] == 6 and said[last + 1 :] == [{"bytes": 0}] * 6
