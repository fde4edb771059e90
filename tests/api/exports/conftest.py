import pytest

from tests.har.recording import Recording


@pytest.fixture
def recording(tmp_path):
    with Recording(tmp_path) as made:
        yield made
