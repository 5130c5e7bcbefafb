"""The pictures of the studio in docs/images.

    python scripts/screenshots.py PHOTO [STYLE ...]

Opens a studio of its own and Chromium (Debian: apt install chromium fonts-noto-cjk; pip install playwright), paints the
photo and takes the page wide and light, wide and dark with a region, and as on a phone in Chinese.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
STYLES = ("starry-night", "great-wave")
WIDE = {"viewport": {"width": 1360, "height": 850}, "locale": "en-US"}
PHONE = {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN", "device_scale_factor": 2, "is_mobile": True}
SECONDS = 300


def opened(browser: Browser, address: str, photo: Path, style: str, **options: Any) -> Page:
    """A page with the photo painted in a style."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    page.locator("body[data-ready]").wait_for()
    with page.expect_file_chooser() as chooser:
        page.locator("#welcome [data-do=pick]").click()
    chooser.value.set_files(photo)
    page.locator(f'#gallery li[data-name="{style}"] .pick').click()
    painted(page)
    page.locator("#gallery li:last-child img[src^=data]").wait_for(state="attached")
    page.mouse.move(2, 2)
    return page


def painted(page: Page) -> None:
    """Wait for the full painting."""
    page.locator("#status", has_text="×").wait_for()


def taken(page: Page, name: str) -> None:
    """The page as a picture of the docs."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        page.screenshot(path=shot)
        with Image.open(shot) as image:
            image.convert("RGB").save(IMAGES / name, quality=88, optimize=True)
    print(IMAGES / name)


def region(page: Page) -> None:
    """Leave an ellipse of the photo as it is."""
    page.locator("#layers li:last-child .where").click()
    box = page.locator("painting-view .frame").bounding_box()
    assert box is not None  # noqa: S101 - it is shown
    page.locator("#brush-size").fill("0.3")
    page.mouse.move(box["x"] + 0.66 * box["width"], box["y"] + 0.45 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.74 * box["width"], box["y"] + 0.55 * box["height"], steps=8)
    page.mouse.up()
    page.locator("#layers li:last-child .where[data-drawn=true]").wait_for()
    painted(page)


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("styles", nargs="*", default=STYLES, metavar="STYLE", help="one for light, one for the others")
    args = parser.parse_args()
    photo, styles = args.photo, args.styles
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "danqing", "studio", "--no-browser", "--port", "0", "--folder", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio, sync_playwright() as play:
            assert studio.stdout is not None  # noqa: S101 - a pipe was asked for
            address = studio.stdout.readline().strip()
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            taken(opened(browser, address, photo, styles[0], **WIDE), "studio.jpg")
            dark = opened(browser, address, photo, styles[-1], **WIDE, color_scheme="dark")
            region(dark)
            taken(dark, "studio-dark.jpg")
            taken(opened(browser, address, photo, styles[-1], **PHONE), "studio-phone.jpg")
            browser.close()
            studio.terminate()


if __name__ == "__main__":
    main()
