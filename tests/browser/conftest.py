"""A real browser, one for the whole run, and a server per module that it looks at.

It is Debian's chromium. On a machine without one these tests are left out, and the report says so at its head;
continuous integration installs one, and fails where there is none.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.wire.conftest import SECRET, add_key, base_url, client

__all__ = ["add_key", "base_url", "client"]

CHROMIUM = shutil.which("chromium")

collect_ignore_glob = [] if os.environ.get("CI") or CHROMIUM else ["test_*.py"]

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Nothing is looked up elsewhere, and a container's root may run it."""

DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def raw(base_url: str) -> Iterator[httpx.Client]:
    """Plain HTTP with the secret key; each call by a connection of its own, as minutes may lie between two."""
    headers = {"authorization": f"Bearer {SECRET}"}
    with httpx.Client(
        base_url=base_url, headers=headers, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The one browser of the run."""
    assert CHROMIUM is not None, "there is no chromium on this machine; `apt-get install chromium` brings it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def page(chromium: Browser, base_url: str) -> AsyncIterator[Page]:
    """A fresh window without cookies. What a page's scripts complain of fails the test."""
    context = await chromium.new_context(base_url=base_url, viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    context.set_default_timeout(10_000)
    opened = await context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    await context.close()
    assert complaints == []
