"""The OpenAPI 3.1 document of the native API, at /api/openapi.json."""

from dataclasses import dataclass

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType


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
class FileBody(Operation):
    """An operation that takes a file; its handler reads the request itself, in pieces."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        ignored = Schema(type=OpenAPIType.STRING, description="Ignored")
        form = Schema(
            type=OpenAPIType.OBJECT,
            required=["file"],
            properties={"file": file, "sessionId": ignored},
        )
        content = {"multipart/form-data": OpenAPIMediaType(schema=form)}
        self.request_body = RequestBody(content=content, required=True)


@dataclass
class OptionalBody(Operation):
    """An operation whose body may be absent; Litestar documents every body as required."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False
