"""`wirescribe serve`: API and ingest alone."""

import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import rich_click as click

from cli import options, running, supervised, token, units, version
from cli.errors import say
from cli.settings import Settings, load
from storage.datadir import DataDir
from storage.processes import Announcement, Process

if TYPE_CHECKING:
    from storage.retention import Limits
    from storage.store import Store

_SWITCH_S = 0.001  # Python's own choice is 0.005


@click.command()
@options.server
@options.data_dir
@click.option("--supervised", "is_supervised", is_flag=True, hidden=True)
def serve(datadir: DataDir, is_supervised: bool, **flags: Any) -> None:
    """Run the server alone: the API, and the reading of what was spooled."""
    datadir.prepare()
    settings = supervised.receive() if is_supervised else load(datadir, flags, os.environ)
    if not is_supervised:
        running.check_free(settings.host, settings.port, "--port")
    _serve(datadir, settings, is_supervised=is_supervised)


def _serve(datadir: DataDir, settings: Settings, *, is_supervised: bool) -> None:
    from addons.background import Background
    from api.app import create_app
    from api.server import serve as listen
    from api.settings import ApiSettings
    from cli import importing
    from storage import retention
    from storage.feed import Feed
    from storage.store import Store

    asked = ApiSettings(
        host=settings.host,
        port=settings.port,
        token=token.ensure(datadir) if settings.auth == "token" else None,
        allowed_hosts=settings.allowed_hosts,
        version=version.current(),
    )
    asked.check()
    # The loop answers beside a thread that computes. Each time it has let the interpreter go, in a
    # query or a wait, it gets it back after this time at the latest, and an answer does so often.
    sys.setswitchinterval(_SWITCH_S)
    feed = Feed(idle_minutes=settings.live.idle_minutes)
    background = Background(datadir, feed)
    store = Store.open(
        datadir, background=background.step, automatic=settings.capture.automatic, feed=feed
    )
    background.live.degraded = lambda: store.degraded
    background.is_awaited = store.is_awaited
    limits = _limits(settings)
    store.call(retention.set_limits, limits)
    _tell_unmoved(store)
    background.retention = retention.Keeper(store, limits).step
    announcements: list[Announcement] = []

    def on_started(host: str, port: int) -> None:
        announcements.append(Announcement(datadir, _process(host, port)))
        if not is_supervised:
            say(f"API: http://{host}:{port}")

    try:
        app = create_app(store, asked, importing.importer(store, settings))
        # What is loaded by now stays: to look for garbage in it would stop all threads for 40 ms.
        gc.freeze()
        listen(app, settings.host, settings.port, on_started)
    finally:
        for announcement in announcements:
            announcement.withdraw()
        store.close()


def _tell_unmoved(store: "Store") -> None:
    from storage.chunks import moving

    unmoved = moving.progress(store.read())
    if unmoved and unmoved.bodies and not unmoved.damaged:
        count = units.count(unmoved.bodies, "body", "bodies")
        say(
            f"{count} of an earlier version are moved to the present form meanwhile; "
            "`wirescribe doctor` tells how many are left"
        )


def _limits(settings: Settings) -> "Limits":
    from storage.retention import Limits

    max_gb = settings.retention.max_gb
    return Limits(
        days=settings.retention.days,
        max_bytes=None if max_gb is None else int(max_gb * (1 << 30)),
    )


def _process(host: str, port: int) -> Process:
    return Process(
        role="server",
        pid=os.getpid(),
        started_ms=time.time_ns() // 1_000_000,
        version=version.current(),
        host=host,
        port=port,
    )
