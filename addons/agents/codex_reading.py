"""
Codex's messages: one Responses item each, with marks of who wrote it.

0.169 sends `content_item_kinds` with every item and, with Codex's own models, the provenance of
each part: that decides. 0.104 sends none: then a message is told by what it begins with. Tags are
of 0.169.0, on the wire or in its program ("program only": not seen on the wire).
"""

from collections.abc import Iterator
from typing import Literal

from addons.agents import texts
from addons.agents.contract import Reading
from addons.wire.fields import read_array, read_object, read_text
from storage.decoded import CompactionPart, MediaPart, Message, OtherPart, TextPart

Sort = Literal["prompt", "context", "notification", "summary", "instruction", "command", "stop"]
Kind = Literal["context", "notification", "summary", "instruction", "command"]

_KINDS: dict[Sort, Kind] = {
    "notification": "notification",
    "summary": "summary",
    "instruction": "instruction",
    "command": "command",
}
ENVIRONMENT = "<environment_context>"
# Between agents: `Message Type: NEW_TASK`, FINAL_ANSWER, MESSAGE; the item names its author.
_NEW_TASK = "Message Type: NEW_TASK"
_PAYLOAD = "Payload:\n"
_ENCRYPTED = "encrypted_content"
_TRIGGER = "compaction_trigger"  # last item of a call that compacts on the provider's side
_REQUEST = "## My request for Codex:"  # what the editors' extension puts before the user's words
_ABORTED = "<turn_aborted>"  # of role developer in 0.169, before of role user
_BEGINNINGS: tuple[tuple[Sort, tuple[str, ...]], ...] = (
    ("stop", (_ABORTED,)),
    ("summary", ("Another language model started to solve this problem",)),  # program only
    ("instruction", ("You are performing a CONTEXT CHECKPOINT COMPACTION",)),  # program only
    ("notification", ("<subagent_notification>", "<agent_message_board_notification>")),
    ("command", ("<user_shell_command>", "<user_action>")),
    (
        "context",
        (
            ENVIRONMENT,
            "# AGENTS.md instructions for ",
            "<user_instructions>",
            "<INSTRUCTIONS>",
            "<permissions instructions>",
            "<skill>",
            "<model_switch>",
            "<collaboration_mode>",
            "<multi_agent_mode>",
            "<image_resize_notice>",
            "<goal_context>",
        ),
    ),
)
# Around a picture, each in a part of its own.
_IMAGE_TAGS = ("<image", "</image>")
# What the harness adds has a first word of its own: `environments.environment_context`.
_USERS = ("user.text", "user.image", "user.audio")


def reading(message: Message) -> Reading:
    everything = tuple(range(len(message.parts)))
    if any(isinstance(part, CompactionPart) for part in message.parts):
        return Reading(kind="summary")
    if message.role == "assistant":
        return Reading(kind="answer")
    if message.role == "tool":
        return Reading(kind="tool-results")
    if message.role in ("system", "developer"):
        is_stopped = texts.joined(message.parts).startswith(_ABORTED)
        return Reading(kind="context", injected=everything, is_interruption=is_stopped)
    if is_compaction_trigger(message):
        return Reading(kind="instruction")
    if message.name is not None:
        is_task = is_new_task(message)
        return Reading(kind="instruction" if is_task else "notification")
    return _users(message)


def _users(message: Message) -> Reading:
    sorts: dict[int, Sort] = {}
    words: list[str] = []
    is_by_user = False
    marks = dict(enumerate(_marks(message)))
    for index, part in enumerate(message.parts):
        text = part.text if isinstance(part, TextPart) else ""
        sort, own = _sort_of(text, marks.get(index))
        if isinstance(part, MediaPart):
            is_by_user = is_by_user or marks.get(index) is not False
        elif sort == "prompt" and own:
            words.append(own)
        elif sort != "prompt":
            sorts[index] = sort
    kind = "prompt" if words or is_by_user else _kind(list(sorts.values()))
    return Reading(
        kind=kind,
        prompt="\n".join(words) if kind == "prompt" else None,
        injected=tuple(range(len(message.parts)))
        if kind == "context"
        else tuple(index for index, sort in sorts.items() if sort != kind),
        is_interruption="stop" in sorts.values(),
    )


def _kind(sorts: list[Sort]) -> Kind:
    """Of what the user did not write: the first that is more than context."""
    return next((_KINDS[sort] for sort in sorts if sort in _KINDS), "context")


def _sort_of(text: str, is_by_user: bool | None) -> tuple[Sort, str]:
    own = text.strip()
    if is_by_user is not True:
        for sort, beginnings in _BEGINNINGS:
            if own.startswith(beginnings):
                return sort, own
    if is_by_user is False:
        return "context", own
    if own.startswith(_IMAGE_TAGS) and own.endswith(">") and len(own) < 1000:
        return "context", own
    _, found, request = own.partition(_REQUEST)
    return "prompt", request.strip() if found else own


def _marks(message: Message) -> Iterator[bool | None]:
    """Of each part whether the user wrote it, as the item says; None: it does not."""
    labels = read_object(message.labels_json) or {}
    metadata = read_array(labels.get("content_item_metadata")) or []
    for index, raw in enumerate(read_array(labels.get("content_item_kinds")) or ()):
        said = read_object(metadata[index]) if index < len(metadata) else None
        writer = read_text((read_object((said or {}).get("provenance")) or {}).get("type"))
        kind = read_text(raw) or ""
        if writer is not None:
            yield writer == "user"
        else:
            yield None if kind in ("", "unknown") else kind in _USERS


def is_compaction_trigger(message: Message) -> bool:
    return any(isinstance(part, OtherPart) and part.type == _TRIGGER for part in message.parts)


def is_new_task(message: Message) -> bool:
    return message.name is not None and texts.joined(message.parts).startswith(_NEW_TASK)


def task(message: Message) -> str | None:
    """
    What a new subagent is told. The provider may have encrypted it: then this is that text, which
    its parent's call carries too.
    """
    if not is_new_task(message):
        return None
    for part in message.parts:
        if isinstance(part, OtherPart) and part.type == _ENCRYPTED:
            return read_text((read_object(part.json) or {}).get(_ENCRYPTED))
    return texts.joined(message.parts).partition(_PAYLOAD)[2].strip() or None
