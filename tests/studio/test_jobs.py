"""Jobs outlive clients, workers and the server, are cancelled for good, and are not too many: F8, F11, F12, S15."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from danqing.errors import RunFailed
from danqing.studio import jobs
from danqing.studio.confine import YIELDING
from danqing.studio.pool import Pool
from danqing.studio.settings import Settings
from danqing.studio.store import Store
from danqing.work import WorkList
from tests.studio.conftest import Serve, Served, eventually, finished, picture, serving

PAINT = "/api/v1/paint"
SLOW = {"engine": "optimize", "size": "96", "steps": "2000", "tolerance": "0"}


def order(client: Any, **fields: Any) -> dict[str, Any]:
    """A job of a small painting."""
    answer = client.post(PAINT, files={"photo": ("桂林.png", picture())}, data={"style": "reeds", "job": "1"} | fields)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def slow(client: Any) -> dict[str, Any]:
    """A job that takes minutes unless it is stopped, and has begun."""
    answer = client.post(
        PAINT, files=[("photo", ("桂林.png", picture())), ("style", ("画.png", picture(seed=4)))], data=SLOW
    )
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    eventually(lambda: state(client, job).get("progress", {}).get("step", 0) > 1, seconds=120)
    return job


def state(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/jobs/{job['id']}").json()
    return found


def test_a_job_tells_how_far_it_is_and_is_stopped_within_a_step(served: Served, client: Any) -> None:
    job = slow(client)
    told = []
    with client.stream("GET", f"/api/v1/jobs/{job['id']}/events") as lines:
        assert lines.headers["content-type"].startswith("text/event-stream")
        for line in lines.iter_lines():
            if line.startswith("data:"):
                told.append(json.loads(line[5:]))
                if len(told) == 3:
                    began = time.monotonic()
                    assert client.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 200
    assert time.monotonic() - began < 15
    assert told[-1]["state"] == "cancelled" and told[0]["progress"]["steps"] == 2000
    assert client.get(f"/api/v1/jobs/{job['id']}/result").status_code == 200, "what was there is kept"
    assert client.get(f"/api/v1/jobs/{job['id']}/preview").status_code == 409


def test_what_waits_is_cancelled_before_it_begins(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        first = slow(client)
        second = order(client)
        assert client.post(f"/api/v1/jobs/{second['id']}/cancel").json()["state"] == "cancelled"
        client.post(f"/api/v1/jobs/{first['id']}/cancel")
        third = order(client)
        assert finished(client, third)["state"] == "done"
        assert state(client, second)["state"] == "cancelled"


def test_a_painting_is_polished_into_the_gallery_and_out_again(client: Any) -> None:
    sent = {"files": {"file": ("画.png", picture((200, 150), seed=6))}, "data": {"name": "我的画", "seconds": "5"}}
    job = client.post("/api/v1/styles", **sent)
    assert job.status_code == 202, job.text
    told = finished(client, job.json(), seconds=300)
    assert told["state"] == "done", told
    assert told["kind"] == "polish" and told["result"]["style"] == "我的画"
    (entry,) = (style for style in client.get("/api/v1/styles").json() if style["name"] == "我的画")
    assert entry["ready"] and entry["own"] and entry["picture"]
    assert client.get("/api/v1/styles/我的画/picture?size=64").headers["content-type"] == "image/jpeg"
    assert client.post(PAINT, files={"photo": picture()}, data={"style": "我的画"}).status_code == 200
    assert client.post("/api/v1/styles", **sent).status_code == 422, "the name is taken"
    assert client.delete("/api/v1/styles/我的画").status_code == 204
    assert "我的画" not in client.get("/api/v1/styles").text


def test_the_painting_is_shown_while_it_is_made(client: Any) -> None:
    job = slow(client)
    eventually(lambda: state(client, job).get("pictures", 0) > 0)
    assert client.get(f"/api/v1/jobs/{job['id']}/preview").headers["content-type"] == "image/jpeg"
    client.post(f"/api/v1/jobs/{job['id']}/cancel")


def test_f12_a_server_that_is_killed_loses_nothing_and_does_nothing_twice(studio_home: Path, tmp_path: Path) -> None:
    with serving(studio_home, tmp_path / "画室") as served, served.client() as client:
        first = slow(client)
        waiting = [order(client, size=str(40 + n)) for n in range(20)]
        workers = served.workers()
        served.kill()
    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers) or sys.platform != "linux")
    with WorkList(tmp_path / "画室" / "jobs" / "list") as work:
        assert [work.get(job["id"]).state for job in waiting] == ["queued"] * 20  # type: ignore[union-attr]
        assert work.get(first["id"]).state == "running"  # type: ignore[union-attr]
    with serving(studio_home, tmp_path / "画室") as served, served.client() as client:
        eventually(lambda: state(client, first)["state"] == "running", seconds=60)
        client.post(f"/api/v1/jobs/{first['id']}/cancel")
        for number, job in enumerate(waiting):
            done = finished(client, job)
            assert done["state"] == "done" and done["result"]["width"] == 40 + number
        assert client.get(f"/api/v1/jobs/{waiting[3]['id']}/result").status_code == 200
    with WorkList(tmp_path / "画室" / "jobs" / "list") as work:
        assert [work.get(job["id"]).tries for job in waiting] == [1] * 20  # type: ignore[union-attr]
        assert work.get(first["id"]).tries == 2  # type: ignore[union-attr]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_f8_a_job_whose_worker_dies_twice_is_given_up(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        job = slow(client)
        for _ in range(2):
            for worker in served.workers():
                os.kill(worker, 9)
            eventually(lambda: state(client, job).get("progress", {}).get("step", 0) < 2)
            over = eventually(
                lambda: (
                    state(client, job)["state"] == "failed" or state(client, job).get("progress", {}).get("step", 0) > 1
                ),
                seconds=120,
            )
            assert over
        told = eventually(lambda: (now := state(client, job))["state"] == "failed" and now)
        assert "twice" in told["error"]["message"]
        assert finished(client, order(client))["state"] == "done"


def test_s15_a_full_queue_turns_away_and_loses_nothing(serve: Serve) -> None:
    served = serve(queue=3)
    with served.client() as client:
        first = slow(client)
        kept = [order(client), order(client)]
        began = time.monotonic()
        answer = client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert time.monotonic() - began < 2
        client.post(f"/api/v1/jobs/{first['id']}/cancel")
        assert [finished(client, job)["state"] for job in kept] == ["done", "done"]
        assert client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"}).status_code == 200


def test_s15_a_burst_is_painted_or_turned_away(serve: Serve) -> None:
    served = serve(queue=4)

    def one(number: int) -> int:
        with served.client() as client:
            data = {"style": "reeds", "size": str(64 + number)}
            return int(client.post(PAINT, files={"photo": picture()}, data=data).status_code)

    with concurrent.futures.ThreadPoolExecutor(40) as threads:
        codes = collections.Counter(threads.map(one, range(60)))
    assert set(codes) == {200, 429} and codes[200] >= 5


def test_s15_a_stranger_has_few_jobs_at_a_time(serve: Serve) -> None:
    served = serve(host="0.0.0.0", hosts=["127.0.0.1"], each=2)
    with served.client(Authorization=f"Bearer {served.token}") as client:
        first = slow(client)
        order(client)
        answer = client.post(PAINT, files={"photo": picture()}, data={"style": "reeds", "job": "1"})
        assert answer.status_code == 429
        client.post(f"/api/v1/jobs/{first['id']}/cancel")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_s15_a_job_without_progress_is_stopped(serve: Serve) -> None:
    served = serve(stall_seconds=3)
    with served.client() as client:
        job = slow(client)
        for worker in served.workers():
            os.kill(worker, signal.SIGSTOP)
        told = finished(client, job, seconds=30)
        assert told["state"] == "failed" and "stopped" in told["error"]["message"]
        for worker in served.workers():
            os.kill(worker, signal.SIGCONT)  # the one that looks at pictures is there still
        assert client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"}).status_code == 200


def test_s15_a_job_that_takes_too_long_is_stopped(serve: Serve) -> None:
    served = serve(job_seconds=4)
    with served.client() as client:
        answer = client.post(PAINT, files=[("photo", picture()), ("style", picture(seed=4))], data=SLOW)
        told = finished(client, answer.json())
        assert told["state"] == "failed" and "stopped" in told["error"]["message"]
        assert client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"}).status_code == 200


def test_s15_what_is_kept_has_a_quota_and_an_age(serve: Serve, tmp_path: Path) -> None:
    served = serve(quota=150_000)
    with served.client() as client:
        codes = [
            client.post("/api/v1/pictures", files={"picture": picture((300, 300), seed=n, kind="BMP")}).status_code
            for n in range(3)
        ]
        assert codes[0] == 201 and codes[-1] == 429
    store = Store(tmp_path / "店" / "pictures", quota=10**6, age=0.01)
    import io

    file = store.put(io.BytesIO(b"x"), "a.png")
    time.sleep(0.05)
    store.sweep()
    assert not (store.folder / file.id).exists()


def test_a_list_that_cannot_be_written_for_a_while_is_worked_off_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "POLL", 0.01)
    asked: list[int] = []

    class Full:
        def take(self) -> None:
            asked.append(1)
            if len(asked) == 1:
                raise RunFailed("the disk is full")

    async def run() -> None:
        settings = Settings(folder=tmp_path)
        working = jobs.Jobs(tmp_path, Pool(1, settings), settings)
        monkeypatch.setattr(working, "_work", Full())
        runner = asyncio.create_task(working._run())
        while len(asked) < 3:
            await asyncio.sleep(0.01)
        assert not runner.done()
        runner.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system knows no niceness")
def test_painters_give_way_to_the_server(tmp_path: Path) -> None:
    (photo := tmp_path / "photo.png").write_bytes(picture())

    async def run(*, yielding: bool) -> int:
        pool = Pool(1, Settings(folder=tmp_path), yielding=yielding)
        await pool.start()
        try:
            await pool.run({"do": "look", "files": [[str(photo), "photo"]]}, seconds=30)
            own, found = os.getpriority(os.PRIO_PROCESS, 0), 0
            for _ in range(100):  # a worker that has taken the place of a worn one may not be there yet
                found = os.getpriority(os.PRIO_PROCESS, pool._idle[0].process.pid) - own
                if bool(found) == yielding:
                    break
                await asyncio.sleep(0.1)
            return found
        finally:
            await pool.close()

    most = min(YIELDING, 19 - os.getpriority(os.PRIO_PROCESS, 0))
    assert [asyncio.run(run(yielding=yielding)) for yielding in (False, True)] == [0, most]


# ── F11: clients that go ────────────────────────────────────────────────────────────────────────────────────────────


def body(*, photo: bytes) -> bytes:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="style"\r\n\r\nreeds\r\n',
        b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n' + photo + b"\r\n--x--\r\n",
    ]
    return b"".join(parts)


def head(length: int) -> bytes:
    return (
        f"POST {PAINT} HTTP/1.1\r\nHost: localhost\r\nX-Danqing: 1\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    ).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_f11_clients_that_go_leave_nothing_behind(serve: Serve) -> None:
    served = serve()
    files = Path(f"/proc/{served.process.pid}/fd")
    with served.client() as client:
        client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"})
        before = len(list(files.iterdir()))
        content = body(photo=picture((700, 500)))
        for number in range(50):
            with socket.create_connection(("127.0.0.1", served.port)) as line:
                line.sendall(head(len(content)) + content[: len(content) * (number % 5) // 4])
                time.sleep(0.02 * (number % 3))
        eventually(lambda: not list((served.folder / "pictures").iterdir()), seconds=20)
        eventually(lambda: abs(len(list(files.iterdir())) - before) <= 2, seconds=20)
        assert client.post(PAINT, files={"photo": picture()}, data={"style": "reeds"}).status_code == 200


def test_f11_a_job_goes_on_without_its_client(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        job = order(client)
    time.sleep(0.2)
    with served.client() as client:
        assert finished(client, job)["state"] == "done"
