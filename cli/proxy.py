"""`wirescribe proxy`: the recording proxy alone."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cli import options, running, supervised
from cli.errors import say
from cli.settings import Settings, load
from storage.datadir import DataDir

if TYPE_CHECKING:
    from addons import launch


@click.command()
@options.proxy
@options.data_dir
@click.option("--supervised", "is_supervised", is_flag=True, hidden=True)
def proxy(datadir: DataDir, is_supervised: bool, **flags: Any) -> None:
    """Run the proxy alone: what it spools is read by a later server."""
    import asyncio

    datadir.prepare()
    settings = supervised.receive() if is_supervised else load(datadir, flags, os.environ)
    if not is_supervised:
        running.check_free(settings.host, settings.proxy_port, "--proxy-port")
    asyncio.run(_proxy(datadir, settings, is_supervised=is_supervised))


async def _proxy(datadir: DataDir, settings: Settings, *, is_supervised: bool) -> None:
    from addons.sparing import spare_unused_addons

    spare_unused_addons()
    from addons import launch

    def started(host: str, port: int) -> None:
        if not is_supervised:
            say(f"proxy: http://{host}:{port}")

    await launch.run(_asked(datadir, settings), started=started)


def _asked(datadir: DataDir, settings: Settings) -> "launch.ProxySettings":
    from addons import launch, upstream
    from addons.disk import DiskLimits

    return launch.ProxySettings(
        datadir=datadir,
        host=settings.host,
        port=settings.proxy_port,
        everything=settings.scope == "all",
        extra_hosts=settings.hosts,
        upstreams=tuple(upstream.to(host, url) for host, url in settings.upstream.items()),
        upstream_ca=Path(settings.upstream_ca).expanduser() if settings.upstream_ca else None,
        http2=settings.http2,
        record_secrets=settings.record_secrets,
        secret_headers=settings.secret_headers,
        credential_endpoints=settings.credential_endpoints,
        limits=DiskLimits(
            min_free_bytes=settings.disk.min_free_mb << 20,
            max_spool_bytes=int(settings.spool.max_gb * (1 << 30)),
        ),
    )
