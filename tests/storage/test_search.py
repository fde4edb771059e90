"""Words are found; nothing that a user types is an error."""

import collections
import random
import re

import pytest

from storage import messages, search
from storage.decoded import ToolCallPart
from storage.messages import Query
from storage.projection import rows
from storage.projection.indexing import SearchIndex
from tests.storage import plans, projected, recording


@pytest.fixture
def story(db):
    projected.make(db)
    return projected.tell(db, recording.session(db).id)


def found(db, text, query=None, **options):
    return search.find(db.conn, text, query or Query(track=None), **options)


def ids(db, text, query=None):
    return [hit.message.id for hit in found(db, text, query).hits]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("line", [5, 4, 7]),
        ("LINE 7", [5, 4, 7]),
        ('"line 7" main', [5]),
        ("mai*", [5, 6, 3]),
        ("main.py", [5, 6, 3]),
        ("ma", []),
        ("bug -please", [0]),
        ("nowhere", []),
    ],
)
def test_words(db, story, text, places):
    assert ids(db, text) == [story.messages[place] for place in places]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "*", '"', '""', '"a', "a AND", "NOT", "(", "a:b", "text:", "^a", "a OR OR b",
        "NEAR(a b)", "\0", "a\0b", "-", "'; drop table turns; --", "\ud800", "é", "a" * 5000,
        "a " * 500,
    ],
    ids=range(22),
)  # fmt: skip
def test_nothing_is_an_error(db, story, text):
    found(db, text)


def test_the_place_is_shown(db, story):
    (hit, *_) = found(db, "bug line").hits
    assert hit.snippet == "The bug is in line 7 of `main.py`."
    assert [hit.snippet[start:stop] for start, stop in hit.marks] == ["bug", "line"]


def test_a_long_text_is_cut_around_the_word(db, story):
    made = projected.message(
        db, story.root, story.turns[1], "wörter " * 200 + "Needle " + "words " * 200
    )
    (hit,) = found(db, "needle").hits
    assert hit.message.id == made
    assert len(hit.snippet) < 170
    assert hit.snippet[0] == hit.snippet[-1] == "…"
    (mark,) = hit.marks
    assert hit.snippet[slice(*mark)] == "Needle"


def test_pages_and_filters(db, story):
    first = found(db, "line", limit=2)
    second = found(db, "line", limit=2, after=first.next)
    assert [hit.message.id for hit in second.hits] == [story.messages[7]]
    assert second.next is None
    assert ids(db, "line", Query(conversation_id=story.child)) == [story.messages[7]]
    assert ids(db, "line", Query(session_id="other")) == []
    assert ids(db, "line", Query(role="assistant", kind="answer")) == [
        story.messages[5],
        story.messages[7],
    ]


