"""Who may ask, and how much and how slowly: RELIABILITY S1 to S6, S15 to S17, on real sockets."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from danqing.studio.app import application
from danqing.studio.keys import Keys
from danqing.studio.settings import Settings
from tests.studio.conftest import Serve, Served, picture

PAINT = "/api/v1/paint"


def form(**fields: Any) -> dict[str, Any]:
    return {"files": {"photo": ("照片.png", picture(), "image/png")}, "data": {"style": "reeds", "size": "64"} | fields}


def spoken(served: Served, text: bytes, *, seconds: float = 10.0) -> bytes:
    """What the studio answers to bytes."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=seconds) as line:
        line.sendall(text)
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


# ── S1, S2: where it listens, and the token ─────────────────────────────────────────────────────────────────────────


def test_s1_it_listens_to_this_machine_alone_unless_told(tmp_path: Path) -> None:
    assert Settings().host == "127.0.0.1" and Settings().local and not Settings().guarded
    for host in ("localhost", "127.0.0.1", "::1", "[::1]", "127.8.8.8"):
        assert Settings(host=host).local
    for host in ("0.0.0.0", "::", "192.168.1.7", "studio.example.org", "127.0.0.1.example.org"):
        assert Settings(host=host).guarded
        with pytest.raises(ValueError, match="keys"):
            application(Settings(host=host, folder=tmp_path))
    assert not Settings(host="0.0.0.0", insecure=True).guarded


def test_s1_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    keys = Keys.kept(tmp_path / "画室")
    file = tmp_path / "画室" / "token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert Keys.kept(tmp_path / "画室").token == keys.token == file.read_text()
    assert len(keys.token) >= 32 and keys.code != keys.token


def test_s2_strangers_need_the_token(serve: Serve) -> None:
    served = serve(host="0.0.0.0", hosts=["127.0.0.1"])
    with served.client() as client:
        assert client.get("/healthz").status_code == 200
        for method, path in (("GET", "/api/v1/styles"), ("POST", PAINT), ("GET", "/api/v1/about")):
            answer = client.request(method, path)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer x", f"Bearer {served.token}x", f"Basic {served.token}", "Bearer", "é"):
            assert client.get("/api/v1/styles", headers={"Authorization": wrong.encode()}).status_code == 401
        right = {"Authorization": f"Bearer {served.token}"}
        assert client.get("/api/v1/styles", headers=right).status_code == 200
        assert client.get("/").status_code == 401
        first = client.get(f"/?token={served.code}")
        cookie = first.headers["set-cookie"]
        assert first.status_code == 303 and first.headers["location"] == "/"
        assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and served.token not in cookie
        assert "set-cookie" not in client.get(f"/?token={served.code}").headers, "works once"
        assert "set-cookie" in client.post("/enter", data={"token": served.token}).headers
        assert client.get("/api/v1/styles").status_code == 200, "the cookie is enough"
    said = served.log.read_text(encoding="utf-8")
    assert served.token not in said and str(served.code) not in said


# ── S3 to S5: other sites ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost:80:90", "a@localhost",
     "localhost@evil.example", "", "127.1", "0.0.0.0", "[::1", "localhost/", "localhost:x"],
)  # fmt: skip
def test_s3_names_that_are_not_ours_are_refused(served: Served, host: str) -> None:
    answer = spoken(served, f"GET /api/v1/styles HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), answer[:200]


def test_s3_two_names_are_refused_and_ours_are_not(served: Served) -> None:
    two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert spoken(served, two).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
    for host in (f"localhost:{served.port}", "LOCALHOST", "127.0.0.1:9", "[::1]:8765"):
        asked = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        assert spoken(served, asked).startswith(b"HTTP/1.1 200"), host


def test_s4_a_change_carries_a_header_or_a_token(client: Any) -> None:
    del client.headers["X-Danqing"]
    try:
        answer = client.post(PAINT, **form())
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "header"
        assert client.delete("/api/v1/styles/reeds").status_code == 403
    finally:
        client.headers["X-Danqing"] = "test"
    assert client.post(PAINT, **form()).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "{address}.evil.example"}, 403),
        ({"Origin": "{address}@evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "{address}"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_s4_other_sites_are_refused(served: Served, client: Any, headers: dict[str, str], status: int) -> None:
    filled = {name: value.replace("{address}", served.address) for name, value in headers.items()}
    assert client.get("/api/v1/styles", headers=filled).status_code == status
    assert client.post("/api/v1/thumbnails", headers=filled).status_code == (403 if status == 403 else 400)


def test_s4_a_link_to_the_front_page_may_be_followed(client: Any) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/docs", headers=link).status_code == 403


def test_s5_no_other_site_may_read(client: Any) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options(PAINT, headers=asked), client.options(PAINT), client.get("/api/v1/styles")):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options(PAINT).status_code == 405


# ── S6: how much, and how slowly ────────────────────────────────────────────────────────────────────────────────────


def test_s6_a_body_that_is_announced_too_long_is_not_read(served: Served) -> None:
    head = f"POST {PAINT} HTTP/1.1\r\nHost: localhost\r\nX-Danqing: 1\r\nContent-Length: {10**9}\r\n\r\n"
    began = time.monotonic()
    answer = spoken(served, head.encode())
    assert answer.startswith(b"HTTP/1.1 413") and time.monotonic() - began < 5


def test_s6_a_body_in_parts_is_counted_as_it_comes(served: Served) -> None:
    head = (
        f"POST {PAINT} HTTP/1.1\r\nHost: localhost\r\nX-Danqing: 1\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    ).encode()
    part = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as line:
        line.sendall(head + f"{len(part):x}\r\n".encode() + part + b"\r\n")
        block = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        for _ in range(26):
            line.sendall(block)
        assert line.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"files": [("style", (f"{n}.png", picture())) for n in range(9)]}, 413),
        ({"data": {f"field{n}": "1" for n in range(70)}, "files": {"photo": picture()}}, 413),
        ({"data": {"recipe": "#" * 20_000}, "files": {"photo": picture()}}, 413),
        ({"data": {"recipe": "x" * 70_000}}, 413),
        ({"json": {"photo": "x"}}, 400),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"nothing", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
    ids=["files", "fields", "field", "urlencoded", "json", "cut", "no boundary"],
)
def test_s6_forms_have_limits(client: Any, sent: dict[str, Any], status: int) -> None:
    assert client.post(PAINT, **sent).status_code == status


