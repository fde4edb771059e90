"""
Reasoning in chat messages and deltas, under all the names that servers have for it.

OpenAI's own format has none. DeepSeek, Qwen, vLLM and others say `reasoning_content`, OpenRouter
and newer vLLM `reasoning`, Copilot `reasoning_text`; OpenRouter adds `reasoning_details`, LiteLLM
`thinking_blocks`, each with what only the provider can read (signatures, encrypted blocks). The
same text often comes under two names at once. OpenRouter, "Reasoning tokens", read 2026-11.
"""

from collections.abc import Iterable, Mapping

from addons.wire.chat_content import packed, present
from addons.wire.fields import Object, Raw, read_array, read_object, read_text
from storage.decoded import ThinkingPart

_TEXTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
_BLOCKS = ("reasoning_details", "thinking_blocks")
_OPAQUE = (
    "reasoning_opaque",
    "reasoning_signature",
    "encrypted_content",
    "signature",
    "cot_id",
    "cot_summary",
)
FIELDS = frozenset((*_TEXTS, *_BLOCKS, *_OPAQUE))

_BLOCK_TEXTS = ("text", "summary", "thinking")
_PIECES = (*_BLOCK_TEXTS, "data")


def text_of(fields: Object) -> str:
    """The reasoning in a message or a delta, from the first place that has some."""
    for name in _TEXTS:
        if name in fields and (text := read_text(fields[name])):
            return text
    for name in _BLOCKS:
        blocks = read_array(fields[name]) if name in fields else None
        if blocks and (text := "".join(_block_text(read_object(each) or {}) for each in blocks)):
            return text
    return ""


def whole(fields: Object) -> ThinkingPart | None:
    """What a whole message has of reasoning."""
    if FIELDS.isdisjoint(fields):
        return None
    reasoning = Reasoning()
    reasoning.add(fields)
    return reasoning.part(text_of(fields))


class Reasoning:
    """What comes of reasoning beside its text, in deltas or at once."""

    def __init__(self) -> None:
        self._blocks: dict[str, dict[tuple[bytes, ...], _Block]] = {}
        self._opaque: dict[str, list[str]] = {}
        self._other: dict[str, Raw] = {}

    def add(self, fields: Object) -> bool:
        """Whether there was any reasoning, its text included."""
        found = False
        for name in fields.keys() & FIELDS:
            value = present(fields, name)
            if value is None:
                continue
            found = True
            text = read_text(value)
            if name in _BLOCKS and (blocks := read_array(value)) is not None:
                for each in blocks:
                    self._add_block(name, read_object(each) or {})
            elif text is None:
                self._other[name] = value
            elif name in _OPAQUE and text:
                self._add_opaque(name, text)
        return found

    def part(self, text: str) -> ThinkingPart | None:
        """With the text that the pieces made; None if there is nothing."""
        kept: dict[str, object] = dict(self._other)
        for name in sorted(self._opaque):
            texts = self._opaque[name]
            kept[name] = texts[0] if len(texts) == 1 else texts
        for name in sorted(self._blocks):
            kept[name] = _blocks_without(text, self._blocks[name].values())
        if not text and not kept:
            return None
        return ThinkingPart(text=text, is_redacted=not text, extra_json=packed(kept))

    def _add_opaque(self, name: str, text: str) -> None:
        texts = self._opaque.setdefault(name, [])
        if text not in texts[-1:]:
            texts.append(text)

    def _add_block(self, name: str, piece: Object) -> None:
        """Pieces of one block have its index and type; opaque ones also an id of their own."""
        names = ("index", "type", "id") if "data" in piece else ("index", "type")
        key = tuple(bytes(piece[each]) if each in piece else b"" for each in names)
        self._blocks.setdefault(name, {}).setdefault(key, _Block()).add(piece)


class _Block:
    def __init__(self) -> None:
        self._fields: Object = {}
        self._pieces: dict[str, list[str]] = {}

    def add(self, piece: Object) -> None:
        for name, value in piece.items():
            text = read_text(value) if name in _PIECES else None
            if text is not None:
                self._pieces.setdefault(name, []).append(text)
            elif present(piece, name) or name not in self._fields:
                self._fields[name] = value

    def text(self) -> str:
        return "".join("".join(self._pieces.get(name, ())) for name in _BLOCK_TEXTS)

    def fields(self, *, with_text: bool) -> Mapping[str, object]:
        pieces = {
            name: "".join(texts)
            for name, texts in self._pieces.items()
            if with_text or name not in _BLOCK_TEXTS
        }
        return {**self._fields, **pieces}


def _blocks_without(text: str, blocks: Iterable[_Block]) -> list[Mapping[str, object]]:
    """The blocks; their texts only where the part's own text does not already say them."""
    kept = list(blocks)
    with_text = not text or "".join(block.text() for block in kept) != text
    return [block.fields(with_text=with_text) for block in kept]


def _block_text(fields: Object) -> str:
    return "".join(read_text(fields[name]) or "" for name in _BLOCK_TEXTS if name in fields)
