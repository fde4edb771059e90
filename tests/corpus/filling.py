"""
Replaces the vendors' prompts and tool texts by filler of the same size.

They are not ours to publish. What stays: structure, names, ids, what our scripted provider and our
prompts say, what tools put out, and of the vendors' texts the short phrases that tell what a text
is (`MARKERS`, and the first signs of each). Bytes keep their number and lines their places, so that
sizes, offsets and content lengths stay true.
"""

import itertools
import re
from collections.abc import Iterator

import msgspec

_FILLER = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua "
)
_OPENING_SIGNS = 60
_SHORT_BYTES = 120  # a phrase of this size is no prompt
_OUTPUT_BYTES = 450  # of a tool: longer ones are mostly the agents' own notices

MARKERS = re.compile(
    "|".join(
        (
            # ours
            r"\"?SCENARIO:[^\n<\"]*\"?",
            r"(?:Hello from the|A scripted|Step \d+ of the scripted|All scripted)[^\n<]*",
            r"Say hello from the demo skill\.",
            # tags, with what short thing stands between them
            r"</?[a-z][\w-]*(?: [\w-]+=\"[^\"\n]{0,80}\")*/?>",
            r"(?<=<cwd>)[^<\n]+|(?<=<shell>)[^<\n]+|(?<=<task-id>)[^<\n]+|(?<=<status>)[^<\n]+",
            r"(?<=<tool-use-id>)[^<\n]+|(?<=<output-file>)[^<\n]+|(?<=<summary>)[^<\n]{1,80}",
            r"(?<=<command-name>)[^<\n]+|(?<=<current_datetime>)[^<\n]+",
            # who is speaking
            r"x-anthropic-billing-header:[^\n]*",
            r"You are (?:a |an |the |now )?[^\n.]{1,60}",
            r"Claude Code, Anthropic's official CLI for Claude",
            r"managed memory extraction subagent",
            r"Version number: [\d.]+",
            # where
            r"# Environment\b|# gitStatus\b|gitStatus:",
            r"I'm currently working in the directory: [^\n]*",
            r"[^\n]{0,12}(?:[Ww]orking directory|[Ww]orkspace root folder): [^\n]*",
            r"- \*\*Workspace Directories:\*\*\n(?:\s+- [^\n]+\n)*",
            r"[^\n]{0,16}[Ii]s (?:a|directory a) git repo(?:sitory)?:[^\n]*",
            r"This is the git status at the start of the conversation",
            r"(?:git: )?(?:Current|Main) branch[^\n:]{0,50}: ?[^\n]*",
            r"\* Git repository[^\n]{0,200}",
            r"AGENTS\.md instructions for [^\n]+",
            r"Contents of [^\n]{1,200}\(project instructions[^\n]*",
            # what for
            r"\[SYSTEM NOTIFICATION - NOT USER INPUT\]",
            r"This session is being continued from a previous conversation[^\n.]*",
            r"CRITICAL: Respond with TEXT ONLY[^\n.]*",
            r"Managed memory has TWO directories",
            r"Base directory for this skill: [^\n]+",
            r"(?:plan|bypass permissions|auto) mode is active",
            r"While (?:bypass permissions|auto) mode is active",
            r"currently operating in \*\*[\w-]+\*\* mode",
            r"Collaboration Mode: \w+",
            r"`sandbox_mode` is `[\w-]+`",
            r"You have one final chance to complete the task with a short grace period\.",
            # what tools answered
            r"Async agent launched successfully|Background agent launched successfully",
            r"agentId: [\w-]+|task_id: [\w:-]+|output_file: \S+",
            r"\[Subagent hand-back\]|Launching skill: \S+",
            r"(?:Exit [Cc]ode|Process exited with code|Process Group PGID)[^\n]*",
            r"(?:Wall time|Chunk ID)[^\n]*",
            r"(?:Command|Directory|Output|Error): ?[^\n]{0,80}",
        )
    ),
    re.MULTILINE,
)