@pytest.mark.parametrize("seed", range(12))
def test_of_many_matches_the_newest_come_first(db, monkeypatch, seed):
    """However far numbers and times disagree: by a little, or as after an import."""
    far = (1, 4, 100)[seed // 2 % 3]
    few = (
        ("_MORE", 2),
        ("_MOST", 12),
        ("_TURNS_A_MATCH", far),
        ("_STRAYS", (2, 6, 100)[seed % 3]),
    )
    for name, value in few:
        monkeypatch.setattr(search, name, value)
    projected.make(db)
    chance = random.Random(seed)
    session = recording.session(db).id
    jitter = (3, 1000)[seed % 2]
    turns = collections.defaultdict(list)
    for number in range(60):
        began = number + chance.randrange(jitter)
        # Side by side, or one behind the other.
        name = f"c{number % 3 if seed < 6 else number // 4}"
        turn = projected.turn(db, session, name, began=began)
        role = chance.choice(["user", "assistant"])
        words = "common" if chance.random() < 0.6 else "other"
        projected.message(db, name, turn, words, role=role)
        turns[name].append(turn)
    for name, its_turns in turns.items():
        projected.conversation(db, session, its_turns, name)
    for query in (Query(), Query(role="user"), Query(conversation_id="c1"), Query(session_id="no")):
        whole = found(db, "common", query, limit=100).hits
        known = messages.page(db.conn, query, limit=100).messages
        wanted = [message.id for message in known if "common" in message.preview]
        assert [hit.message.id for hit in whole] == wanted
        assert paged(db, query, limit=3) == wanted


def paged(db, query, limit):
    ids, after = [], None
    while True:
        page = found(db, "common", query, limit=limit, after=after)
        ids += [hit.message.id for hit in page.hits]
        after = page.next
        if after is None:
            return ids


def turns_with(db, words):
    """A conversation with a turn of one message for each of these."""
    projected.make(db)
    session = recording.session(db).id
    turns = [projected.turn(db, session, "c", began=number) for number in range(len(words))]
    projected.conversation(db, session, turns, "c")
    for turn, text in zip(turns, words, strict=True):
        projected.message(db, "c", turn, text)


def looked_up(statements):
    """How many messages each of these statements asks for by number."""
    return [
        numbers.count(",") + 1
        for statement in statements
        for numbers in re.findall(r"'\[(.+)\]'", statement)
    ]


def test_a_common_word_is_not_looked_up_everywhere(db):
    turns_with(db, ["common"] * 60)
    with plans.of(db) as plan:
        found(db, "common", limit=5)
    assert sorted(looked_up(plan.statements)) == [5, 12]


def test_of_a_word_in_every_message_no_others_are_fetched(db):
    turns_with(db, ["common"] * 60)
    matches = db.conn.execute("select rowid from search where search match 'common'")
    assert search._taken(matches, 0) == []
    assert len(search._taken(matches, 100)) == 60


def test_of_a_rare_word_the_time_between_is_not_gone_through(db, monkeypatch):
    monkeypatch.setattr(search, "_TURNS_A_MATCH", 2)
    turns_with(db, ["rare" if number % 10 == 0 else "common" for number in range(60)])
    with plans.of(db) as plan:
        found(db, "rare", limit=1)
    assert sorted(looked_up(plan.statements)) == [1, 2, 4]  # two of the last, and two more
    assert "m.number <" not in "".join(plan.statements)


BEFORE = {
    "nothing": "", "little": "a ", "lines": "ab \n" * 9, "much": "word " * 300,
    "space": "a\t" + "\n" * 3000,
}  # fmt: skip
BEHIND = {
    "nothing": "", "line": "\n", "little": " b" * 30, "much": ", so" * 300,
    "space": "\t" * 3000 + "c d",
}  # fmt: skip


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_a_snippet_is_of_the_text_in_one_line(db, before, behind):
    text = f"{before}needle{behind}"
    turns_with(db, [text])
    (hit,) = found(db, "needle").hits
    line = " ".join(text.split())
    begin = max(0, line.index("needle") - 53)
    end = "…" if len(line) > begin + 160 else ""
    assert hit.snippet == ("…" if begin else "") + line[begin : begin + 160] + end


def test_a_snippet_marks_words_that_stand_in_a_name(db, story):
    projected.message(db, story.root, story.turns[1], "call self._make_it(now)")
    (hit,) = found(db, '"make it now"').hits
    assert [hit.snippet[slice(*mark)] for mark in hit.marks] == ["make_it(now"]


@pytest.mark.parametrize(
    "text",
    [
        '"def parse"',
        "class",
        "naïve",
        '"path main.py"',
        "240000",
        "deep",
        "12.50",
        "1e5",
        '"no null"',
    ],
)
def test_the_arguments_of_a_call_are_found_by_what_they_say(db, story, text):
    arguments = r'{"path":"main.py","new":"import re\nclass A:\n\tdef parse(): pass # na\u00efve",'
    arguments += f'"limits":[240000,{1 << 70},12.50,1e5,{{"deep":true,"no":null}}]}}'
    call = ToolCallPart(call_id="c", name="Edit", arguments=arguments)
    made = projected.message(db, story.root, story.turns[1], (call,))
    (hit,) = found(db, text).hits
    assert hit.message.id == made
    assert hit.marks
    assert "\\" not in hit.snippet
    assert ids(db, "none") == []


@pytest.mark.parametrize(
    "arguments",
    ['{"command":"ls needle', "needle\\nis free text", "[" * 9999 + "needle"],
    ids=["cut off", "custom", "too deep"],
)
def test_arguments_that_are_no_json_are_found_as_they_are(db, story, arguments):
    call = ToolCallPart(call_id="c", name="Shell", arguments=arguments)
    made = projected.message(db, story.root, story.turns[1], (call,))
    assert ids(db, "needle") == [made]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("認証", ["認証"]),
        ("モジュール", ["モジュール"]),
        ("認*", ["認"]),
        ('"README を直"', ["README を直"]),
        ("证认", []),
        ("認 直", ["認", "直"]),
    ],
)
def test_words_of_scripts_without_spaces_are_found_within_a_sentence(db, story, text, marked):
    made = projected.message(
        db, story.root, story.turns[1], "認証モジュールの誤りと README を直してください。"
    )
    hits = found(db, text).hits
    assert [hit.message.id for hit in hits] == ([made] if marked else [])
    assert [hit.snippet[slice(*mark)] for hit in hits for mark in hit.marks] == marked


@pytest.mark.parametrize("text", ["〇八", "十〆", "イタㇷ", "〻山"])
def test_signs_beside_the_great_blocks_are_words_too(db, story, text):
    made = projected.message(
        db, story.root, story.turns[1], "二〇〇八年五十〆切トゥイタㇷの各〻山川"
    )
    (hit,) = found(db, text).hits
    assert hit.message.id == made
    assert [hit.snippet[slice(*mark)] for mark in hit.marks] == [text]


def test_a_word_goes_over_the_end_of_a_line(db, story):
    projected.message(db, story.root, story.turns[1], "请修复认\n证 GPT模型")
    (hit,) = found(db, "认证 GPT模型").hits
    assert [hit.snippet[slice(*mark)] for mark in hit.marks] == ["认 证", "GPT模型"]


def test_what_was_indexed_by_signs_is_forgotten_so(db, story):
    index = SearchIndex(db.conn, "")
    index.add(999, "認証モジュール")
    index.remove(999, "認証モジュール")
    left = "select count(*) from search where search match ?"
    assert db.execute(left, ['"認 証" OR 認']).fetchone() == (0,)


def test_very_long_arguments_are_found_as_they_are(db, story):
    values = "[]," * (rows._MOST_SPOKEN // 3)
    call = ToolCallPart(call_id="c", name="Edit", arguments=f'["needle",{values}1]')
    assert rows.words((call,)).endswith(call.arguments)
    made = projected.message(db, story.root, story.turns[1], (call,))
    assert ids(db, "needle") == [made]
