"""Tabs of a browser that note whatever is wrong: errors, violations, requests that leave."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request

HERE = Path(__file__).parent
AXE = HERE / "axe" / "axe.min.js"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb", "--host-resolver-rules=MAP far.example 127.0.0.1",
)  # fmt: skip
PATIENCE = 10_000
"""Milliseconds."""
DESK, PHONE = (1440, 900), (390, 844)
Theme = Literal["light", "dark"]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def program() -> str | None:
    """The machine's Chromium."""
    named = os.environ.get("PGQ_TEST_CHROMIUM")
    names = (named,) if named else ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Tab:
    """A page of the dashboard, and what went wrong in it."""

    def __init__(self, context: BrowserContext, root: str) -> None:
        self.context = context
        self.root = root
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.wrong: list[str] = []
        self.expected: list[str] = []
        self.requests: list[Request] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", self._alarmed)
        self.page.on("request", self._asked)

    def go(self, path: str = "/ui") -> Tab:
        """Open a page, and wait until it stands."""
        self.page.goto(f"{self.root}{path}")
        return self

    def expect_complaint(self, pattern: str) -> None:
        """What matches may be said in the console."""
        self.expected.append(pattern)

    def find(self, selector: str, **options: Any) -> Locator:
        return self.page.locator(selector, **options)

    def see(self, text: str | re.Pattern[str], within: str = "body") -> None:
        """Wait until a text is seen."""
        self.find(within).get_by_text(text).first.wait_for()

    def text(self, selector: str) -> str:
        return self.find(selector).first.inner_text()

    def open_dialog(self, button: str) -> Locator:
        """Press the button that opens a dialog; the dialog."""
        self.page.get_by_role("button", name=button).or_(
            self.page.get_by_role("link", name=button)
        ).first.click()
        dialog = self.find("#dialog[open]")
        dialog.locator(".dialog-head").wait_for()
        return dialog

    def update(self) -> None:
        """Have the page fetched again and merged in, as after a change; wait until it is."""
        self.page.evaluate(
            "new Promise(done => { document.addEventListener('htmx:after:swap', done,"
            " { once: true }); document.body.dispatchEvent(new CustomEvent('pgq:change')); })"
        )

    def complaints(self) -> list[str]:
        """What went wrong and was not expected."""
        return [
            each
            for each in self.wrong
            if not any(re.search(known, each) for known in self.expected)
        ]

    def axe(self) -> list[str]:
        """What axe says against the page as it stands."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run(document, rules)", RULES)
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]} ({node.get('failureSummary')})"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _alarmed(self, dialog: Any) -> None:
        self.wrong.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((f"{self.root}/", "data:", "about:", "blob:")):
            self.wrong.append(f"left the server: {request.url}")


class Tabs:
    """Those of one test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._opened: list[Tab] = []

    def open(
        self,
        root: str,
        *,
        theme: Theme = "light",
        size: tuple[int, int] = DESK,
        **options: Any,
    ) -> Tab:
        """A tab in a context of its own."""
        width, height = size
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        tab = Tab(context, root)
        self._opened.append(tab)
        return tab

    def close(self) -> None:
        """End them all; fails when one had something to complain about."""
        complaints = [each for tab in self._opened for each in tab.complaints()]
        for tab in self._opened:
            tab.context.close()
        assert not complaints, "\n".join(complaints)
