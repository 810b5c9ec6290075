# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that looks at the page, and complains of what a user would not see."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
from typing import Any, NoReturn

from axe_playwright_python import sync_playwright as axe
from playwright import sync_api

from tools import cloud as clouds

_CHROMIUM = pathlib.Path("/usr/bin/chromium")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
_DOCUMENTATION = pathlib.Path(__file__).parents[2] / "doc" / "source"
#: A busy machine is no reason to fail.
SECONDS = 60.0
sync_api.expect.set_options(timeout=SECONDS * 1000)
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}


@contextlib.contextmanager
def chromium(missing_service: Callable[[str], NoReturn]) -> Iterator[sync_api.Browser]:
    """Run Debian's Chromium."""
    if not _CHROMIUM.exists():
        missing_service(f"{_CHROMIUM} does not exist: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """A person with a browser of their own."""

    def __init__(self, browser: sync_api.Browser, address: str, **context: Any) -> None:
        context.setdefault("viewport", WIDE)
        self.context = browser.new_context(base_url=address, **context)
        self.context.set_default_timeout(SECONDS * 1000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)

    def _listen(self, message: sync_api.ConsoleMessage) -> None:
        # Chromium reports answers such as 403 as errors, too; tests look at these themselves.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def close(self) -> None:
        """End the browser; it must not have complained, for example about the CSP."""
        self.context.close()
        assert self.complaints == []

    def log_in(self, user: clouds.User, *, password: str | None = None) -> None:
        """Fill in the form and send it."""
        page = self.page
        page.goto("/ui/")
        page.get_by_label("User", exact=True).fill(user.name)
        page.get_by_label("Password").fill(user.password if password is None else password)
        page.get_by_label("Project", exact=True).fill(user.project)
        page.get_by_label("Domain of the user").fill(user.domain)
        page.get_by_role("button", name="Log in").click()

    def check_axe(self) -> None:
        """Let axe look for what hinders people."""
        found = axe.Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def check_width(self) -> None:
        """Check that nobody has to scroll to the right."""
        too_wide = self.page.evaluate(
            """() => {
                const shown = document.scrollingElement.clientWidth;
                if (document.scrollingElement.scrollWidth <= shown) return [];
                return [...document.querySelectorAll("body *")]
                    .filter((one) => one.getBoundingClientRect().right > shown)
                    .map((one) => one.outerHTML.slice(0, 200));
            }"""
        )
        assert too_wide == []

    def keep_picture(self, name: str) -> None:
        """Write a picture that page.rst has, if ``GLANCE_SYNC_PICTURES`` asks for it."""
        picture = f"images/page-{name}.png"
        text = (_DOCUMENTATION / "page.rst").read_text()
        if "GLANCE_SYNC_PICTURES" in os.environ and picture in text:
            self.page.screenshot(path=_DOCUMENTATION / picture)