_UNIT = re.compile(rb"\\u[0-9a-fA-F]{4}|\\.|[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*", re.DOTALL)
_SECOND_HALF = re.compile(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LITERAL = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
_OUTPUT_TYPES = ("tool_result", "function_call_output", "custom_tool_call_output")
# In these, descriptions and grammars are the vendor's; names, types and enums stay.
_TOOL_KEYS = {
    "tools", "functionDeclarations", "input_schema", "parameters", "parametersJsonSchema",
    "responseJsonSchema", "schema", "function",
}  # fmt: skip
_TOOL_TEXTS = {"description", "definition", "title"}
_OPAQUE = {
    "signature", "thoughtSignature", "encrypted_content", "data", "image_url", "user_id", "id",
    "arguments", "thinking", "url",
}  # fmt: skip
_CALLS = {"input", "args", "arguments", "client_metadata", "metadata"}


def json_filled(raw: bytes, *, is_answer: bool) -> bytes:
    """
    The same JSON with filler; other bytes come back as they are.

    Of an answer, which is our provider's, only what it repeats of the request is filled.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw
    texts = _texts(value, (), "answer" if is_answer else "")
    found: list[bytes] = []
    at = 0
    for literal in _LITERAL.finditer(raw):
        if literal[2] is not None:
            continue  # a name
        path, context, text = next(texts)
        inner = literal[1]
        kept = _kept(path, context, text, len(inner))
        if kept is not None:
            found += [raw[at : literal.start(1)], _literal_filled(inner, text, kept)]
            at = literal.end(1)
    assert next(texts, None) is None
    return b"".join((*found, raw[at:]))


def sse_filled(raw: bytes) -> bytes:
    """A stream of events whose data are JSON."""
    lines = re.split(rb"(\r?\n)", raw)
    return b"".join(
        b"data: " + json_filled(line[6:], is_answer=True) if line.startswith(b"data: {") else line
        for line in lines
    )


def _texts(value: object, path: tuple[str, ...], context: str) -> Iterator[tuple]:
    """All texts of a JSON value in their order: where, in what, and the text."""
    if isinstance(value, dict):
        context = _context(value, path, context)
        for name, child in value.items():
            yield from _texts(child, (*path, name), context)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, (*path, "*"), context)
    elif isinstance(value, str):
        yield path, context, value


def _context(value: dict[str, object], path: tuple[str, ...], context: str) -> str:
    if value.get("type") in _OUTPUT_TYPES or value.get("role") == "tool":
        return "output"
    if path and path[-1] in ("functionResponse", "tool_responses"):
        return "output"
    if value.get("role") in ("assistant", "model"):
        return "answer"
    return context


def _kept(
    path: tuple[str, ...], context: str, text: str, size_bytes: int
) -> list[tuple[int, int]] | None:
    """The places of a text that stay; None: all of it."""
    name = next((step for step in reversed(path) if step != "*"), "")
    if _TOOL_KEYS.intersection(path[:-1]) and "messages" not in path[:1]:
        is_text = name in _TOOL_TEXTS and (not path[:-1] or path[-2] != "properties")
        return [] if is_text or size_bytes > _SHORT_BYTES else None
    if name in _OPAQUE or _CALLS.intersection(path[1:]) or path[:1] == ("client_metadata",):
        return None
    if context == "answer" and name != "instructions":
        return None
    if size_bytes <= (_OUTPUT_BYTES if context == "output" else _SHORT_BYTES):
        return None
    places = [(0, _OPENING_SIGNS)]
    places += [found.span() for found in MARKERS.finditer(text)]
    return places


def _literal_filled(inner: bytes, text: str, kept: list[tuple[int, int]]) -> bytes:
    """The inside of a JSON string literal, all but these places of its text replaced."""
    stays = bytearray(len(text))
    for begin, end in kept:
        stays[begin:end] = b"\1" * (min(end, len(text)) - begin)
    filler = itertools.cycle(_FILLER.encode())
    units: list[bytes] = []
    at = 0
    for unit in _UNIT.finditer(inner):
        raw = unit[0]
        # The second half of a surrogate pair goes with the first: together they are one sign.
        is_second = _SECOND_HALF.fullmatch(raw) is not None
        place = at - is_second
        is_kept = place < len(stays) and stays[place]
        units.append(raw if is_kept or raw == rb"\n" else bytes(itertools.islice(filler, len(raw))))
        at = place + 1
    return b"".join(units)