def test_s6_the_slow_are_dropped(serve: Serve) -> None:
    served = serve(header_seconds=1, body_seconds=1)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line, contextlib.suppress(ConnectionError):
        for byte in b"GET /healthz HT":
            line.sendall(bytes([byte]))
            time.sleep(0.02)
        assert line.recv(100) == b"", "the head never came"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
        head = f"POST {PAINT} HTTP/1.1\r\nHost: localhost\r\nX-Danqing: 1\r\nContent-Length: 1000\r\n"
        line.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x".encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 408")
    with served.client() as client:
        assert client.get("/healthz").status_code == 200


# ── S15: strangers knock ────────────────────────────────────────────────────────────────────────────────────────────


def test_s15_strangers_may_ask_so_often(serve: Serve) -> None:
    served = serve(host="0.0.0.0", hosts=["127.0.0.1"], per_minute=5)
    with served.client(Authorization=f"Bearer {served.token}") as client:
        answers = [client.post("/api/v1/pictures", files={"picture": picture()}) for _ in range(7)]
        assert [a.status_code for a in answers] == [201] * 5 + [429] * 2
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert client.get("/api/v1/styles").status_code == 200, "looking is free"


def test_s15_guessing_a_token_is_slow(serve: Serve) -> None:
    served = serve(host="0.0.0.0", hosts=["127.0.0.1"], per_minute=5)
    with served.client() as client:
        codes = [client.post("/enter", data={"token": f"guess {n}"}).status_code for n in range(7)]
        assert codes == [303] * 5 + [429] * 2


# ── S16, S17: what answers carry, and what they do not ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/styles", "/static/app.js", "/nowhere", "/openapi.json"])
def test_s16_every_answer_has_the_headers(client: Any, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


def test_s16_paintings_are_pictures_and_nothing_else(client: Any) -> None:
    for kind in ("png", "jpeg", "webp", "avif"):
        answer = client.post(PAINT, **form(format=kind))
        assert answer.headers["content-type"] == f"image/{kind}"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment")
    assert client.post(PAINT, **form(format="svg")).status_code == 422


def test_s17_refusals_tell_nothing_about_the_machine(served: Served, client: Any) -> None:
    answers = [
        client.get("/nowhere"),
        client.get("/api/v1/jobs/" + "0" * 32),
        client.get("/api/v1/jobs/../../etc/passwd"),
        client.post(PAINT, files={"photo": ("../../x.png", b"\x89PNG\r\n\x1a\nbroken")}, data={"style": "reeds"}),
        client.post(PAINT, **form(style="no-such-style")),
        client.post(PAINT, **form(size="enormous")),
        client.post(PAINT, files={"photo": ("a.png", picture()[:-9])}, data={"style": "reeds"}),
        client.delete("/api/v1/styles/reeds"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        error = answer.json()["error"]
        assert set(error) == {"code", "message"} and "\n" not in error["message"]
        assert not re.search(r"Traceback|\.py\b|/work|/tmp|/root|site-packages|\d+\.\d+\.\d+", answer.text), answer.text


def test_s17_what_came_is_logged_without_its_name(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        client.post(PAINT, **form())
        client.post(PAINT, files={"photo": ("秘密.png", b"no picture")}, data={"style": "reeds"})
    said = served.log.read_text(encoding="utf-8")
    assert '"verdict": "kept"' in said and '"verdict": "refused"' in said and "秘密" not in said
    assert re.search(r'"sha256": "[0-9a-f]{64}"', said)


def test_answers_speak_the_language_that_is_asked_for(client: Any) -> None:
    answer = client.post(
        PAINT, headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}, data={"x": "1"}, files={"y": b"z"}
    )
    assert re.search(r"[\u4e00-\u9fff]", answer.json()["error"]["message"])
    assert "unknown" in client.post(PAINT, headers={"Accept-Language": "fr, en;q=0.5"}, **form(x="1")).text
