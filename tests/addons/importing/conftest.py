import pytest

from tests.addons.importing.house import House


@pytest.fixture
def house(tmp_path):
    with House(tmp_path) as opened:
        yield opened
