import pytest

from tests.har.recording import Recording
from tests.har.served import serve


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    return serve(tmp_path_factory.mktemp("served"))


@pytest.fixture
def recording(tmp_path):
    with Recording(tmp_path) as made:
        yield made
