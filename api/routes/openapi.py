"""The OpenAPI 3.1 document of the native API, at /api/openapi.json."""

from dataclasses import dataclass

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Operation, RequestBody


def config(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Wirescribe",
        version=version,
        description="A capture proxy with a session recorder for coding-agent CLIs.",
        # The document is its router's root: below any other path, what is not there would be
        # answered with a page of Litestar's.
        path="/api/openapi.json",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
    )


@dataclass
class OptionalBody(Operation):
    """An operation whose body may be absent; Litestar documents every body as required."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False
