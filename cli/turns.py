"""
One turn as people read it: what was asked and answered, tools with their results, its figures.

Pure: what a client answered goes in, lines come out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from api.answers.parts import (
    CompactionBody,
    MediaBody,
    RefusalBody,
    TextBody,
    ThinkingBody,
)
from cli import times, units
from cli.client.understood import MessageBody, ToolCallBody, TurnBody, TurnDetail
from cli.lines import Line, Tone, brief

type Below = Callable[[ToolCallBody, int], list[Line]]  # what a tool call started, at a depth

_TELLING = (
    "command", "file_path", "filePath", "path", "pattern", "query", "url", "description", "prompt",
    "skill", "subject", "name",
)  # fmt: skip
_SHOWN = {"prompt": (20, 2000), "answer": (60, 6000), "thought": (3, 300), "result": (3, 300)}
_FULL = (10**9, 10**9)
_LONG = 100  # milliseconds of a turn whose parts are worth telling
_REFUSED = 400  # HTTP


_KINDS = {
    "context": "put in by the agent",
    "summary": "what was left of the history",
    "notification": "a background task reports",
    "command": "a local command",
    "instruction": "the agent asks",
}


def of_entry(turns: Sequence[TurnDetail], total: int) -> Iterator[Line]:
    """The model calls of one traffic entry."""
    teller = Teller(is_full=False)
    for found in turns:
        turn = found.turn
        agent = " ".join(filter(None, [turn.agent, turn.agent_version]))
        yield Line(
            text=f"{turn.request_class} call of {agent} to {turn.model or 'a model'}",
            tone="title",
        )
        yield Line(text=f"conversation {turn.conversation_id}, turn {turn.id}", tone="faint")
        yield from teller.turn(turn, found.new_messages, found.tool_calls)
        for note in found.notes:
            about = f"{note.kind}: {note.detail}" if note.detail else note.kind
            yield Line(sign="!", text=f"{about} ({note.count}x)", tone="faint", depth=1)
    if total > len(turns):
        yield Line(text=f"… {total - len(turns):,} more model calls", tone="faint")


class Teller:
    """`is_full`: nothing is shortened, and what the agent put in is shown."""

    def __init__(self, *, is_full: bool) -> None:
        self._is_full = is_full

    def turn(
        self,
        turn: TurnBody,
        brought: Sequence[MessageBody],
        calls: Sequence[ToolCallBody],
        *,
        depth: int = 0,
        task: str | None = None,
        below: Below = lambda call, depth: [],
    ) -> Iterator[Line]:
        """`task`: of a subagent's first turn, what it was started for."""
        history = 0 if self._is_full else _history(brought)
        if history:
            text = f"{units.count(history, 'message', 'messages')} from before: --full"
            yield Line(sign="≡", text=text, tone="faint", depth=depth)
        for message in brought[history:]:
            yield from self._message(message, turn.prompt or task, depth)
        for call in calls:
            if self._is_full or not call.is_history:
                yield from self._call(call, depth + 1, below)
        yield from _faults(turn, depth)
        yield Line(text=_figures(turn), tone="faint", depth=depth + 1)
        yield Line()

    def _message(self, message: MessageBody, words: str | None, depth: int) -> Iterator[Line]:
        """`words`: the prompt, without what the agent put in."""
        left = "" if message.is_current is not False else "left behind"
        texts, thoughts, media = _contents(message)
        if message.kind == "tool-results" or (message.is_injected and not message.is_answer):
            if self._is_full and message.is_injected and texts:
                yield Line(sign="+", text=texts, tone="faint", depth=depth + 1)
            return
        if thoughts:
            yield Line(
                sign="…", text=self._brief(thoughts, "thought"), tone="thought", depth=depth + 1
            )
        text = "\n".join(filter(None, [texts, *media]))
        if not text:
            return
        if message.is_answer or message.kind == "answer":
            yield Line(sign="●", text=self._brief(text, "answer"), right=left, depth=depth)
        elif message.kind == "prompt":
            shown = self._brief("\n".join([words or texts, *media]), "prompt")
            yield Line(sign="❯", text=shown, tone="user", right=left, depth=depth)
        else:
            text = f"{_KINDS.get(message.kind, message.kind)}: {self._brief(text, 'result')}"
            yield Line(sign="≡", text=text, tone="faint", right=left, depth=depth)

    def _call(self, call: ToolCallBody, depth: int, below: Below) -> Iterator[Line]:
        tone: Tone = "bad" if call.is_error else "faint"
        right = "  ".join(filter(None, [ending(call), took(call)]))
        about = what(call)
        text = f"{call.name}  {about}" if about else call.name
        shown = text if self._is_full else brief(text, lines=2, signs=200)
        yield Line(sign="⏵", text=shown, tone="tool", right=right, right_tone=tone, depth=depth)
        started = below(call, depth + 1)
        yield from started
        if call.result and not started:
            sign = "✗" if call.is_error else "⎿"
            shown = self._brief(call.result, "result")
            yield Line(sign=sign, text=shown, tone=tone, depth=depth + 1)

    def _brief(self, text: str, what: str) -> str:
        lines, signs = _FULL if self._is_full else _SHOWN[what]
        return brief(text, lines=lines, signs=signs)


