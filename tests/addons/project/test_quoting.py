"""Projected rows quote the bodies that they were made from, and outlive what happens to these."""

import random

import msgspec
import pytest

from storage import bodies, database, removal, sessions, tool_calls, traffic
from storage.chunks import packing, packs
from storage.projection import forgetting, keeping
from tests.addons.project.house import ROOT, assistant, text, tool_result, tool_use, user

MAIN = ((b"user-agent", b"claude-cli/2.1.330 (external, cli)"),
        (b"X-Claude-Code-Session-Id", ROOT.encode()))  # fmt: skip


def prose(seed, lines=12):
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(60)]
    return "\n".join(" ".join(chance.choices(words, k=8)) + f" {seed}" for _ in range(lines))


def call(number):
    return tool_use(f"toolu_{number}", command=prose(f"c{number}", 6), description="do it")


def run(house, turns=4):
    """Each turn answers at length and calls a tool with a long result."""
    history = [user(prose("prompt"))]
    for number in range(turns):
        said = [text(prose(f"a{number}")), call(number)]
        house.call(list(history), said, headers=MAIN)
        history += [
            assistant(*said),
            user(tool_result(f"toolu_{number}", prose(f"r{number}", 30))),
        ]
    house.call(history, [text("done")], headers=MAIN)


def shown(house):
    """All that readers get."""
    calls = tool_calls.page(house.db.conn, tool_calls.Query(), limit=1000).tool_calls
    return (
        [(one.id, one.parts, one.preview) for one in house.messages()],
        [(one.id, one.arguments, one.result) for one in calls],
    )


def forms(house):
    return dict(house.rows("select id, hex(substr(content, 1, 1)) from messages order by turn"))


def test_what_is_sent_is_quoted_and_so_is_an_answer_when_it_is_sent_again(house):
    run(house, turns=2)
    house.project()
    sizes = house.rows("select length(content) from messages order by turn, position")
    assert len(sizes) == 6
    assert max(size for (size,) in sizes[:5]) < 140
    assert house.rows("select arguments, result from tool_calls") == [(None, None)] * 2
    messages, calls = shown(house)
    texts = [parts[0].text for _, parts, _ in messages]
    assert texts == [prose("prompt"), prose("a0"), prose("r0", 30), prose("a1"),
                     prose("r1", 30), "done"]  # fmt: skip
    assert [result for _, _, result in calls] == [prose("r1", 30), prose("r0", 30)]
    assert msgspec.json.decode(calls[1][1])["command"] == prose("c0", 6)


def test_a_rebuild_and_another_order_give_the_same(house):
    run(house)
    house.project()
    expected = shown(house), house.dump()
    assert house.rebuild().startswith("done")
    assert (shown(house), house.dump()) == expected
    for (conversation,) in house.rows("select id from conversations"):
        forgetting.make_stale(keeping.sets(house.db)[0], conversation)
    house.project(list(reversed(house.entries)))
    assert (shown(house), house.dump()) == expected


def test_repacking_changes_nothing(house):
    run(house)
    house.project()
    expected = shown(house)
    while packing.repack(house.db, is_resting=True):
        pass
    packs.forget_all()
    assert shown(house) == expected


@pytest.mark.parametrize("place", [0, 2, 4], ids=["first", "middle", "last"])
def test_a_deleted_entry_is_quoted_by_nobody(house, place):
    run(house)
    house.project()
    before = shown(house)
    with database.write(house.db):
        traffic.delete(house.db, house.entries[place])
    # Until it is swept what others sent too still shows.
    packs.forget_all()
    messages, calls = shown(house)
    assert messages
    assert [one for one in before[0] if one in messages] == messages
    assert [one for one in before[1] if one in calls] == calls
    house.project()
    packs.forget_all()
    messages, calls = shown(house)
    known = {one: parts for one, parts, _ in before[0]}
    assert [parts for _, parts, _ in messages] == [known[one] for one, _, _ in messages]
    assert len(messages) == (len(before[0]) if place < 4 else len(before[0]) - 2)
    results = {result for _, _, result in before[1]}
    assert {result for _, _, result in calls} <= {None, *results}  # the last one went
    for word in ("prompt", "r0", "a1"):
        assert house.one("select count(*) from search where search match ?", word) == 1
    for body in bodies.verify(house.db.conn):
        raise AssertionError(body)


def test_between_any_two_steps_of_the_sweep_readers_get_whole_messages(house, monkeypatch):
    monkeypatch.setattr(removal, "_clock", lambda *_: lambda: True)
    run(house, turns=3)
    house.project()
    known = {one: (parts, preview) for one, parts, preview in shown(house)[0]}
    results = {one: rest for one, *rest in shown(house)[1]}
    with database.write(house.db):
        traffic.delete(house.db, house.entries[-1])
        traffic.delete(house.db, house.entries[1])
    for _ in range(300):
        packs.forget_all()
        messages, calls = shown(house)
        for one, parts, preview in messages:
            assert known[one] == (parts, preview)
        for one, arguments, result in calls:
            assert arguments == results[one][0]
            assert result in (None, results[one][1])  # None: not projected again yet
        if not removal.sweep(house.db) and not house.projection.step(house.db):
            break
    assert len(shown(house)[0]) == 6


def test_a_deleted_session_leaves_no_word(house):
    run(house)
    house.project()
    house.log.end()
    sessions.delete(house.db, house.session)
    house.project()
    assert shown(house) == ([], [])
    assert house.one("select count(*) from search where search match 'r0 or a0 or prompt'") == 0


def damage(house):
    """A few bytes of the oldest pack."""
    house.db.execute(
        "update packed set data = cast(substr(data, 1, 60) || x'5a5a5a5a' || substr(data, 65) "
        "as blob) where first = (select min(first) from packed)"
    )
    packs.forget_all()


def test_words_that_are_damaged_leave_the_index_with_all_of_it(house):
    run(house)
    kept = sessions.create(house.db, name="kept", origin="run", is_recording=True).id
    house.project()
    house.call([user(prose("other"))], [text("thing")], session=kept)
    house.project()
    damage(house)
    assert any(parts[0].__class__.__name__ == "OtherPart" for _, parts, _ in shown(house)[0])
    house.log.end()
    sessions.delete(house.db, house.session)
    house.project()
    assert house.one("select count(*) from search where search match 'r0 or a0 or prompt'") == 0
    assert house.one("select count(*) from search where search match 'other'") == 1
    assert keeping.state(house.db.conn).result.startswith("done")
    assert house.one("select is_unmerged from projection") == 0


def test_an_entry_whose_body_is_damaged_holds_up_no_other(house):
    run(house)
    house.read()
    while packing.repack(house.db, is_resting=True):
        pass
    house.call([user(prose("other"))], [text("thing")], headers=MAIN)
    house.read()
    damage(house)
    house.project()
    notes = house.rows("select kind, detail from notes where kind = 'projection-failed'")
    assert notes
    assert all(detail.startswith("StoreError: body ") for _, detail in notes)
    assert prose("other").split()[0] in house.messages()[-2].preview
    assert house.one("select count(*) from unprojected") == 0
