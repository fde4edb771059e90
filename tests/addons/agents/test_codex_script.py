"""Tool calls in JavaScript, as Codex's own models write it and as badly as they might."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.agents import codex_script
from storage.decoded import ToolCallPart


def calls(script):
    made = ToolCallPart(call_id="c", name="exec", arguments=script, is_custom=True)
    return [(call.name, call.arguments) for call in codex_script.calls(made)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('const r = await tools.exec_command({cmd:"ls; pwd"}); text(r);', '{"cmd":"ls; pwd"}'),
        ("await tools.exec_command({ 'cmd' : 'ls', })", '{"cmd":"ls"}'),
        ('tools["exec_command"]({cmd: `a ${b} c`})', '{"cmd":"a ${b} c"}'),
        ('const cmd = "ls"\ntools.exec_command({cmd})', '{"cmd":"ls"}'),
        ('const d = "/w"; tools.exec_command({cmd: `cd ${d}`})', '{"cmd":"cd /w"}'),
        ('tools.exec_command({cmd: "a" + \'b\', n: 1_000, f: -2.5, t: true, z: null})',
         '{"cmd":"ab","n":1000,"f":-2.5,"t":true,"z":null}'),
        ('tools.exec_command({cmd: make(1, {a: ")"}), workdir: "/w"})', '{"workdir":"/w"}'),
        ('tools.exec_command({a: [1, ["x"]], b: {c: {}}})', '{"a":[1,["x"]],"b":{"c":{}}}'),
        (r'tools.exec_command({cmd: "\x41\u0042\u{43}\n\"\q"})', r'{"cmd":"ABC\n\"q"}'),
        (r'tools.exec_command({cmd: "\ud83d\ude00 \ud83d"})', '{"cmd":"😀 �"}'),
        ("tools\n  .exec_command(/* x */ {cmd: 1} // y\n)", '{"cmd":1}'),
        ("tools.exec_command(options)", ""),
        ("tools.exec_command({...options})", ""),
        ('tools.exec_command("a" + b)', ""),
        ('tools.exec_command({cmd: "ls', ""),
        ("tools.exec_command(", ""),
    ],
)  # fmt: skip
def test_one_call(script, expected):
    assert [arguments for _, arguments in calls(script)] == [expected]


def test_a_text_is_an_argument_by_itself():
    script = 'try { await tools.apply_patch("*** Begin Patch\\n*** End Patch\\n") } catch (e) {}'
    made = ToolCallPart(call_id="c", name="exec", arguments=script, is_custom=True)
    (call,) = codex_script.calls(made)
    assert (call.arguments, call.is_custom) == ("*** Begin Patch\n*** End Patch\n", True)


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("Promise.all([tools.a({}), tools.b({})])", ["a", "b"]),
        ("tools.a(await tools.b({}))", ["a", "b"]),
        ("const x = tools.a({}); const y = [tools.b({})];", ["a", "b"]),
        ("for (const f of fs) { await tools.a({f}) }", ["a"]),
        ("// tools.a({})\n/* tools.b({}) */ 'tools.c({})'; `tools.d({})`", []),
        ("Object.keys(tools); mytools.a({}); tools.a; tools.b = 1", []),
        ("", []),
    ],
)
def test_where_calls_stand(script, names):
    assert [name for name, _ in calls(script)] == names


@pytest.mark.parametrize("piece", ["const a={b:", "tools.x('", "const a=/*", "{"])
def test_deep_and_endless_scripts_are_given_up(piece):
    """Quadratic work would not come to an end within the test's timeout."""
    assert len(calls(piece * 20_000)) <= 200


PIECES = st.sampled_from(
    ["tools.", "tools[", "x(", "{", "}", "[", "]", ")", "'", '"', "`", "${", "\\", "\\u{11ffff}",
     "const a = ", "a", ",", ":", "+", "1e9", "9" * 400, "//", "/*", "*/", "\n", "\ud800"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_nothing_makes_it_raise(script):
    calls(script)
