"""What the five wire formats' modules share: lenient reading of JSON, refusals, the record."""

import msgspec

from .plan import Ask, Plan, Refusal
from .records import Answered, Headers, Usage
from .reply import Reply
from .request import Request

type Json = dict  # decoded JSON of foreign shape; the values are whatever was sent

# System prompts of calls that an agent makes beside the conversation.
_ASIDES = ("You are a title generator", "managed memory extraction", "Generate a concise, sentence")

# What a request for a summary says: Claude Code, Gemini CLI (twice), Qwen Code, opencode, Codex
# with a provider that is not OpenAI, Copilot CLI.
_COMPACTIONS = (
    ("CRITICAL: Respond with TEXT ONLY", "summary"),
    ("reason in your scratchpad", "<state_snapshot>"),
    ("Critically evaluate the <state_snapshot>",),
    ("produce the <state_snapshot> XML",),
    ("Create a new anchored summary",),
    ("CONTEXT CHECKPOINT COMPACTION",),
    ("Please create a detailed summary of the conversation so far",),
)


def objects(value: object) -> list[Json]:
    """The objects of a JSON list; anything else is an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def listed(content: object) -> list[Json]:
    """Message content as blocks, whether it came as text or as a list."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def side_call(system: object) -> bool:
    """Whether the system prompt is that of a call beside the conversation."""
    text = "".join(str(block.get("text", "")) for block in listed(system))
    return any(mark in text for mark in _ASIDES)


def compacts(last: object) -> bool:
    """Whether the last text of a request asks for a summary of the history."""
    text = "\n".join(str(block.get("text", "")) for block in listed(last))
    return any(all(mark in text for mark in marks) for marks in _COMPACTIONS)


def planned(request: Request, ask: Ask) -> Plan:
    """The plan for a call; its scenario goes on the exchange's record."""
    request.exchange.scenario = ask.scenario[0]
    plan = request.scripts.plan(ask)
    if plan.coding and plan.coding not in (request.header("accept-encoding") or ""):
        return msgspec.structs.replace(plan, coding=None)  # as servers do
    return plan


def answered(
    request: Request,
    ask: Ask,
    plan: Plan,
    answer_id: str,
    calls: list[tuple[str, str]],
    usage: Usage,
) -> None:
    """Put the answer on the exchange's record."""
    answer = Answered(
        wire=ask.wire,
        id=answer_id,
        model=ask.model,
        text=plan.text,
        tool_calls=calls,
        arguments=[call.arguments for call in plan.calls],
        usage=usage,
        prompt=ask.prompt,
        accident=plan.fault,
    )
    request.exchange.answers.append(answer)


async def refused(
    request: Request, reply: Reply, refusal: Refusal, error: Json, headers: Headers
) -> None:
    """An error answer, with `retry-after` where the scenario says so."""
    if refusal.retry_after_seconds is not None:
        headers = [*headers, ("retry-after", str(refusal.retry_after_seconds))]
    await reply.json(error, refusal.status, headers)
