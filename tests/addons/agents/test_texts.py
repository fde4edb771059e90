"""Wrappers around texts, and what is found in them."""

import re

import pytest

from addons.agents import texts
from tests.addons.agents.making import call, system, user


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("plain", "plain"),
        ("  plain \n", "plain"),
        ("<a>x</a>plain", "plain"),
        ("<a k='1'>x</a>\n<b>y</b>\nplain\n<a>z</a>", "plain"),
        ("plain <a>x</a> goes on", "plain <a>x</a> goes on"),
        ("<a>never closed", ""),
        ("never opened</a>", "never opened</a>"),
        ("<ab>other</ab>", "<ab>other</ab>"),
        ("plain<ab>x</a>", "plain<ab>x</a>"),
        ("<a>x</a>", ""),
        ("", ""),
    ],
)
def test_unwrapped(text, own):
    assert texts.unwrapped(text, ("a", "b")) == own


def test_the_system_prompt_stands_apart_or_first():
    assert texts.system(call(user("hi"), system=("a", "b")).asked) == "a\nb"
    assert texts.system(call(system("a"), user("hi")).asked) == "a"
    assert texts.system(call(user("hi")).asked) == ""
    assert texts.system(call().asked) == ""


def test_find_after_tries_each_place_of_a_key():
    pattern = re.compile(r" is (\w+)")
    assert texts.find_after(("key",), pattern, ["no", "key was, key is here"]) == "here"
    assert texts.find_after(("key",), pattern, ["key"]) is None


def test_after_ignores_space_before_the_marker():
    assert texts.after("\n a b", "a") == " b"
    assert texts.after("b a", "a") is None
