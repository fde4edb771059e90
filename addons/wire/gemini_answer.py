"""
The answer of a Gemini call.

A stream's chunks are whole GenerateContentResponse objects, each with the next pieces of its
candidates. Pieces of text that follow each other are one part: a client sends them back as one
(Gemini CLI 0.61.0, `consolidatedParts`). `usageMetadata` stands in every chunk and counts from the
beginning: the last one holds. `finishReason` ends a candidate; nothing ends the stream but its end.
"""

import msgspec

from addons.wire.fields import (
    Json,
    Object,
    Raw,
    read_array,
    read_integer,
    read_object,
    read_text,
    rest,
)
from addons.wire.gemini_candidate import Candidate
from addons.wire.running import Notes, Sink
from storage.decoded import Answer, Failure, Usage

_MAX_CANDIDATES = 64  # a hostile stream cannot open more
_READ = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_KNOWN = _READ | {
    "promptFeedback", "createTime", "modelStatus", "automaticFunctionCallingHistory", "error",
}  # fmt: skip
_ENVELOPE = frozenset({"response", "traceId", "consumedCredits", "remainingCredits", "metadata"})


class AnswerBuilder:
    """A Builder for generateContent and streamGenerateContent, in Code Assist's envelope or not."""

    def __init__(self, sink: Sink, notes: Notes) -> None:
        self._sink = sink
        self._notes = notes
        self._candidates: dict[int, Candidate] = {}
        self._parts_begun = 0
        self._usage: Raw | None = None
        self._id: str | None = None
        self._model: str | None = None
        self._blocked: str | None = None
        self._failure: Failure | None = None
        self._kept: Object = {}

    @property
    def is_done(self) -> bool:
        if self._failure or self._blocked:
            return True
        candidates = self._candidates.values()
        return bool(candidates) and all(each.finish_reason for each in candidates)

    def event(self, name: str, data: str) -> None:
        if data == "[DONE]":  # of OpenAI's streams; gateways send it here too
            return
        fields = read_object(data)
        if fields is None:
            self._notes.add("malformed-event", name or None)
            return
        self._chunk(fields, joins=True)

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._notes.add("malformed-answer")
            return
        self._chunk(fields, joins=False)

    def failed(self, status: int, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:  # a stream that is no SSE refuses with a list of one error
            fields = next((read_object(each) for each in read_array(body) or ()), None)
        if fields is not None and "error" in fields:
            self._failed(fields["error"], status)
            return
        text = body[:2000].decode(errors="replace").strip()
        self._failure = Failure(type=None, message=text or None, status=status)

    def answer(self) -> Answer:
        candidates = [self._candidates[index] for index in sorted(self._candidates)]
        return Answer(
            id=self._id,
            model=self._model,
            messages=tuple(
                each.message(is_first=number == 0) for number, each in enumerate(candidates)
            ),
            stop_reason=(candidates[0].finish_reason if candidates else None) or self._blocked,
            usage=read_usage(self._usage),
            failure=self._failure,
            fields_json=msgspec.json.encode(self._kept) if self._kept else None,
        )

    def _chunk(self, fields: Object, *, joins: bool) -> None:
        inner = read_object(fields.get("response"))
        if inner is not None:
            self._keep(fields, _ENVELOPE, _ENVELOPE - {"response"})
            fields = inner
        self._keep(fields, _KNOWN, _KNOWN - _READ - {"error"})
        if "error" in fields:
            self._failed(fields["error"], None)
        if "usageMetadata" in fields:
            self._usage = fields["usageMetadata"]
        trace_id = read_text(self._kept.get("traceId"))
        self._id = read_text(fields.get("responseId")) or self._id or trace_id
        self._model = read_text(fields.get("modelVersion")) or self._model
        feedback = read_object(fields.get("promptFeedback")) or {}
        self._blocked = read_text(feedback.get("blockReason")) or self._blocked
        for place, raw in enumerate(read_array(fields.get("candidates")) or ()):
            self._candidate(place, raw, joins=joins)

    def _keep(self, fields: Object, known: frozenset[str], kept: frozenset[str]) -> None:
        for name in fields.keys() - known:
            self._notes.add("unknown-field", name)
            self._kept[name] = fields[name]
        for name in fields.keys() & kept:
            self._kept[name] = fields[name]

    def _candidate(self, place: int, raw: Raw, *, joins: bool) -> None:
        fields = read_object(raw)
        if fields is None:
            self._notes.add("malformed-candidate")
            return
        # An index of 0 may be left out, as protobuf's JSON does with zeros.
        index = read_integer(fields.get("index"))
        index = place if index is None else index
        if index not in self._candidates:
            if len(self._candidates) >= _MAX_CANDIDATES:
                self._notes.add("too-many-candidates")
                return
            self._candidates[index] = Candidate(self._sink, self._notes, self._next_index)
        self._candidates[index].read(fields, joins=joins)

    def _next_index(self) -> int:
        self._parts_begun += 1
        return self._parts_begun - 1

    def _failed(self, raw: Raw, status: int | None) -> None:
        error = read_object(raw)
        self._kept["error"] = raw
        if error is None:
            self._failure = Failure(type=None, message=read_text(raw), status=status)
            return
        self._failure = Failure(
            type=read_text(error.get("status")),
            message=read_text(error.get("message")),
            status=read_integer(error.get("code")) if status is None else status,
        )


class CountBuilder:
    """A Builder for countTokens. (Code Assist answers it without an envelope.)"""

    is_done = False

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._answer = Answer()
        self._errors = AnswerBuilder(Sink(0), notes)

    def event(self, name: str, data: str) -> None:
        self._notes.add("unknown-event", name or None)

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._notes.add("malformed-answer")
            return
        fields = read_object(fields.get("response")) or fields
        self._answer = Answer(
            counted_tokens=read_integer(fields.get("totalTokens")),
            fields_json=rest(fields, {"totalTokens"}),
        )

    def failed(self, status: int, body: bytes) -> None:
        self._errors.failed(status, body)
        self._answer = self._errors.answer()

    def answer(self) -> Answer:
        return self._answer


def read_usage(raw: Json) -> Usage | None:
    """
    `promptTokenCount` holds the cached tokens, but not those of the tools' own prompts; what the
    model put out is counted in two parts, reasoning apart. Zeros are left out on the wire.
    """
    counts = read_object(raw)
    if counts is None:
        return None
    thoughts = read_integer(counts.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=_sum(counts, "promptTokenCount", "toolUsePromptTokenCount"),
        output_tokens=_sum(counts, "candidatesTokenCount", "thoughtsTokenCount"),
        cache_read_tokens=read_integer(counts.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        total_tokens=read_integer(counts.get("totalTokenCount")),
        service_tier=read_text(counts.get("serviceTier")) or read_text(counts.get("trafficType")),
        raw_json=msgspec.json.encode(counts),
    )


def _sum(counts: Object, *names: str) -> int | None:
    """None if none of them is there."""
    found = [count for name in names if (count := read_integer(counts.get(name))) is not None]
    return sum(found) if found else None
