"""Debian's Chromium, headless, for tests of pages: what a page said on its console, and everything it asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

PROGRAM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
SEVERE = ("serious", "critical")


@dataclass
class Visit:
    """A page that is open.

    complaints:  what its console has for an error or a warning, and exceptions that nobody caught
    requested:   every address that it asked for, whether or not there was an answer
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    @property
    def outside(self) -> list[str]:
        """What it asked of other machines."""
        return [url for url in self.requested if _host(url) not in ("", "127.0.0.1", "localhost")]

    async def severe(self) -> list[str]:
        """What axe finds to be a serious or critical obstacle, one line each."""
        await self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        found: dict[str, Any] = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found["violations"]
            if one["impact"] in SEVERE
        ]

    async def wider_than_the_window(self) -> int:
        """By how many pixels the page must be pushed sideways to be read; 0 where it fits."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@dataclass
class Chromium:
    """A running browser; each visit has a profile of its own."""

    browser: Browser

    @asynccontextmanager
    async def visit(
        self,
        url: str | Path,
        size: tuple[int, int] = DESKTOP,
        scheme: Literal["light", "dark"] = "light",
        *,
        scripts: bool = True,
    ) -> AsyncIterator[Visit]:
        """Open a page at a window's size; a path is opened as a file. ``scripts``: whether the page may run any."""
        width, height = size
        context = await self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
        )
        try:
            visit = Visit(await context.new_page())
            _listen(visit)
            await visit.page.goto(_address(url), wait_until="load", timeout=20_000)
            yield visit
        finally:
            await context.close()


def _listen(visit: Visit) -> None:
    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.complaints.append(f"{message.type}: {message.text}")

    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.complaints.append(f"exception: {error}"))
    visit.page.on("request", lambda request: visit.requested.append(request.url))


def _address(url: str | Path) -> str:
    return url.resolve().as_uri() if isinstance(url, Path) else url


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """A browser for the length of a test; nothing is installed here."""
    if not os.access(PROGRAM, os.X_OK):
        pytest.fail(f"no {PROGRAM}: run scripts/browser.sh")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        try:
            yield Chromium(browser)
        finally:
            await browser.close()
