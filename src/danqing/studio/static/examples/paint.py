"""Paint a photo over HTTP, at once and as a job; needs httpx."""

import time

import httpx

with httpx.Client(base_url="http://127.0.0.1:8765/api/v1", headers={"X-Danqing": "1"}, timeout=120) as studio:
    with open("photo.jpg", "rb") as photo:
        answer = studio.post("/paint", files={"photo": photo}, data={"style": "great-wave", "size": 1024})
    answer.raise_for_status()
    with open("painting.png", "wb") as file:
        file.write(answer.content)

    with open("photo.jpg", "rb") as photo, open("my-painting.jpg", "rb") as style:
        files = [("photo", photo), ("style", style)]
        job = studio.post("/paint", files=files, data={"job": "true", "brush": 0.3, "format": "webp"}).json()
    while job["state"] in ("queued", "running"):
        time.sleep(0.5)
        job = studio.get(f"/jobs/{job['id']}").json()
    with open("painting.webp", "wb") as file:
        file.write(studio.get(f"/jobs/{job['id']}/result").raise_for_status().content)
