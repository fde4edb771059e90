"""Tags and rules, without a proxy; test_entries.py goes through one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.assignment import NOTHING, Rules, Tag, basic_tag
from storage.control import Control, SessionControl


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (basic("session:word"), Tag("session", "word")),
        (basic("session:word").replace("Basic", "bASIC"), Tag("session", "word")),
        (basic("session"), Tag("session", "")),
        (basic("a%3Ab:c%40d"), Tag("a:b", "c@d")),
        (basic("s:w:x"), Tag("s", "w:x")),
        (basic(":word"), None),
        ("Bearer abc", None),
        ("Basic not base64!", None),
        ("Basic \udcff\udcfe", None),  # as mitmproxy gives bytes that are no text
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), None),
        ("", None),
    ],
)
def test_tag_of_a_header(value, tag):
    assert basic_tag(value) == tag


@given(st.text())
def test_no_header_is_too_odd(value):
    basic_tag(value)


def control(active=None, deleted=(), automatic=True, **sessions):
    return Control(
        active=active,
        deleted=deleted,
        automatic=automatic,
        sessions={
            name: SessionControl(recording=recording, word="w")
            for name, recording in sessions.items()
        },
    )


def test_tag_proves_itself_by_its_word_and_goes_on_proving():
    rules = Rules()
    assert not rules.proves(Tag("a", "wrong"), control(a=True))
    assert rules.proves(Tag("a", "w"), control(a=True))
    assert rules.proves(Tag("a", "w"), control())
    assert not rules.proves(Tag("b", "w"), control(a=True))


def test_active_session_that_the_file_does_not_list_takes_nothing():
    assert Rules().assign(None, control(active="a")) == NOTHING
    assert Rules().assign(None, control(active="a", a=True, deleted=("a",))) == NOTHING


@pytest.mark.parametrize(
    ("session", "state", "expected"),
    [
        (None, control(), "recorded"),
        (None, control(active="a", a=True), "recorded"),
        (None, control(automatic=False), "stopped"),
        ("a", control(a=True), "recorded"),
        ("a", control(active="b", a=True, b=True), "recorded"),
        ("a", control(a=False), "stopped"),
        ("a", control(a=True, deleted=("a",)), "deleted"),
        ("a", control(), "deleted"),
    ],
)
def test_open_entry(session, state, expected):
    assert Rules().goes_on(session, state) == expected
