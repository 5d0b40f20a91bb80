"""A page of the board in Debian's chromium, against recorded answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from .fixture_server import FixtureServer
from .park import NOW

DIST = Path(__file__).parents[2] / "api/board/dist"


@pytest.fixture
def server() -> Iterator[FixtureServer]:
    """The built page with recorded answers."""
    if not (DIST / "index.html").is_file():
        pytest.fail("the board is not built: npm --prefix api/board ci && npm --prefix api/board run build")
    server = FixtureServer(DIST)
    yield server
    server.close()


@dataclass
class Desk:
    """One browser window on the board, and what it complained of."""

    page: Page
    server: FixtureServer
    complaints: list[str]

    def open(self, path: str = "") -> Page:
        """Goes to the board."""
        self.page.goto(self.server.address + path)
        return self.page


def make_desk(context: BrowserContext, server: FixtureServer) -> Desk:
    """A window whose clock shows the park's time and runs on."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.clock.install(time=NOW)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    return Desk(page, server, complaints)


@pytest.fixture
def desk(browser: Browser, server: FixtureServer) -> Iterator[Desk]:
    """A fresh window of 1920 x 1080 without memory; dark is preferred, the machine's language is English."""
    context = browser.new_context(
        viewport={"width": 1920, "height": 1080}, color_scheme="dark", locale="en-US"
    )
    yield make_desk(context, server)
    context.close()
