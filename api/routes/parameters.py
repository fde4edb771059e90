"""Query parameters that several routes share."""

from typing import Annotated, Literal

from litestar.params import QueryParameter

SessionId = Annotated[
    str | None, QueryParameter(name="sessionId", description="Id of a capture session")
]
ConversationId = Annotated[str | None, QueryParameter(name="conversationId")]
After = Annotated[str | None, QueryParameter(description="`next` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=500)]
Order = Annotated[Literal["oldest", "newest"], QueryParameter(required=False)]
