"""
A real Chromium, driven by Playwright. It makes no call of its own to the outside.

Debian's browser is used, not one that Playwright downloads: what is missing fails, it never skips.
"""

import os
import shutil

import pytest

from tests.har.served import serve

PATIENCE_MS = 120_000  # only a hang reaches it
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium():
    """Path of the browser."""
    found = shutil.which("chromium")
    assert found, "there is no chromium in PATH: apt-get install chromium"
    return found


@pytest.fixture(scope="session")
def playwright():
    # Not at the top: `make test` collects this folder and has no Playwright.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright, chromium, tmp_path_factory):
    """A browser with an empty profile; `new_context` makes a clean room in it."""
    # Chromium's sandbox refuses to be root's.
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    started = playwright.chromium.launch(
        executable_path=chromium, headless=True, args=flags, timeout=PATIENCE_MS
    )
    yield started
    started.close()


@pytest.fixture
def context(browser):
    made = browser.new_context()
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(context):
    return context.new_page()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    return serve(tmp_path_factory.mktemp("served"))
