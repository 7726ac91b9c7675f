"""Open every dashboard in Chromium, as a person would, and tell what each tile shows: `python -m dashboards.server.look FOLDER`.

For each dashboard it leaves a picture in the folder, and in `seen.json` what stood there: tiles with their names, tiles
that say that something is wrong or that there is nothing, answers of Superset that were no success, addresses outside the
machine that the page asked for. It judges nothing: tests/dashboards does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from playwright.sync_api import BrowserContext, Page, TimeoutError, sync_playwright  # noqa: A004

ASSETS = Path(__file__).resolve().parents[1] / "assets"
SECONDS = 120
WIDTH, HEIGHT = 1600, 1000
OPTIONS = ["--no-sandbox"]
"""It runs as root where tests do."""
OPENINGS = 3
"""On a busy machine a page of Superset was seen to stay blank once in a dozen openings; a person would load it again."""


def main(folder: Path, user: str = "analyst") -> None:
    """Look at every dashboard of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    slugs = [yaml.safe_load(path.read_text())["slug"] for path in sorted((ASSETS / "dashboards").glob("*.yaml"))]
    url = os.environ["SUPERSET_URL"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=OPTIONS)
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        context.set_default_timeout(SECONDS * 1000)
        enter(context, url, user, os.environ[f"SUPERSET_{user.upper()}_PASSWORD"])
        seen = {slug: look(context, url, slug, folder / f"{slug}.png") for slug in slugs}
        browser.close()
    (folder / "seen.json").write_text(json.dumps(seen, indent=2) + "\n")


def enter(context: BrowserContext, url: str, user: str, password: str) -> None:
    """Log in by the form."""
    page = context.new_page()
    page.goto(f"{url}/login/")
    page.locator("#username").fill(user)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_url(lambda now: "/login" not in now)
    page.close()


def look(context: BrowserContext, url: str, slug: str, picture: Path) -> dict[str, Any]:
    """Open one, wait until no tile is loading, take its picture."""
    page = context.new_page()
    failed: list[str] = []
    outside: set[str] = set()
    asked = 0

    def answered(response: Any) -> None:
        nonlocal asked
        asked += "/api/v1/chart/data" in response.url
        if response.status >= 400:
            failed.append(f"{response.status} {urlsplit(response.url).path}")

    def left(request: Any) -> None:
        """A request that the page's policy has stopped never left."""
        host = urlsplit(request.url).hostname
        if host not in (None, "127.0.0.1") and request.failure != "csp":
            outside.add(f"{host} {request.failure}")

    page.on("response", answered)
    page.on("requestfinished", left)
    page.on("requestfailed", left)
    try:
        openings = opened(page, f"{url}/superset/dashboard/{slug}/")
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, height)})
        page.wait_for_function(DRAWN)
    except TimeoutError:
        page.screenshot(path=str(picture))  # what stood there instead
        raise
    picture.write_bytes(still(page))
    seen = {"tiles": page.evaluate(TILES), "answers": asked, "failed": failed, "outside": sorted(outside)}
    page.close()
    return seen | {"openings": openings}


def opened(page: Page, address: str) -> int:
    """Open it until its first tile is there; how many times that took."""
    for opening in range(1, OPENINGS):
        page.goto(address)
        try:
            page.locator(TILE).first.wait_for(timeout=SECONDS * 1000 / 2)
        except TimeoutError:
            continue
        return opening
    page.goto(address)
    page.locator(TILE).first.wait_for()
    return OPENINGS


def still(page: Page) -> bytes:
    """A picture of the page once two in a row are alike: charts grow into place."""
    before, now = b"", bytes(page.screenshot(full_page=True))
    while now != before:
        before, now = now, bytes(page.screenshot(full_page=True))
    return now


TILE = ".dashboard-component-chart-holder"
DRAWN = """() => {
  const tiles = [...document.querySelectorAll('.dashboard-component-chart-holder')];
  return tiles.length > 0 && tiles.every(tile => tile.querySelector('.slice_container canvas, .slice_container svg, ' +
      '.slice_container table, .slice_container .header-line, .slice_container .ant-empty, [role=alert], .ant-alert') &&
      !tile.querySelector('.loading'));
}"""
TILES = """() => [...document.querySelectorAll('.dashboard-component-chart-holder')].map(tile => ({
  name: (tile.querySelector('.header-title, [data-test="editable-title"]') || {}).innerText || '',
  text: tile.innerText.slice(0, 400),
  drawn: !!tile.querySelector('.slice_container canvas, .slice_container table, .slice_container .header-line'),
}))"""


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
