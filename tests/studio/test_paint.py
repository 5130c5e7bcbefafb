"""Paintings over HTTP: what goes in, what comes out, and what pictures cannot do: RELIABILITY S7 to S12, S17, S18."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from danqing.messages import catalogue
from danqing.picture import provenance
from danqing.recipe import Recipe
from danqing.studio.names import disposition
from danqing.studio.orders import KNOBS, read_knobs, schema
from tests.contracts.source import imports, modules
from tests.picture import corpus
from tests.studio.conftest import Serve, Served, eventually, finished, picture, serving

PAINT = "/api/v1/paint"


def paint(client: Any, photo: bytes | str, name: str = "桂林 山水.png", **fields: Any) -> Any:
    files = {} if isinstance(photo, str) else {"photo": (name, photo, "application/octet-stream")}
    data = ({"photo": photo} if isinstance(photo, str) else {}) | {"style": "reeds"} | fields
    return client.post(PAINT, files=files or None, data=data)


def size_of(answer: Any) -> tuple[int, int]:
    with Image.open(io.BytesIO(answer.content)) as image:
        return image.size


# ── what it is for ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_photo_becomes_a_painting_with_its_recipe_inside(client: Any) -> None:
    answer = paint(client, picture(), brush="0.2", strength="0.8", size="80")
    assert answer.status_code == 200 and size_of(answer) == (80, 53)
    recipe = Recipe.from_toml(provenance.read(answer.content) or "")
    assert (recipe.brush, recipe.strength, recipe.size) == (0.2, 0.8, 80)
    assert recipe.content is not None and recipe.content.name == "桂林 山水.png" and recipe.content.sha256
    assert [(s.name, s.weight) for s in recipe.styles] == [("reeds", 1.0)]
    assert "filename*=UTF-8''%E6%A1%82%E6%9E%97%20%E5%B1%B1%E6%B0%B4.reeds.png" in answer.headers["content-disposition"]
    with Image.open(io.BytesIO(answer.content)) as painting, Image.open(io.BytesIO(picture())) as photo:
        far = np.asarray(painting, np.float32) - np.asarray(photo.convert("RGB").resize(painting.size), np.float32)
    assert np.abs(far).mean() > 4, "nothing was painted"


def test_it_paints_what_the_library_paints(client: Any, studio_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from danqing.api import paint as painted

    monkeypatch.setenv("DANQING_HOME", str(studio_home))
    answer = paint(client, picture(), brush="0.3")
    with Image.open(io.BytesIO(answer.content)) as image:
        found = np.asarray(image, np.int16)
    expected = np.rint(painted(picture(), "reeds", brush=0.3).picture.pixels * 255)
    assert np.abs(found - expected).max() <= 1


def test_styles_are_mixed_and_may_be_pictures(client: Any) -> None:
    painting = ("画.jpg", picture((90, 60), kind="JPEG", seed=5), "image/jpeg")
    sent = [("photo", ("a.png", picture())), ("style", painting)]
    answer = client.post(PAINT, files=sent, data={"weight": ["0.25"]})
    assert answer.status_code == 200, answer.text
    (style,) = Recipe.from_toml(provenance.read(answer.content) or "").styles
    assert (style.name, style.weight) == ("画.jpg", 0.25) and style.sha256
    mixed = paint(client, picture(), style=["reeds:3", "smoke"])
    weights = [(s.name, s.weight) for s in Recipe.from_toml(provenance.read(mixed.content) or "").styles]
    assert weights == [("reeds", 3.0), ("smoke", 1.0)]
    assert mixed.content != paint(client, picture()).content


def test_regions_and_what_is_left_alone(client: Any) -> None:
    left = np.zeros((64, 96), np.uint8)
    left[:, :48] = 255
    buffer = io.BytesIO()
    Image.fromarray(left).save(buffer, "PNG")
    answer = client.post(
        PAINT, files=[("photo", picture()), ("protect", ("m.png", buffer.getvalue()))], data={"style": "reeds"}
    )
    whole = paint(client, picture())
    with Image.open(io.BytesIO(answer.content)) as image, Image.open(io.BytesIO(picture())) as photo:
        found, kept = np.asarray(image, np.int16), np.asarray(photo, np.int16)
    with Image.open(io.BytesIO(whole.content)) as image:
        painted = np.asarray(image, np.int16)
    assert np.abs(found - kept)[:, :40].max() <= 1
    assert np.abs(found - painted)[:, 56:].max() <= 1
    masked = client.post(
        PAINT, files=[("photo", picture()), ("mask", ("m.png", buffer.getvalue()))], data={"style": "reeds"}
    )
    recipe = Recipe.from_toml(provenance.read(masked.content) or "")
    assert masked.status_code == 200 and recipe.styles[0].mask is not None and recipe.styles[0].mask.name == "m.png"


def test_a_picture_is_kept_and_painted_several_times(client: Any) -> None:
    kept = client.post("/api/v1/pictures", files={"picture": ("山.png", picture())}).json()
    assert (kept["width"], kept["height"], kept["format"], kept["name"]) == (96, 64, "png", "山.png")
    assert kept["recipe"] is None
    small = client.post("/api/v1/preview", data={"photo": kept["id"], "style": "smoke", "size": "48"})
    assert small.status_code == 200 and small.headers["content-type"] == "image/jpeg" and size_of(small) == (48, 32)
    painted = paint(client, kept["id"])
    assert painted.status_code == 200
    back = client.post("/api/v1/pictures", files={"picture": ("back.png", painted.content)}).json()
    assert back["recipe"]["styles"][0]["name"] == "reeds"
    assert client.delete(f"/api/v1/pictures/{kept['id']}").status_code == 204
    assert paint(client, kept["id"]).status_code == 410


def test_thumbnails_come_one_after_the_other(client: Any) -> None:
    kept = client.post("/api/v1/pictures", files={"picture": picture()}).json()
    answer = client.post("/api/v1/thumbnails", data={"photo": kept["id"], "style": ["smoke", "nothing", "reeds"]})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["style"] for line in lines] == ["smoke", "reeds"]
    assert all(line["image"].startswith("data:image/jpeg;base64,") for line in lines)


def test_a_later_preview_takes_the_place_of_an_earlier(served: Served) -> None:
    import concurrent.futures

    kept = None
    with served.client() as client:
        kept = client.post("/api/v1/pictures", files={"picture": picture((640, 480))}).json()["id"]

        def preview(number: int) -> int:
            with served.client() as own:
                data = {"photo": kept, "style": "reeds", "size": "512", "brush": f"0.{number}"}
                return int(own.post("/api/v1/preview", data=data).status_code)

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            codes = list(threads.map(preview, range(8)))
        assert set(codes) <= {200, 409} and 200 in codes and 409 in codes


def test_the_gallery_takes_and_gives_styles(
    client: Any, studio_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [style["name"] for style in client.get("/api/v1/styles").json()]
    assert {"reeds", "smoke"} <= set(names)
    bad = client.post("/api/v1/styles", files={"file": ("x.style", b"no style file at all")})
    assert bad.status_code == 409 and str(studio_home) not in bad.text
    for name in ("reeds", "nothing"):
        assert client.delete(f"/api/v1/styles/{name}").status_code == 422
    damaged = studio_home / "styles" / "damaged.style"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"no style file at all")
    assert client.delete("/api/v1/styles/damaged").status_code == 204 and not damaged.exists()
    short = client.post("/api/v1/styles", files={"file": ("画.png", picture())}, data={"name": "新", "seconds": "1"})
    assert short.status_code == 422


def test_the_knobs_are_those_of_the_recipe(client: Any) -> None:
    document = client.get("/openapi.json").json()
    form = document["paths"]["/api/v1/paint"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(KNOBS) < set(form["properties"]) and set(schema()["properties"]) == set(form["properties"])
    assert form["properties"]["brush"]["maximum"] == 1 and form["properties"]["size"]["anyOf"][0]["minimum"] == 16
    about = client.get("/api/v1/about").json()
    assert set(about["knobs"]) == set(KNOBS)
    assert read_knobs({"size": "64", "recipe": "width = 32"}) == {"size": 64}
    assert read_knobs({"style_layers": '{"relu1_1": 2}'}) == {"style_layers": {"relu1_1": 2.0}}


def test_all_that_is_wrong_with_the_knobs_is_said_at_once(client: Any) -> None:
    answer = paint(client, picture(), brush="2", strength="x", keep_color="none")
    assert answer.status_code == 422
    assert all(knob in answer.json()["error"]["message"] for knob in ("brush", "strength", "keep_color"))


# ── S7: pictures that are too much, or none ─────────────────────────────────────────────────────────────────────────


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(min(width * height * 3 + height, 1 << 22)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (6000, 4001), (8193, 16), (16, 8193)])
def test_s7_too_many_pixels_are_refused_before_they_are_decoded(client: Any, width: int, height: int) -> None:
    began = time.monotonic()
    answer = paint(client, png_of(width, height))
    assert answer.status_code in (413, 415) and time.monotonic() - began < 5
    assert client.get("/healthz").status_code == 200


def test_s7_a_painting_that_would_be_too_large_is_refused(client: Any) -> None:
    answer = paint(client, picture(), size="9000", enlarge="true")
    assert answer.status_code == 413 and "9000" in answer.text


def test_s7_formats_are_told_by_content(client: Any) -> None:
    assert paint(client, picture(kind="GIF"), name="x.jpg").status_code == 200
    for content in (b"", b"x", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"GIF8", b"\0" * 5000):
        assert paint(client, content, name="x.jpg").status_code == 415


def test_s7_of_many_frames_the_first_is_painted(client: Any) -> None:
    frames = [Image.new("RGB", (64, 48), (n % 256, 80, 90)) for n in range(120)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert size_of(paint(client, buffer.getvalue())) == (64, 48)


def test_s7_every_bad_file_of_the_corpus_is_refused_or_painted(client: Any, tmp_path: Path) -> None:
    slow = []
    for item in corpus.ITEMS:
        began = time.monotonic()
        answer = paint(client, item.make(), name=item.file_name, size="32")
        assert answer.status_code in (200, 413, 415, 422), (item.name, answer.status_code, answer.text)
        if time.monotonic() - began > 5 and len(item.make()) < 25_000_000:
            slow.append(item.name)
    assert not slow
    assert paint(client, picture()).status_code == 200


# ── S8: worker processes ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")
def test_s8_workers_have_limits(served: Served, client: Any) -> None:
    paint(client, picture())
    workers = served.workers()
    assert len(workers) == 2
    for worker in workers:
        limits = Path(f"/proc/{worker}/limits").read_text()
        for name in ("Max cpu time", "Max address space", "Max file size", "Max core file size"):
            (line,) = (line for line in limits.splitlines() if line.startswith(name))
            assert line[26:].split()[0] != "unlimited", line
        assert "NoNewPrivs:\t1" in Path(f"/proc/{worker}/status").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_s8_a_worker_that_is_killed_is_replaced(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        assert paint(client, picture()).status_code == 200
        for worker in served.workers():
            os.kill(worker, 9)
        assert paint(client, picture()).status_code == 200
        assert len(served.workers()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_s8_workers_are_replaced_after_their_share(serve: Serve) -> None:
    served = serve(recycle=2)
    with served.client() as client:
        before = set(served.workers())
        for _ in range(5):
            assert paint(client, picture()).status_code == 200
        assert len(eventually(lambda: len(found := served.workers()) == 2 and found)) == 2
        assert not before & set(served.workers())


def test_s8_a_painting_beyond_the_memory_is_refused_and_the_next_one_is_painted(serve: Serve) -> None:
    served = serve(memory=3_000_000_000)
    with served.client() as client:
        answer = paint(client, picture((2040, 2040)))
        assert answer.status_code in (200, 413, 500), answer.text
        assert paint(client, picture()).status_code == 200


# ── S9, S10, S12: names ─────────────────────────────────────────────────────────────────────────────────────────────

PATHS = (
    "../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..%5C..%5Cwindows%5Cwin.ini",
    "/etc/passwd", "//server/share", "\\\\server\\share", "%00", "a%00b", "C:%5Cwindows", "x" * 300,
    "static./app.js", "....//....//etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_s9_no_address_leads_out(client: Any, path: str) -> None:
    for place in ("/static", "/api/v1/jobs", "/api/v1/styles", "/api/v1/pictures", ""):
        for method in ("GET", "DELETE", "POST"):
            answer = client.request(method, f"{place}/{path}")
            assert answer.status_code in (400, 404, 405, 409, 422), f"{method} {place}/{path}: {answer.status_code}"
            assert b"root:" not in answer.content


@pytest.mark.parametrize(
    "name",
    [
        "../../x.png",
        "..\\..\\x.png",
        "/etc/x.png",
        "C:\\x.png",
        "a\0b.png",
        "x" * 300,
        "a\r\nSet-Cookie: x=1.png",
        '".png',
        "画.png.",
    ],
)
def test_s9_a_name_is_only_a_name(client: Any, name: str) -> None:
    answer = client.post(PAINT, files={"photo": (name, picture())}, data={"style": "reeds"})
    if answer.status_code == 400:  # refused as a form
        return
    assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert not re.search(r"[/\\]|\.\.", answer.headers["content-disposition"].partition("filename*")[0])
    assert not re.search(r"[/\\\x00-\x1f]", disposition(name).partition("''")[0])


def test_s9_a_link_in_the_store_is_not_followed(served: Served, client: Any) -> None:
    link = served.folder / "pictures" / ("a" * 32)
    link.symlink_to("/etc/passwd")
    assert paint(client, "a" * 32).status_code == 410


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../reeds", "http://example.org/a.png", "file:///etc/passwd", "~/x.png", "src/danqing"]
)
def test_s10_s12_clients_name_no_paths_and_no_addresses(client: Any, name: str) -> None:
    assert paint(client, picture(), style=name).status_code == 422
    assert paint(client, name).status_code == 422
    for field in ("mask", "protect"):
        assert paint(client, picture(), **{field: name}).status_code == 422
    recipe = f'[[styles]]\nname = "x.png"\npath = "etc/passwd"\n[content]\nname = "a.png"\npath = "{name.lstrip("/")}"'
    assert paint(client, picture(), recipe=recipe).status_code in (200, 422)
    assert paint(client, picture(), encoder_weights=name).status_code == 422


def test_s10_the_studio_opens_no_connection() -> None:
    ways = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib"}
    for module in modules():
        if module.room == "studio":
            assert not ways & {name for _, name in imports(module.tree)}, module.name


# ── S17, S18 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_s17_a_damaged_network_is_not_described_to_clients(studio_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "家"
    shutil.copytree(studio_home / "models", home / "models")
    file = home / "models" / "reedbed" / "reedbed.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    with serving(home, tmp_path / "画室") as served, served.client() as client:
        answer = paint(client, picture())
        assert answer.status_code == 409 and answer.json()["error"]["code"] == "model"
        assert str(tmp_path) not in answer.text and "reedbed" not in answer.text
        assert "reedbed" in served.log.read_text(encoding="utf-8"), "its owner is told"


def test_s18_nobody_learns_where_a_photo_was_taken(client: Any) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    answer = paint(client, picture(kind="JPEG", exif=exif.tobytes()), name="照片.jpg", format="jpeg")
    with Image.open(io.BytesIO(answer.content)) as image:
        kept = image.getexif()
    assert kept[0x010F] == "A maker" and not kept.get_ifd(0x8825)
    recipe = provenance.read(answer.content) or ""
    assert "path" not in recipe and "/" not in recipe.replace("# Painted", "").split("\n", 1)[1]


def test_every_refusal_has_a_sentence() -> None:
    from danqing.studio.refusal import STATUS

    assert {f"refused_{code}" for code in STATUS} <= set(catalogue("studio"))


def test_best_quality_needs_the_picture_of_a_style(client: Any) -> None:
    answer = paint(client, picture(), engine="optimize")
    assert answer.status_code == 422 and "reeds" in answer.json()["error"]["message"]


def test_a_job_is_made_of_what_takes_long(client: Any) -> None:
    answer = paint(client, picture(), job="true", format="jpeg")
    assert answer.status_code == 202 and answer.headers["location"].endswith(answer.json()["id"])
    done = finished(client, answer.json())
    assert done["state"] == "done" and done["result"]["engine"] == "fast"
    painting = client.get(f"{answer.headers['location']}/result")
    assert painting.headers["content-type"] == "image/jpeg" and size_of(painting) == (96, 64)
