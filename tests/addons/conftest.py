"""A provider per test; it also checks that no handler of a test failed."""

import warnings

import pytest

from tests.provider import Provider
from tests.provider import running as providing

with warnings.catch_warnings():
    # mitmproxy uses names that pyparsing has deprecated; nothing of ours does.
    warnings.simplefilter("ignore", DeprecationWarning)
    import addons.launch  # noqa: F401


@pytest.fixture
def provider():
    with providing(Provider()) as running:
        yield running
