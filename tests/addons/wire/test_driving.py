"""A fold is told what passed, in its order, and its changes come out."""

from addons.wire import driving
from addons.wire.contract import AnswerHead, Head
from storage.decoded import Delta
from storage.records import Entry
from storage.replay import Passed

ENTRY = Entry(
    id="1",
    session_id="2",
    kind="http",
    way="proxy",
    started_ns=0,
    client="",
    method="POST",
    scheme="https",
    host="api.example.test",
    port=443,
    target=b"/v1/messages?beta=true?x",
    http_version="HTTP/1.1",
    request_headers=((b"A", b"b"),),
    status=200,
)
ANSWER = AnswerHead(status=200)


class Told:
    """A fold that answers with what it was told."""

    def _said(self, text, at_ns):
        return [Delta(number=0, index=0, kind="text", text=text, at_ns=at_ns)]

    def answered(self, head, at_ns):
        return self._said(f"answered {head.status}", at_ns)

    def feed(self, frame):
        return self._said(f"{frame.side} {frame.data.decode()}", frame.offset_ns)

    def ended(self, side, at_ns):
        return self._said(f"{side} ended", at_ns)

    def finish(self, at_ns):
        return self._said("finish", at_ns)


PASSED = [
    Passed(what="data", side="request", offset_ns=1, data=b"ask"),
    Passed(what="ended", side="request", offset_ns=2),
    Passed(what="answered", side="response", offset_ns=3),
    Passed(what="data", side="response", offset_ns=4, data=b"say"),
    Passed(what="ended", side="response", offset_ns=5),
]


def told(answer, passed, **more):
    return [(change.at_ns, change.text) for change in driving.drive(Told(), answer, passed, **more)]


def test_all_that_passed_is_told_in_its_order():
    assert told(ANSWER, PASSED, ended_ns=9) == [
        (1, "request ask"),
        (2, "request ended"),
        (3, "answered 200"),
        (4, "response say"),
        (5, "response ended"),
        (9, "finish"),
    ]


def test_an_open_entry_is_finished_at_its_latest_moment():
    assert told(ANSWER, PASSED[:4])[-1] == (4, "finish")
    assert told(None, []) == [(0, "finish")]


def test_heads_are_the_entry_s_own():
    assert driving.head_of(ENTRY) == Head(
        method="POST",
        host="api.example.test",
        path="/v1/messages",
        query="beta=true?x",
        headers=((b"A", b"b"),),
    )
    assert driving.answer_of(ENTRY) == AnswerHead(status=200)
