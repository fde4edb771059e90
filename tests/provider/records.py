"""What the provider saw and sent: one Exchange per request, kept in `Provider.requests`."""

import time

import msgspec

type Headers = list[tuple[str, str]]


def now_ns() -> int:
    """The clock of every time in here: `time.monotonic_ns`, one clock for all processes here."""
    return time.monotonic_ns()


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that passed in one piece. `at_ns`: received, or just before they were written."""

    at_ns: int
    data: bytes


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One WebSocket message, whole and inflated."""

    at_ns: int
    from_client: bool
    data: str | bytes


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one answer; `input` includes what came from or went into a cache."""

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One model answer as it was given: the oracle for what a decoder should find."""

    wire: str  # anthropic, responses, chat, gemini or ollama
    id: str
    model: str
    text: str
    tool_calls: list[tuple[str, str]]  # (call id, tool name)
    arguments: list[dict[str, object] | str] = []  # of each tool call; text of a custom tool
    usage: Usage
    prompt: str = ""  # of the call that is answered, as the scenario read it
    accident: str | None = None  # "cut" or "reset": half of it was sent at most


class Exchange(msgspec.Struct, kw_only=True):
    """
    One request and what was answered, as bytes.

    Header values are Latin-1 decoded, names keep their case, order and repetition are kept.
    `body` and `reply_body` are without transfer coding (chunk framing) and with content coding.
    """

    number: int  # counts from 1 in order of arrival at this provider
    connection: int  # counts connections; requests of one keep-alive connection share it
    method: str
    target: str
    headers: Headers
    started_ns: int
    started_at_ns: int  # wall clock, nanoseconds since 1970
    kind: str = "unknown"  # model, side, raw, handler, unknown (answered 404)
    scenario: str | None = None
    body_chunks: list[Chunk] = []
    body_ended_ns: int | None = None  # None: the client has not finished its request
    interim: list[int] = []  # 1xx statuses that were sent before the answer
    status: int | None = None
    reply_headers: Headers = []
    reply_head_ns: int | None = None
    reply_chunks: list[Chunk] = []
    messages: list[Message] = []
    answers: list[Answered] = []
    outcome: str | None = None  # complete, cut, reset, client_left, failed; None while open
    ended_ns: int | None = None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def host(self) -> str:
        """The Host header as received, port included; empty if there was none."""
        return self.header("host") or ""

    @property
    def body(self) -> bytes:
        return b"".join(chunk.data for chunk in self.body_chunks)

    @property
    def reply_body(self) -> bytes:
        return b"".join(chunk.data for chunk in self.reply_chunks)

    def header(self, name: str) -> str | None:
        """The first request header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> object:
        """The request body, decoded."""
        return msgspec.json.decode(self.body)
