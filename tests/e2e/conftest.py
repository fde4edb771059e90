"""A provider for a file of tests, and for each test a stack of its own whose Anthropic it is."""

import pytest

from tests.e2e.stack import Stack
from tests.provider import Provider, running

HOST = "api.anthropic.com"


@pytest.fixture(scope="module")
def provider():
    with running(Provider()) as started:
        yield started


@pytest.fixture
def stack(tmp_path, provider):
    with Stack(tmp_path, upstreams={HOST: provider.url}) as started:
        yield started
