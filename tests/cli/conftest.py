import pytest

from tests.cli.running import Model, Place


@pytest.fixture(scope="package")
def model():
    made = Model()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path, model):
    """A data dir where nothing runs yet."""
    return Place(tmp_path, model)


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory, model):
    """A data dir with an `up` that runs for all tests of a module."""
    made = Place(tmp_path_factory.mktemp("lived-in"), model)
    with made.up() as up:
        made.running = up
        yield made
