"""The application: the native API behind its guards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide

from api.access import Access, Importer
from api.errors import HANDLERS
from api.guards import Guard
from api.requests import JsonRequest
from api.routes import (
    captured,
    conversations,
    har,
    health,
    imports,
    live,
    messages,
    openapi,
    projects,
    rebuild,
    retention,
    sessions,
    tasks,
    tool_calls,
    traffic,
    turns,
    understood,
)
from api.settings import ApiSettings
from storage.store import Store

_MAX_BODY_BYTES = 10_000_000


def create_app(store: Store, settings: ApiSettings, importer: Importer | None = None) -> Litestar:
    """
    The API over `store`, which the caller closes. Raises ConfigError for unsafe settings.

    Without an `importer` no files can be imported.

    Every ASGI call passes the guards first, so that also what no route answers is guarded.
    """
    settings.check()
    access, guard = Access(store, importer), Guard(settings)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            access.close()

    app = Litestar(
        route_handlers=[
            sessions.ROUTER,
            traffic.ROUTER,
            captured.ROUTER,
            conversations.ROUTER,
            turns.ROUTER,
            messages.ROUTER,
            tool_calls.ROUTER,
            tasks.ROUTER,
            projects.ROUTER,
            understood.ROUTER,
            har.ROUTER,
            imports.ROUTER,
            live.ROUTER,
            rebuild.ROUTER,
            retention.ROUTER,
            health.get_health,
        ],
        dependencies={
            "access": Provide(lambda: access, sync_to_thread=False),
            "guard": Provide(lambda: guard, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=openapi.config(settings.version),
        request_class=JsonRequest,
        request_max_body_size=_MAX_BODY_BYTES,
    )
    app.state.on_stopping = store.feed.release
    app.asgi_handler = guard.around(app.asgi_handler)
    return app