def _history(brought: Sequence[MessageBody]) -> int:
    """How many of a turn's messages are of a talk that was not recorded, or not here."""
    said = [
        place
        for place, message in enumerate(brought, 1)
        if message.kind == "answer" and not message.is_answer
    ]
    return max(said, default=0)


def _figures(turn: TurnBody) -> str:
    usage, clock = turn.usage, turn.clock
    cached = usage.cache_read_tokens
    facts = [
        times.duration(turn.duration_ms),
        _first(turn),
        f"{units.short(usage.input_tokens)} in"
        + (f" ({units.short(cached)} cached)" if cached else ""),
        f"{units.short(usage.output_tokens)} out",
        f"{clock.tokens_per_second:.0f}/s" if clock.tokens_per_second else "",
        units.cost(usage.cost_usd),
        turn.model_served if turn.model_served and turn.model_served != turn.model else "",
    ]
    return " · ".join(filter(None, facts))


def _first(turn: TurnBody) -> str:
    clock = turn.clock
    if clock.asked_us is None or clock.first_content_us is None or (turn.duration_ms or 0) < _LONG:
        return ""
    return f"first after {times.duration((clock.first_content_us - clock.asked_us) // 1000)}"


def _faults(turn: TurnBody, depth: int) -> list[Line]:
    found = []
    if turn.failure:
        words = [turn.failure.type or "", turn.failure.message or ""]
        text = ": ".join(filter(None, words)) or "failed"
        # A socket's own status says that it was opened, nothing of this turn.
        status = f"{turn.status}" if turn.status and turn.status >= _REFUSED else ""
        found.append(Line(sign="✗", text=text, tone="bad", right=status, depth=depth))
    elif not turn.is_complete:
        found.append(Line(sign="✗", text="the answer was cut off", tone="bad", depth=depth))
    return found


def _contents(message: MessageBody) -> tuple[str, str, list[str]]:
    """Texts, thoughts, and names of what is no text."""
    texts, thoughts, media = [], [], []
    for part in message.parts:
        match part:
            case TextBody() | RefusalBody() | CompactionBody():
                texts.append(part.text)
            case ThinkingBody():
                thoughts.append(part.text)
            case MediaBody():
                media.append(f"[{part.media} {part.media_type or ''}]")
            case _:
                pass
    return "\n\n".join(filter(None, texts)), "\n\n".join(filter(None, thoughts)), media


def what(call: ToolCallBody) -> str:
    """What a tool call is about, in a line."""
    if call.command:
        return call.command
    if call.description:
        return call.description
    if isinstance(call.arguments, dict):
        for name in _TELLING:
            value = call.arguments.get(name)
            if isinstance(value, str) and value:
                return value
    return "" if call.arguments in ({}, "", None) else _json(call.arguments)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def ending(call: ToolCallBody) -> str:
    if call.result_turn_id is None:
        return "no result"
    if call.is_pending:
        return "started"
    if call.exit_code:
        return f"exit {call.exit_code}"
    return "failed" if call.is_error else ""


def took(call: ToolCallBody) -> str:
    """~ in front: measured from the call to its result; "" unknown."""
    if call.duration_ms is None:
        return ""
    about = "~" if call.duration_source == "measured" else ""
    return about + times.duration(call.duration_ms)
