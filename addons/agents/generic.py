"""
Any client that is none of the known agents, and what all of them have in common.

It knows nothing of the program: only headers that name a session, the plain roles of messages, and
tools whose names or arguments say what they do. All of that is a convention and no statement, so
directory and branch are marked inferred. Known agents build on it and replace what they know.
"""

import re
from collections.abc import Sequence

from addons.agents import arguments, texts
from addons.agents.contract import (
    Call,
    CallMeaning,
    Hints,
    Reading,
    ResultMeaning,
    TaskChange,
    ToolMeaning,
    Touch,
)
from addons.agents.toolnames import tool_kind
from addons.wire.contract import Head
from addons.wire.fields import Object, read_array, read_object, read_text
from storage.decoded import (
    Asked,
    CompactionPart,
    Message,
    RequestClass,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

_SESSION_HEADERS = (
    "x-session-id",
    "session-id",
    "session_id",
    "x-conversation-id",
    "conversation-id",
    "conversation_id",
    "x-thread-id",
    "thread-id",
    "x-client-session-id",
    "x-session-affinity",
    "helicone-session-id",
)
_SESSION_FIELDS = ("session_id", "sessionId", "conversation_id", "thread_id", "chat_id")
# OpenRouter's app attribution: https://openrouter.ai/docs/app-attribution
_TITLE_HEADERS = ("x-openrouter-title", "x-title")
# Browsers and Electron apps name these before themselves.
_BROWSERS = ("Mozilla", "AppleWebKit", "Chrome", "Electron", "Safari", "Gecko", "Firefox")
_VERSION = re.compile(r"v?\d[\w.+-]*")

_CWD_KEYS = ("orking directory", "orking Directory", "orkspace root", "<cwd>", "cwd", "CWD")
_CWD = re.compile(
    r"(?: folder| path)?(?: is)?[ \t]?[:=]?[ \t]{0,3}"
    r"[`'\"]?((?:/|~|[A-Za-z]:[\\/])[^\n<>`'\"]*)"
)
_PROSE = re.compile(r"[.,;)]\s|\s\(")  # a sentence goes on behind the path
_BRANCH_KEYS = ("urrent branch:", "it branch:", "it Branch:")
_BRANCH = re.compile(r"[ \t]{0,3}([^\s<>]+)")
_EXIT = re.compile(r"(?i)\bexit(?:ed)?(?: with)? (?:code|status):?\s*(-?\d{1,10})\b")

# Blocks that agents are known to put around or beside the user's words.
WRAPPERS = (
    "system-reminder",
    "system_reminder",
    "environment_context",
    "environment_details",
    "session_context",
    "current_datetime",
    "context",
    "user_info",
    "additional_data",
)
_PATH_FIELDS = (
    "file_path",
    "filePath",
    "path",
    "absolute_path",
    "filename",
    "file",
    "notebook_path",
    "target_file",
    "dir_path",
    "directory",
    "paths",
    "files",
)
_PATCH_FIELDS = ("patch", "patchText", "input")
_OPERATIONS: dict[str, RequestClass] = {"count": "count", "compact": "compaction"}


class Generic:
    """What holds of any client."""

    name = "generic"
    title = "unknown agent"

    def matches(self, head: Head) -> bool:
        return False

    def recognises(self, head: Head, asked: Asked) -> bool:
        return False

    def hints(self, call: Call) -> Hints:
        asked = call.asked
        cwd = _directory(asked)
        branch = texts.find_after(_BRANCH_KEYS, _BRANCH, texts.opening(asked))
        conversation = _session(call.head, asked)
        product, version = product_of(call.head)
        return Hints(
            product=product,
            agent_version=version,
            conversation=conversation,
            root=conversation,
            request_class=request_class(asked),
            cwd=cwd,
            git_branch=branch,
            prompt=self.prompt(asked),
            effort=asked.effort,
            attempt=attempt(call.head),
            inferred=tuple(name for name, value in (("cwd", cwd), ("git_branch", branch)) if value),
        )

    def prompt(self, asked: Asked) -> str | None:
        """The user's words that this request is the first to carry."""
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def reading(self, message: Message) -> Reading:
        if plain := plain_reading(message):
            return plain
        return texts.words(message, lambda text: texts.unwrapped(text, WRAPPERS))

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return mcp_tool(name, namespace) or ToolMeaning(kind=tool_kind(name))

    def offered(self, tool: Tool) -> ToolMeaning:
        return self.tool(tool.name, tool.namespace)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return call_meaning(part, self.tool(part.name, part.namespace))

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        code = None
        if call and self.tool(call.name, call.namespace).kind == "shell":
            code = exit_code(_EXIT, result.text)
        return result_meaning(result, code)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        if self.tool(call.name, call.namespace).kind != "todo":
            return ()
        given = arguments.fields(call)
        for name in ("todos", "items", "plan", "tasks", "todo_list"):
            if items := read_array(given.get(name)):
                return arguments.todo_list(items)
        return ()


AGENT = Generic()


def product_of(head: Head) -> tuple[str | None, str | None]:
    """Name and version of the program, as its user agent has them."""
    title = next((title for name in _TITLE_HEADERS if (title := head.header(name))), None)
    if title:
        return title, None
    words = (head.header("user-agent") or "")[:1000].split()
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, slash, version = word.rpartition("/")
        if slash and name.partition("/")[0] not in _BROWSERS and _VERSION.fullmatch(version):
            return name, version.removeprefix("v")
        if _VERSION.fullmatch(following):
            return word, following.removeprefix("v")
    return (words[0] if words else None), None


def attempt(head: Head) -> int | None:
    """How often the official SDKs (which are all generated by Stainless) tried before."""
    count = head.header("x-stainless-retry-count") or ""
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else None


def request_class(asked: Asked) -> RequestClass:
    if asked.operation != "generate":
        return _OPERATIONS.get(asked.operation, "side")
    return "main" if asked.generates else "prewarm"


def plain_reading(message: Message) -> Reading | None:
    """What a message is by its role and its parts alone; None where its text decides."""
    if any(isinstance(part, CompactionPart) for part in message.parts):
        return Reading(kind="summary")
    if message.role == "assistant":
        return Reading(kind="answer")
    if message.role in ("system", "developer"):
        return Reading(kind="context", injected=tuple(range(len(message.parts))))
    last = message.parts[-1] if message.parts else None
    if message.role == "tool" or isinstance(last, ToolResultPart):
        return Reading(kind="tool-results")
    return None


def mcp_tool(name: str, namespace: str | None) -> ToolMeaning | None:
    """`mcp__<server>__<tool>`, or that server as the namespace."""
    prefix, _, rest = (f"{namespace}__{name}" if namespace else name).partition("__")
    server, separator, tool = rest.partition("__")
    if prefix != "mcp" or not (server and separator and tool):
        return None
    return ToolMeaning(kind="mcp", mcp_server=server, mcp_tool=tool)


def call_meaning(part: ToolCallPart, tool: ToolMeaning) -> CallMeaning:
    """What the arguments say by the names of their fields."""
    given = arguments.fields(part)
    kind = tool.kind
    return CallMeaning(
        tool=tool,
        touches=_touches(part, given, tool),
        command=arguments.command(given, "command", "cmd", "script") if kind == "shell" else None,
        skill=arguments.text(given, "skill", "skill_name", "name") if kind == "skill" else None,
        spawn_prompt=arguments.text(given, "prompt", "task", "message") if kind == "task" else None,
        subagent_type=(
            arguments.text(given, "subagent_type", "agent_type", "agent_name", "agent")
            if kind == "task"
            else None
        ),
        description=arguments.text(given, "description"),
    )


def _touches(part: ToolCallPart, given: Object, tool: ToolMeaning) -> tuple[Touch, ...]:
    if tool.kind == "edit":
        patch = part.arguments if part.is_custom else arguments.text(given, *_PATCH_FIELDS)
        if patch and (touched := arguments.patch(patch)):
            return touched
    if tool.kind in ("read", "write", "edit", "search"):
        paths = arguments.texts(given, *_PATH_FIELDS)
        return tuple(Touch(path=path, access=tool.kind) for path in paths)
    return ()


def exit_code(pattern: re.Pattern[str], text: str) -> int | None:
    """The last exit code that the text states in its beginning or its end."""
    edges = text if len(text) < 4000 else f"{text[:2000]}\n{text[-2000:]}"
    found = pattern.findall(edges)
    return int(found[-1]) if found else None


def result_meaning(result: ToolResultPart, code: int | None) -> ResultMeaning:
    """An error where the wire says so; else where the exit code, which is text, shows one."""
    if result.is_error is not None or code is None:
        return ResultMeaning(is_error=result.is_error, exit_code=code)
    return ResultMeaning(is_error=code != 0, is_inferred=True, exit_code=code)


def _directory(asked: Asked) -> str | None:
    found = texts.find_after(_CWD_KEYS, _CWD, texts.opening(asked))
    return _PROSE.split(found)[0].rstrip(" .,;)") or None if found else None


def _session(head: Head, asked: Asked) -> str | None:
    """A session's id, from a header or from the body's metadata, where common names have it."""
    for name in _SESSION_HEADERS:
        if value := head.header(name):
            return value
    body = read_object(asked.fields_json) or {}
    # Responses: the provider's own conversation, by its id or as an object.
    conversation = read_text(body.get("conversation"))
    held = read_object(body.get("conversation")) or {}
    metadata = read_object(body.get("metadata")) or {}
    return (
        conversation
        or read_text(held.get("id"))
        or arguments.text(metadata, *_SESSION_FIELDS)
        or arguments.text(body, *_SESSION_FIELDS)
    )
