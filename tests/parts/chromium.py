"""A real browser, Chromium, driven page by page.

with chromium() as page:
    page.goto(url)
    page.get_by_role("button", name="Allow").click()
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Page, sync_playwright

EXECUTABLE = "/usr/bin/chromium"
PATIENCE_MS = 15_000
# Nothing that would reach beyond this machine, and no sandbox: tests may run as root in a container.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(
    *, scheme: Literal["light", "dark"] = "light", width: int = 1100, height: int = 800, javascript: bool = True
) -> Iterator[Page]:
    """Give the one page of a browser that knows nothing yet; its console's errors are in `page_errors(page)`."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=EXECUTABLE,
            headless=True,
            args=list(_ARGUMENTS),
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            java_script_enabled=javascript,
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.pages[0]
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        _errors[page] = errors
        try:
            yield page
        finally:
            _errors.pop(page, None)
            context.close()


_errors: dict[Page, list[str]] = {}


def page_errors(page: Page) -> list[str]:
    """Return what the browser has complained about on this page: refused by a policy, failed to load."""
    return _errors[page]
