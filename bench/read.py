"""
Goal 7: what the pages of the API cost in storage, in a store of many entries and messages.

Each question is asked of the whole store and, in turn, of smaller ones; the ratio to the one of
10,000 entries (the first that fills every page) says whether it stays flat. Times are CPU, for they
are to hold on a busy machine too. Every answer is checked.

Most questions are about another session or conversation each time, drawn by chance. In a large
store that is one which nobody asked for before, as it is for whoever opens a session: its pages of
the file come through SQLite's cache from the system's, or even from the disk. A small store is all
in the cache by then.
`--entries 1000000` is the size of the goal; a store is built once.
"""

import random
import sqlite3
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from bench import filled
from bench.report import Figure, parser_for, show
from storage import (
    conversations,
    database,
    messages,
    search,
    sessions,
    tool_calls,
    traffic,
    turns,
    understanding,
)

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PAGE = 50


class Question(NamedTuple):
    """`ask` raises ValueError for a wrong answer; it gets another `chance` each time."""

    name: str
    goal_ms: float | None
    ask: Callable[["Sample", random.Random], None]


class Sample:
    """A store and some ids of it to ask for."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.conn: sqlite3.Connection = database.reader(filled.cached(entries).database)
        self.sessions = [row[0] for row in self.conn.execute("select id from sessions")]
        self.conversations = [row[0] for row in self.conn.execute("select id from conversations")]
        self.messages: int = self.conn.execute("select count(*) from messages").fetchone()[0]
        (last_day,) = self.conn.execute("select max(quarter) / 96 from quarters").fetchone()
        self.first_day: int = last_day - 29
        (self.latest_turns,) = self.conn.execute(
            "select count(*) from turns where started_ns >= ?", [self.first_day * 86_400 * 10**9]
        ).fetchone()


def main(arguments: list[str]) -> None:
    parser = parser_for("read", __doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="in the store")
    parser.add_argument("--rounds", type=int, default=7, help="each thing once a round, in turn")
    parser.add_argument(
        "--asked", type=int, default=30, help="times each question is asked a round"
    )
    options = parser.parse_args(arguments)
    sizes = [size for size in SIZES if size < options.entries] + [options.entries]
    samples = [Sample(size) for size in sizes]
    took = _rounds(samples, options.rounds, options.asked)
    base = samples[1] if len(samples) > 2 else samples[0]
    figures = []
    for question in QUESTIONS:
        small, large = (took[question.name, sample.entries] for sample in (base, samples[-1]))
        figures += [
            Figure(name=f"{question.name}, median", unit="ms", goal=question.goal_ms,
                   goal_is_absolute=True, ours=[statistics.median(one) for one in large],
                   rival=[statistics.median(one) for one in small]),
            Figure(name="the same, worst", unit="ms", ours=[max(one) for one in large],
                   rival=[max(one) for one in small]),
        ]  # fmt: skip
    for sample in samples:
        medians = (
            f"{question.name} {statistics.median(map(statistics.median, found)):.3g}"
            for question in QUESTIONS
            if (found := took[question.name, sample.entries])
        )
        print(f"{sample.entries:,} entries, {sample.messages:,} messages: {'; '.join(medians)}")
    title = f"read: {sizes[-1]:,} entries against {base.entries:,}, {options.rounds} rounds"
    show(title, figures)


def _rounds(
    samples: list[Sample], rounds: int, asked: int
) -> dict[tuple[str, int], list[list[float]]]:
    """Milliseconds of CPU by question and size, a list for each round."""
    took: dict[tuple[str, int], list[list[float]]] = {}
    for number in range(rounds + 1):
        for question in QUESTIONS:
            for sample in random.sample(samples, len(samples)):
                found = [_time(question, sample, number * asked + once) for once in range(asked)]
                if number:  # the first round warms the caches
                    took.setdefault((question.name, sample.entries), []).append(found)
    return took


def _time(question: Question, sample: Sample, seed: int) -> float:
    chance = random.Random(seed)
    started = time.process_time_ns()
    question.ask(sample, chance)
    return (time.process_time_ns() - started) / 1e6


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"wrong answer: {what}")


# --- the questions -------------------------------------------------------------------------------


def _session_list(sample: Sample, _: random.Random) -> None:
    page = sessions.page(sample.conn, limit=PAGE)
    known = [(session.created_ms, session.id) for session in page.sessions]
    _must(known == sorted(known, reverse=True), "order of sessions")
    _must(page.total == len(sample.sessions), "total of sessions")


def _understood_list(sample: Sample, _: random.Random) -> None:
    """As the API shows them."""
    page = sessions.page(sample.conn, limit=PAGE)
    known = [session.id for session in page.sessions]
    found = understanding.of_sessions(sample.conn, among=known)
    _must(set(found) == set(known), "understanding of sessions")
    _must(all(one.figures.turns == filled.TURNS for one in found.values()), "turns of sessions")


def _session_page(sample: Sample, chance: random.Random) -> None:
    """As the API asks for it, which finds the session first."""
    session_id = sessions.find(sample.conn, chance.choice(sample.sessions)).id
    found = traffic.page(sample.conn, traffic.Query(session_id=session_id), limit=PAGE)
    known = [entry.id for entry in found.entries]
    _must(known == sorted(known, reverse=True) and len(known) == PAGE, "order of entries")
    _must({entry.session_id for entry in found.entries} == {session_id}, "session of entries")
    _must(found.total == filled.TURNS and found.next == known[-1], "total of a session")


def _tool_calls(sample: Sample, chance: random.Random) -> None:
    session_id = chance.choice(sample.sessions)
    found = tool_calls.page(sample.conn, tool_calls.Query(session_id=session_id), limit=PAGE)
    calls = found.tool_calls
    places = [tool_calls.place(call) for call in calls]
    _must(places == sorted(places, reverse=True) and len(places) == PAGE, "order of tool calls")
    # What the latest gave had no turn behind it to be sent in.
    _must(all(call.arguments for call in calls), "a tool call without arguments")
    _must(all(call.result for call in calls[1:]), "a tool call without its result")


def _next_page(sample: Sample, chance: random.Random) -> None:
    """From the middle of everything."""
    _, after = _turn(sample, chance)
    found = traffic.page(sample.conn, traffic.Query(), after=after, limit=PAGE, newest_first=False)
    _must(all(entry.id > after for entry in found.entries), "entries behind a place")
    _must(found.total == sample.entries, "total of all")


def _turn(sample: Sample, chance: random.Random) -> tuple[str, str]:
    """A conversation and an entry of it."""
    conversation_id = chance.choice(sample.conversations)
    return conversation_id, turns.of_conversation(sample.conn, conversation_id, limit=1)[0].entry_id


def _conversations(sample: Sample, chance: random.Random) -> None:
    after = conversations.get(sample.conn, chance.choice(sample.conversations)).last_turn
    found = conversations.page(sample.conn, conversations.Query(roots=True), after=after)
    known = [conversation.last_turn for conversation in found.conversations]
    _must(known == sorted(known, reverse=True), "order of conversations")
    _must(all(turn < after for turn in known), "conversations behind a place")


def _conversation_messages(sample: Sample, chance: random.Random) -> None:
    query = messages.Query(conversation_id=chance.choice(sample.conversations))
    found = messages.page(sample.conn, query, limit=PAGE).messages
    places = [messages.place(message) for message in found]
    _must(places == sorted(places, reverse=True) and len(places) == PAGE, "order of messages")


def _newest_messages(sample: Sample, _: random.Random) -> None:
    found = messages.page(sample.conn, messages.Query(), limit=PAGE).messages
    places = [messages.place(message) for message in found]
    _must(places == sorted(places, reverse=True) and len(places) == PAGE, "order of messages")


def _search(words: str) -> Callable[[Sample, random.Random], None]:
    def ask(sample: Sample, _: random.Random) -> None:
        hits = search.find(sample.conn, words, messages.Query(), limit=20).hits
        places = [messages.place(hit.message) for hit in hits]
        _must(places == sorted(places, reverse=True), "order of hits")
        _must(all(hit.marks for hit in hits), "a snippet without the word")
        if words == filled.RARE:
            wanted = min(20, filled.rare_hits(sample.entries))
            _must(len(hits) == wanted, "hits of the rare word")

    return ask


def _days(sample: Sample, _: random.Random) -> None:
    """Turns, tokens and cost of each of the last 30 days, as the counters hold them."""
    found = sample.conn.execute(
        """
        select quarter / 96, sum(turns), sum(tool_calls), sum(input_tokens), sum(output_tokens),
            sum(cost_usd)
        from quarters where quarter >= ? group by 1 order by 1
        """,
        [sample.first_day * 96],
    ).fetchall()
    _must(sum(row[1] for row in found) == sample.latest_turns, "turns of days")


QUESTIONS = (
    Question("sessions, newest 50", 1, _session_list),
    Question("the same, with their sums", 5, _understood_list),
    Question("session page of 50", 5, _session_page),
    Question("tool calls, 50 of a session", 5, _tool_calls),
    Question("entries, 50 from the middle", 5, _next_page),
    Question("conversations, 50 from the middle", 5, _conversations),
    Question("messages, 50 of a conversation", 5, _conversation_messages),
    Question("messages, newest 50", 5, _newest_messages),
    Question("search, rare word", 5, _search(filled.RARE)),
    Question("search, word in some", 5, _search("namespace")),
    Question("search, word in many", 5, _search("self")),
    Question("search, phrase", 5, _search('"self name"')),
    Question("days, last 30", 5, _days),
)
