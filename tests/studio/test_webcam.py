"""The page of a camera: paintings as a stream, keys that need the header, strangers kept out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra video is not installed")
pytest.importorskip("cv2", reason="the extra video is not installed")
pytest.importorskip("fastapi", reason="the extra studio is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from starlette.testclient import TestClient

from danqing.studio.settings import Settings
from danqing.studio.webcam import application
from danqing.video.live import Live
from danqing.video.pixels import Pixels

pytestmark = pytest.mark.usefixtures("gallery")
KEY = {"X-Danqing": "test"}


class Grey:
    """A camera that ends."""

    def __init__(self, frames: int) -> None:
        self.left = frames

    def read(self) -> Pixels | None:
        self.left -= 1
        return None if self.left < 0 else np.full((48, 64, 3), 99, np.uint8)

    def close(self) -> None: ...


def test_the_page_and_its_keys(tmp_path: Path) -> None:
    live = Live(Grey(10**9), ["great-wave", "starry-night"], folder=tmp_path, steady=0, engine="optimize", steps=1)
    try:
        page = TestClient(application(live, Settings()), base_url="http://127.0.0.1")
        assert "webcam.js" in page.get("/").text and page.get("/static/webcam.js").status_code == 200
        assert "frames/s" in page.get("/api/v1/messages/en").json()["webcam_status"]
        assert page.get("/state").json()["style"] == "great-wave"
        assert page.post("/do/next").status_code == 403 and live.told()["style"] == "great-wave"
        assert page.post("/do/next", headers=KEY).json()["style"] == "starry-night"
        assert page.post("/do/dance", headers=KEY).status_code == 404
        assert page.get("/state", headers={"Host": "evil.example"}).status_code == 421
        live.picture(0)
        written = page.post("/do/snapshot", headers=KEY).json()["written"]
        assert (tmp_path / written).is_file()
    finally:
        live.close()


def test_the_stream_is_pictures_until_the_camera_ends(tmp_path: Path) -> None:
    live = Live(Grey(4), "great-wave", folder=tmp_path, steady=0, engine="optimize", steps=1)
    live.picture(0)
    try:
        answer = TestClient(application(live, Settings()), base_url="http://127.0.0.1").get("/live")
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        assert answer.content.count(b"Content-Type: image/jpeg") >= 1 and b"\xff\xd8\xff" in answer.content
    finally:
        live.close()
