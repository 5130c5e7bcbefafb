"""How long after a slider is moved the picture follows, in a browser, from the move to the picture on the screen.

    python benchmarks/sliding.py PHOTO [STYLE]

Opens a studio of its own and headless Chromium (Debian: apt install chromium; pip install playwright), drops the photo,
takes the style, and moves the strength: once at a time with rests in between, so that full paintings are made too, and
without a rest as a hand does. Prints the seconds to the preview and the pictures a second.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

MOVES = 20
PAUSE = 900  # ms between two moves: longer than the page waits before it makes the full painting
SLIDE = 4000  # ms of sliding without a rest
STYLE = "great-wave"

WATCH = """() => {
    const picture = document.querySelector("painting-view .after");
    window.shown = [];
    const note = () => requestAnimationFrame(() => shown.push([performance.now(), picture.naturalWidth]));
    new MutationObserver(note).observe(picture, { attributeFilter: ["src"] });
    window.move = (value) => {
        const slider = document.getElementById("strength");
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        return performance.now();
    };
}"""

ONCE = """async (value) => {
    const before = shown.length;
    const began = move(value);
    while (shown.length === before) await new Promise(requestAnimationFrame);
    return [(shown[before][0] - began) / 1000, shown[before][1]];
}"""

ON_AND_ON = """async (milliseconds) => {
    const before = shown.length;
    const began = performance.now();
    while (performance.now() - began < milliseconds) {
        move(0.5 + 0.5 * Math.sin((performance.now() - began) / 300));
        await new Promise(requestAnimationFrame);
    }
    const times = [began, ...shown.slice(before).map(([time]) => time)];
    return times.slice(1).map((time, at) => (time - times[at]) / 1000);
}"""


def moved(page: Page) -> list[tuple[float, int]]:
    """Seconds until the preview is on the screen and its width in px, of moves with rests in between."""
    found = []
    for number in range(MOVES):
        page.wait_for_timeout(PAUSE)
        seconds, width = page.evaluate(ONCE, 0.3 + 0.7 * number / MOVES)
        found.append((seconds, width))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("style", nargs="?", default=STYLE)
    arguments = parser.parse_args()
    chromium: Any = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "danqing", "studio", "--no-browser", "--port", "0", "--folder", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio, sync_playwright() as play:
            assert studio.stdout is not None  # noqa: S101 - a pipe was asked for
            address = studio.stdout.readline().strip()
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1360, "height": 850})
            page.goto(address)
            page.locator("body[data-ready]").wait_for()
            with page.expect_file_chooser() as chooser:
                page.locator("#welcome [data-do=pick]").click()
            chooser.value.set_files(arguments.photo)
            page.locator(f'#gallery li[data-name="{arguments.style}"] .pick').click()
            page.locator("#gallery li:last-child img[src^=data]").wait_for(state="attached", timeout=120_000)
            page.wait_for_timeout(3000)
            page.evaluate(WATCH)
            found = moved(page)
            gaps = page.evaluate(ON_AND_ON, SLIDE)
            browser.close()
            studio.terminate()
    seconds = sorted(second for second, _ in found)
    print(f"a move: {statistics.median(seconds):.2f} s to the preview, {seconds[-2]:.2f} s at most but for one,")
    print(f"  {min(width for _, width in found)} to {max(width for _, width in found)} px wide")
    print(f"sliding: {len(gaps) / sum(gaps):.1f} pictures/s, {max(gaps):.2f} s apart at most")


if __name__ == "__main__":
    main()
