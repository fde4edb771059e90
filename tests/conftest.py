"""What all tests share: a run that was told so fails when a test was skipped."""

import os
import signal

import pytest
from httpx import _config as httpx_defaults
from hypothesis import HealthCheck, settings
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

# What waits for processes and sockets begins, so that no worker is left alone with it at the end.
_SLOW_FIRST = ("tests/e2e/", "tests/cli/", "tests/api/", "tests/har/")


# What a test waits for comes on the slowest machine within this; only a hang reaches it.
PATIENCE_S = 60


def be_patient():
    """httpx gives up after 5 seconds by itself, websockets after 10 and 20."""
    for step in ("connect", "read", "write", "pool"):
        setattr(httpx_defaults.DEFAULT_TIMEOUT_CONFIG, step, float(PATIENCE_S))
    for defaults in (connect.__kwdefaults__, connect_async.__init__.__kwdefaults__):
        assert {"open_timeout", "ping_timeout"} <= defaults.keys()
        defaults.update(open_timeout=PATIENCE_S, ping_timeout=PATIENCE_S)


be_patient()


def pytest_configure(config):
    # No example fails for the time it took. Every run has the same examples; only `make test-fuzz`
    # looks for new ones.
    settings.register_profile(
        "ours",
        deadline=None,
        derandomize=config.option.markexpr != "fuzz",
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ours")
    # A shell starts its background jobs with SIGINT ignored, which all that they start inherits:
    # then no test could interrupt anything.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    def place(item):
        found = (n for n, folder in enumerate(_SLOW_FIRST) if item.nodeid.startswith(folder))
        return next(found, len(_SLOW_FIRST))

    items.sort(key=place)  # stable: a file's tests stay together


def pytest_make_parametrize_id(config, val, argname):
    """Name bytes that are no text by their argument: pytest's own name for them would hold the
    bytes, and coded ones differ from process to process (gzip writes the time), so that two
    workers would not agree on the tests that there are."""
    if isinstance(val, bytes) and not val.isascii():
        return argname
    return None


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if os.environ.get("WIRESCRIBE_NO_SKIPS") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("a test was skipped, and WIRESCRIBE_NO_SKIPS is set", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter is not None and reporter.stats.get("skipped")
    if os.environ.get("WIRESCRIBE_NO_SKIPS") and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
