"""A request whose JSON is read strictly, and fails as the client's fault whatever is wrong."""

from typing import Any

import msgspec
from litestar import Request

from api.errors import ApiError


class JsonRequest(Request[Any, Any, Any]):
    async def json(self) -> Any:
        """
        The body as the type that its handler declares.

        Litestar itself would take "true" and 1 for true. Raises ApiError with the place in
        `details`; RecursionError is what msgspec makes of deep nesting.
        """
        declared = self.route_handler.parsed_data_field
        try:
            return msgspec.json.decode(
                await self.body(), type=declared.annotation if declared else Any
            )
        except msgspec.ValidationError as error:
            problem, _, place = str(error).partition(" - at `")
            reason = f"{place.rstrip('`') or '$'}: {problem}"
        except msgspec.DecodeError as error:
            reason = f"The body is no JSON: {error}"
        except RecursionError:
            reason = "The body is no JSON: it is nested too deeply"
        except UnicodeDecodeError:
            reason = "The body is no JSON: it is no UTF-8"
        raise ApiError(400, "Invalid request", "INVALID_REQUEST", reason)
