"""
The tool calls of one message while their pieces come.

OpenAI numbers them with `index` and names each once. Compatible servers send no index, the same one
for every call, the id and the name again with each piece, or whole calls in one piece; which call a
piece belongs to is settled here.
"""

from collections.abc import Callable

from addons.wire import chat_content as content
from addons.wire.chat_plain import CallPiece
from addons.wire.fields import Object, Raw, read_integer, read_object, read_text
from addons.wire.running import Sink
from storage.decoded import OtherPart, Part, ToolCallPart

_MAX_LOOKS = 50  # at the arguments of one call, whether they are whole; each costs their length
_FUNCTION = -1  # in place of an index: the one call of the API before `tool_calls`


class _Call:
    def __init__(self, index: int, number: int) -> None:
        self.index = index  # of the part
        self.number = number  # among the calls, as the server counts
        self.call_id: str | None = None
        self.name = ""
        self.is_custom = False
        self.is_said = False
        self.extra: Object = {}
        self._pieces: list[str] = []
        self._looks = 0

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    @property
    def has_arguments(self) -> bool:
        return bool(self._pieces)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are a JSON object, to which nothing can be added."""
        if not self._pieces or not self._pieces[-1].rstrip().endswith("}"):
            return False
        self._looks += 1
        return self._looks <= _MAX_LOOKS and read_object(self._joined()) is not None

    def is_other(self, call_id: str | None, name: str | None) -> bool:
        """Whether a piece with this id and name, under the same index, is of another call."""
        if not name or (call_id and call_id == self.call_id):
            return False
        if not self.has_arguments:
            return bool(call_id and self.call_id) and name != self.name
        return self.is_whole

    def part(self) -> ToolCallPart:
        return ToolCallPart(
            call_id=self.call_id,
            name=self.name,
            arguments=self._joined(),
            is_custom=self.is_custom,
            extra_json=content.packed(self.extra),
        )

    def _joined(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


class Calls:
    def __init__(self, sink: Sink, begin: Callable[[], int]) -> None:
        self._sink = sink
        self._begin = begin
        self._calls: list[_Call] = []
        self._by_number: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._next = 0  # the number of a call that has none
        self._others: list[OtherPart] = []

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def add(self, raw: Raw) -> bool:
        """A piece out of `tool_calls`; False if it is no such thing."""
        fields = read_object(raw)
        if fields is None:
            self._others.append(OtherPart(type="tool_call", json=bytes(raw)))
            return False
        custom = read_object(fields.get("custom"))
        inner = custom or read_object(fields.get("function")) or {}
        call_id = read_text(fields.get("id")) or None
        name = read_text(inner.get("name")) or None
        call = self._of(read_integer(fields.get("index")), call_id, name)
        self._identify(call, call_id)
        call.is_custom = call.is_custom or custom is not None
        call.extra |= content.extras(fields, content.CALL)
        self._grow(call, inner, name, is_named_anew=call_id is not None)
        return True

    def go_on(self, piece: CallPiece) -> None:
        """A piece that has nothing beside the call."""
        call_id, name = piece.id or None, piece.function.name or None
        call = self._of(piece.index, call_id, name)
        self._identify(call, call_id)
        self._name(call, name, is_named_anew=call_id is not None)
        self._argue(call, piece.function.arguments or "")

    def add_function(self, raw: Raw) -> bool:
        """A piece of `function_call`."""
        inner = read_object(raw)
        if inner is None:
            return False
        call = self._by_number.get(_FUNCTION) or self._new(_FUNCTION)
        self._grow(call, inner, read_text(inner.get("name")), is_named_anew=False)
        return True

    def close(self) -> None:
        """No more pieces will come."""
        for call in self._calls:
            self._say(call)

    def parts(self) -> list[Part]:
        ordered = sorted(self._calls, key=lambda call: call.number)
        return [*(call.part() for call in ordered), *self._others]

    def _grow(self, call: _Call, inner: Object, name: str | None, *, is_named_anew: bool) -> None:
        self._name(call, name, is_named_anew=is_named_anew)
        call.extra |= content.extras(inner, content.FUNCTION)
        argument = inner.get("input" if call.is_custom else "arguments")
        self._argue(call, content.arguments(argument))

    def _identify(self, call: _Call, call_id: str | None) -> None:
        if call_id and not call.call_id:
            call.call_id = call_id
            self._by_id[call_id] = call

    def _name(self, call: _Call, name: str | None, *, is_named_anew: bool) -> None:
        if name and not call.name:
            call.name = name
        elif name and name != call.name and not call.has_arguments and not is_named_anew:
            call.name += name  # a name in pieces

    def _argue(self, call: _Call, piece: str) -> None:
        if piece:
            call.add(piece)
            self._sink.delta(call.index, "arguments", piece)
        else:
            self._sink.content()

    def _of(self, number: int | None, call_id: str | None, name: str | None) -> _Call:
        """The call that a piece belongs to."""
        if number is not None:
            call = self._by_number.get(number)
            return self._new(number) if not call or call.is_other(call_id, name) else call
        last = self._calls[-1] if self._calls else None
        if call_id:
            return self._by_id.get(call_id) or self._new(None)
        if last is None or (name and (name != last.name or last.is_whole)):
            return self._new(None)
        return last

    def _new(self, number: int | None) -> _Call:
        # A call that is followed by another is whole, unless the server sends them side by side.
        for call in self._calls[-1:]:
            if call.is_custom or call.is_whole:
                self._say(call)
        if number is None:
            number = self._next
        self._next = max(self._next, number + 1)
        call = _Call(self._begin(), number)
        self._calls.append(call)
        self._by_number[number] = call
        return call

    def _say(self, call: _Call) -> None:
        if not call.is_said:
            call.is_said = True
            self._sink.part(call.index, call.part())
