"""What a model call asks, and what it is to be answered: the words between wires and scenarios."""

import re

import msgspec

_KEYWORD = re.compile(r"SCENARIO:([a-z0-9_]+)(?::([A-Za-z0-9._-]+))?")
_ACCIDENT = re.compile(r"ACCIDENT:([a-z0-9]+):([0-9]+)")
# So Claude Code and Qwen Code ask for the rest of an answer that broke off: the prompt is the one
# before.
_CONTINUE = ("Your response above was cut off", "The connection dropped mid-response")
_LEADING_TAGS = re.compile(r"\s*<([\w-]+)[^>]*>.*?</\1>", re.DOTALL)


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the request offers. `custom`: its input is text, not JSON (Responses)."""

    name: str
    namespace: str | None = None
    properties: frozenset[str] = frozenset()
    custom: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One model call, as far as a scenario needs to know it."""

    wire: str
    model: str
    stream: bool
    prompt: str  # the last text that a user (or a spawning agent) wrote; "" if there is none
    steps: int  # rounds of tool calls that this prompt has already had
    tools: list[Tool]
    schema: object = None  # JSON schema that the answer must follow; None: free text
    aside: bool = False  # a call beside the conversation (title, memory): plain answer
    compacts: bool = False  # asks for a summary to go on from instead of the history
    request_bytes: int = 0

    @property
    def scenario(self) -> tuple[str, str]:
        """Keyword and argument of `SCENARIO:keyword:argument`; ("hello", "") without one."""
        if self.compacts:
            return "compaction", ""
        if self.aside or self.schema is not None:
            return "aside", ""
        match = _KEYWORD.search(self.prompt)
        return (match[1], match[2] or "") if match else ("hello", "")

    @property
    def accidents(self) -> list[str]:
        """Of `ACCIDENT:<keyword>:<round>` in the prompt, those that belong to this round."""
        if self.compacts or self.aside or self.schema is not None:
            return []
        found = _ACCIDENT.findall(self.prompt)
        return [name for name, step in found if int(step) == self.steps]


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class Text(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call; `arguments` is an object, or the input text of a custom tool."""

    tool: Tool
    arguments: dict[str, object] | str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on instead of the history: text, or an opaque item of its own (Responses)."""

    text: str


type Part = Thinking | Text | Call | Summary


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error answer instead of a model's answer."""

    status: int
    message: str
    retry_after_seconds: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its parts, and how it is delivered."""

    parts: list[Part] = []
    refusal: Refusal | None = None
    pause_ms: float = 0  # between two events
    more_tokens: int = 0  # that went in, as the answer tells
    fault: str | None = None  # "reset" or "cut", in the middle of the events
    coding: str | None = None  # gzip, br, zstd: content coding of the answer

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text | Summary))

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]


def own_words(text: str) -> str:
    """A user's text without the tagged blocks before it; "" if its agent wrote it."""
    if text.startswith(_CONTINUE):
        return ""
    at = 0
    while match := _LEADING_TAGS.match(text, at):
        at = match.end()
    return text[at:].strip()


def pieces(text: str, count: int = 4) -> list[str]:
    """A text cut into some deltas, as models stream it."""
    step = max(4, min(64, -(-len(text) // count))) if len(text) < 4096 else 1024
    return [text[at : at + step] for at in range(0, len(text), step)]
