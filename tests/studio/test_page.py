"""The page in a real browser: everything a person does there, without an error and without a request to elsewhere."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from danqing.picture import provenance
from danqing.recipe import Recipe
from danqing.studio.app import PAGES, STATIC
from tests.studio.conftest import Serve, Served, picture

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SLOW = 90_000  # ms that a busy machine may take for anything
expect.set_options(timeout=SLOW)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *camera])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Open]:
    """Pages that are watched: no error in the console, nothing asked of anybody else."""
    wrong: list[str] = []
    contexts = []

    def start(at: Served = served, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US"} | options)
        contexts.append(context)
        context.set_default_timeout(SLOW)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("request", lambda r: None if r.url.startswith((at.address, "blob:", "data:")) else wrong.append(r.url))
        page.goto(at.address)
        page.locator("body[data-ready]").wait_for()
        return page

    yield start
    for context in contexts:
        context.close()
    superseded = re.compile(r"^409 .*/preview$|status of 409")
    assert [line for line in wrong if not superseded.search(line)] == []


@pytest.fixture
def unwatched(browser: Any) -> Iterator[Any]:
    """A page to which something may go wrong."""
    context = browser.new_context(locale="en-US")
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


def carried(page: Any, data: bytes, name: str, kind: str) -> Any:
    """A file as a drop or the clipboard carries it."""
    return page.evaluate_handle(
        """([data, name, type]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type }));
            return transfer;
        }""",
        [base64.b64encode(data).decode(), name, kind],
    )


def drop(page: Any, data: bytes, name: str, *, on: str = "#stage", kind: str = "image/png") -> None:
    """Drop a file on a part of the page."""
    made = carried(page, data, name, kind)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(on, event, {"dataTransfer": made})


def style(page: Any, name: str) -> Any:
    return page.locator(f'#gallery li[data-name="{name}"] .pick')


def painted(page: Any) -> None:
    """Wait for the full painting."""
    expect(page.locator("#status")).to_have_text(re.compile("painted in|用时"))


def begin(page: Any, *, photo: bytes | None = None) -> None:
    drop(page, photo or picture((240, 160)), "桂林 山水.png")
    expect(page.locator("painting-view")).to_be_visible()
    style(page, "reeds").click()
    painted(page)


def brush(page: Any) -> Any:
    """Paint a little of a region for the first style; the button that says where it is painted."""
    where = page.locator("#layers .where").first
    where.focus()
    for key in ("Enter", "ArrowDown", " ", "Escape"):
        page.keyboard.press(key)
    expect(where).to_have_attribute("data-drawn", "true")
    return where


def downloaded(page: Any) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.locator("#download").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_photo_is_dropped_painted_and_downloaded_with_its_recipe(open_page: Open) -> None:
    page = open_page()
    begin(page)
    expect(style(page, "smoke").locator("img")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    name, data = downloaded(page)
    assert name == "桂林 山水.reeds.png"
    recipe = Recipe.from_toml(provenance.read(data) or "")
    assert [s.name for s in recipe.styles] == ["reeds"] and recipe.content and recipe.content.name == "桂林 山水.png"
    expect(page.locator("#history li")).to_have_count(1)


def test_styles_are_mixed_and_knobs_are_turned(open_page: Open) -> None:
    page = open_page()
    begin(page)
    page.locator('#gallery li[data-name="smoke"] .more').click()
    expect(page.locator("#layers .weight:visible")).to_have_count(2)
    page.locator("#layers .weight").first.fill("0.5")
    page.locator("#strength").fill("0.6")
    page.locator("#keep_color").select_option("luminance")
    page.locator("#format").select_option("webp")
    name, data = downloaded(page)
    recipe = Recipe.from_toml(provenance.read(data) or "")
    assert name.endswith(".webp")
    expect(page.locator("#history button").first).to_have_accessible_name(
        re.compile("Strength 0.6, Colours of the photo")
    )
    assert [(s.name, s.weight) for s in recipe.styles] == [("reeds", 0.5), ("smoke", 1.0)]
    assert (recipe.strength, recipe.keep_color) == (0.6, "luminance")


def test_a_dropped_painting_becomes_a_style(open_page: Open) -> None:
    page = open_page()
    begin(page)
    drop(page, picture((120, 90), seed=9, kind="JPEG"), "我的画.jpg", on="#gallery", kind="image/jpeg")
    expect(page.locator("#layers .title").first).to_have_text("我的画")
    painted(page)
    _, data = downloaded(page)
    assert [s.name for s in Recipe.from_toml(provenance.read(data) or "").styles] == ["我的画.jpg"]


def test_a_region_is_painted_undone_and_done_again(open_page: Open) -> None:
    page = open_page()
    begin(page)
    page.locator("#layers li", has_text="Leave as it is").locator(".where").click()
    box = page.locator("painting-view .frame").bounding_box()
    page.keyboard.press("]")
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.6, steps=5)
    page.mouse.up()
    region = page.locator("#layers li", has_text="Leave as it is").locator(".where")
    expect(region).to_have_attribute("data-drawn", "true")
    page.keyboard.press("Control+z")
    expect(region).to_have_attribute("data-drawn", "false")
    page.keyboard.press("Control+Shift+z")
    expect(region).to_have_attribute("data-drawn", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#tools")).to_be_hidden()
    _, data = downloaded(page)
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(picture((240, 160)))) as photo:
        near = [abs(a - b) for a, b in zip(image.getpixel((60, 88)), photo.getpixel((60, 88)), strict=True)]
    assert max(near) <= 2, "the photo is kept there"
    assert Recipe.from_toml(provenance.read(data) or "").protect is not None


def test_a_region_is_dropped_as_a_picture(open_page: Open) -> None:
    page = open_page()
    begin(page)
    where = page.locator("#layers li", has_text="Leave as it is").locator(".where")
    where.click()
    half = Image.new("L", (60, 40))
    half.paste(255, (0, 0, 30, 40))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    drop(page, buffer.getvalue(), "遮罩.png")
    expect(where).to_have_attribute("data-drawn", "true")
    page.keyboard.press("Control+z")
    expect(where).to_have_attribute("data-drawn", "false")
    drop(page, b"no picture", "x.png")
    expect(page.get_by_role("alert")).to_contain_text("mask")


def test_a_photo_is_pasted(open_page: Open) -> None:
    page = open_page()
    made = carried(page, picture((120, 80)), "山.png", "image/png")
    page.evaluate("(made) => dispatchEvent(new ClipboardEvent('paste', { clipboardData: made }))", made)
    expect(page.locator("painting-view")).to_be_visible()


def test_before_and_after_are_compared_zoomed_and_moved(open_page: Open) -> None:
    page = open_page()
    begin(page)
    line = page.get_by_role("slider", name="Before and after")
    line.focus()
    page.keyboard.press("ArrowLeft")
    expect(line).to_have_attribute("aria-valuenow", "48")
    page.keyboard.press("Home")
    expect(line).to_have_attribute("aria-valuenow", "0")
    box = line.bounding_box()
    page.mouse.move(box["x"] + 22, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 222, box["y"] + 40, steps=4)
    page.mouse.up()
    assert int(line.get_attribute("aria-valuenow") or 0) > 10
    before = page.locator("painting-view .frame").bounding_box()["width"]
    page.get_by_role("button", name="Larger").click()
    assert page.locator("painting-view .frame").bounding_box()["width"] > 1.2 * before
    page.get_by_role("button", name="Whole picture").click()
    assert abs(page.locator("painting-view .frame").bounding_box()["width"] - before) < 1


def best(page: Any) -> None:
    """Begin a painting of the best quality."""
    begin(page)
    expect(page.locator("#best")).to_be_disabled()
    drop(page, picture((120, 90), seed=9), "画.png", on="#gallery")
    painted(page)
    page.locator("#best").click()
    expect(page.locator("#job-said")).to_have_text(re.compile(r"step \d+ of \d+"))


def test_best_quality_shows_how_far_it_is_stops_and_is_what_is_downloaded(open_page: Open) -> None:
    page = open_page()
    best(page)
    page.locator("#job-stop").click()
    expect(page.locator("#job")).to_be_hidden()
    painted(page)
    page.locator("#format").select_option("webp")
    name, data = downloaded(page)
    assert name.endswith(".png") and Recipe.from_toml(provenance.read(data) or "").engine == "optimize"
    expect(page.locator("#history li")).to_have_count(3)


def test_what_is_painted_at_once_takes_no_place_of_the_best(open_page: Open) -> None:
    page = open_page()
    best(page)
    page.locator("#format").select_option("webp")
    with page.expect_download() as download:
        page.locator("#download").click()
        page.locator("#job-stop").click()
    assert download.value.suggested_filename.endswith(".webp")
    expect(page.locator("#history li")).to_have_count(4)


def test_going_back_to_a_painting_leaves_it_as_it_was(open_page: Open) -> None:
    page = open_page()
    begin(page)
    works = page.locator("#history li")
    where = brush(page)
    expect(works).to_have_count(2)
    style(page, "smoke").click()
    expect(works).to_have_count(3)
    works.nth(1).locator("button").click()
    expect(where).to_have_attribute("data-drawn", "true")
    where.click()
    page.locator("#clear").click()
    expect(where).to_have_attribute("data-drawn", "false")
    expect(works).to_have_count(4)
    works.nth(2).locator("button").click()
    expect(where).to_have_attribute("data-drawn", "true")


def test_a_full_painting_that_is_a_job_is_waited_for_and_not_begun_twice(open_page: Open, serve: Serve) -> None:
    page = open_page(serve(at_once=1000))
    asked, held = [], []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.route("**/events", lambda route: held.append(route))
    drop(page, picture((240, 160)), "桂林.png")
    with page.expect_request("**/events"):
        style(page, "reeds").click()
    with page.expect_download():
        page.locator("#download").click()
        page.wait_for_timeout(500)
        for route in held:
            route.continue_()
    assert asked.count("paint") == 1


def test_a_job_of_which_nothing_is_heard_is_no_longer_shown(unwatched: Any, serve: Serve) -> None:
    page = unwatched
    page.goto(serve(at_once=1000).address)
    page.locator("body[data-ready]").wait_for()
    said = 'retry: 3000\nevent: job\ndata: {"kind": "paint", "state": "running"}\n\n'
    lines = iter([{"status": 200, "content_type": "text/event-stream", "body": said}])
    page.route("**/events", lambda route: route.fulfill(**next(lines, {"status": 404})))
    drop(page, picture((240, 160)), "桂林.png")
    style(page, "reeds").click()
    expect(page.locator("#job")).to_be_visible()
    expect(page.locator("#job")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")


def test_a_stranger_enters_the_token_on_the_page(unwatched: Any, serve: Serve) -> None:
    served = serve(host="0.0.0.0", hosts=["127.0.0.1"])
    unwatched.goto(served.address)
    unwatched.get_by_label("Token").fill(served.token)
    unwatched.get_by_role("button").click()
    unwatched.locator("body[data-ready]").wait_for()


def test_a_film_is_trimmed_painted_and_watched_beside_the_film(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    drop(page, clip(tmp_path, 40), "桂林.webm", kind="video/webm")
    expect(page.locator("#film")).to_be_visible()
    style(page, "reeds").click()
    painted(page)
    page.locator("#film-start").fill("0.4")
    painted(page)
    page.locator("#film-end").fill("0.8")
    expect(page.locator("#film-span")).to_have_text("0:00.4 – 0:00.8, 0.4 s")
    page.locator("#film-format").select_option("webm")
    page.locator("#film-paint").click()
    expect(page.locator("#watch")).to_be_visible()
    expect(page.locator("painting-view")).to_be_hidden()
    known = """() => new Promise((done) => {
        const film = document.getElementById("film-after");
        const look = () => film.readyState ? done([film.videoWidth, film.duration]) : setTimeout(look, 50);
        look();
    })"""
    width, seconds = page.evaluate(known)
    assert width == 64 and 0.3 < seconds < 0.5
    with page.expect_download() as download:
        page.locator("#film-download").click()
    assert download.value.suggested_filename == "桂林.reeds.webm"
    page.locator("#film-close").click()
    expect(page.locator("#film")).to_be_hidden()
    expect(page.locator("painting-view")).to_be_visible()


def test_a_film_is_stopped_and_kept_as_far_as_it_is(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    drop(page, clip(tmp_path, 300, (320, 240)), "long.webm", kind="video/webm")
    style(page, "reeds").click()
    page.locator("#film-paint").click()
    expect(page.locator("#job-said")).to_have_text(re.compile(r"frame [1-9]\d* of \d+, [\d.]+ a second"))
    page.locator("#job-stop").click()
    expect(page.locator("#film-download")).to_be_visible()
    frames = re.match(r"(\d+) frames", page.locator("#status").inner_text())
    assert frames and 0 < int(frames[1]) < 300


def test_a_film_is_stopped_although_something_else_was_painted_meanwhile(
    open_page: Open, serve: Serve, tmp_path: Path
) -> None:
    page = open_page(serve(at_once=1000, workers=2))
    drop(page, clip(tmp_path, 600, (320, 240)), "long.webm", kind="video/webm")
    style(page, "reeds").click()
    page.locator("#film-paint").click()
    said = page.locator("#job-said")
    expect(said).to_have_text(re.compile(r"frame [1-9]"))
    style(page, "smoke").click()
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.locator("#film-paint")).to_be_disabled()
    expect(said).to_have_text(re.compile(r"frame [1-9]"))
    page.locator("#job-stop").click()
    expect(page.locator("#film-download")).to_be_visible()
    expect(page.locator("#job")).to_be_hidden()
    expect(page.locator("#film-paint")).to_be_enabled()
    frames = re.match(r"(\d+) frames", page.locator("#status").inner_text())
    assert frames and 0 < int(frames[1]) < 600


def test_regions_of_a_photo_are_none_of_a_film(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    begin(page)
    where = brush(page)
    drop(page, clip(tmp_path, 10), "桂林.webm", kind="video/webm")
    expect(page.locator("#film")).to_be_visible()
    expect(where).to_have_attribute("data-drawn", "false")


def clip(folder: Path, frames: int, size: tuple[int, int] = (64, 48)) -> bytes:
    for module in ("av", "cv2"):
        pytest.importorskip(module, reason="the extra video is not installed")
    from tests.video.films import film, panned

    return film(folder / "a.webm", panned(frames, size), codec="libvpx-vp9", format="yuv420p").read_bytes()


def test_a_downloaded_picture_brings_its_settings_back(open_page: Open) -> None:
    page = open_page()
    begin(page)
    page.locator("#brush").fill("0.2")
    page.locator("#format").select_option("jpeg")
    name, data = downloaded(page)
    page.locator("#brush").fill("0.9")
    style(page, "smoke").click()
    drop(page, data, name, kind="image/jpeg")
    page.get_by_role("button", name="Restore the settings").click()
    expect(page.locator("#brush")).to_have_value("0.2")
    expect(style(page, "reeds")).to_have_attribute("aria-pressed", "true")
    expect(style(page, "smoke")).to_have_attribute("aria-pressed", "false")


def test_the_language_is_switched_and_remembered(open_page: Open) -> None:
    page = open_page()
    expect(page.get_by_role("heading", name="Gallery")).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="画廊")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.reload()
    expect(page.get_by_role("heading", name="画廊")).to_be_visible()
    chinese = open_page(locale="zh-CN")
    expect(chinese.get_by_role("heading", name="画廊")).to_be_visible()


def test_on_a_phone_nothing_stands_out(open_page: Open) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    begin(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    for part in ("painting-view", "#download", "#strength"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_it_is_used_by_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the gallery")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(":focus").get_attribute("data-do") == "sample":
            break
    page.keyboard.press("Enter")
    expect(page.locator("painting-view")).to_be_visible()
    style(page, "reeds").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#gallery :focus")).to_have_count(1)
    page.keyboard.press("Enter")
    painted(page)
    brush(page)
    painted(page)
    with page.expect_download():
        page.keyboard.press("Control+s")


def test_everything_has_a_name_for_screen_readers(open_page: Open) -> None:
    page = open_page()
    begin(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=slider]")]
            .filter((e) => e.checkVisibility())
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_the_camera_is_painted_live(open_page: Open) -> None:
    page = open_page()
    style(page, "reeds").click()
    page.locator("#welcome [data-do=camera]").click()
    expect(page.locator("#rate")).to_have_text(re.compile("pictures a second"))
    page.locator("#shoot").click()
    painted(page)


@pytest.mark.parametrize("path", sorted([*STATIC.rglob("*.*"), *PAGES.iterdir()]), ids=lambda p: p.name)
def test_s19_the_page_names_no_other_machine(path: Path) -> None:
    found = re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'`)]*""", path.read_text(encoding="utf-8"))
    assert [one for one in found if "127.0.0.1" not in one and "www.w3.org" not in one] == []
