"""Sums: known, partly known, unknown."""

import pytest

from storage import figures

COUNTS = (3, 1, 4, 2, 0)


def of(tokens, cost, unmetered, unpriced):
    return figures.of_row((*COUNTS, *tokens, cost, unmetered, unpriced))


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (((5, 6, 1, 0, 0), 0.5, 0, 0), (5, 0.5)),
        (((5, 6, 1, 0, 0), 0.5, 1, 1), (5, 0.5)),
        (((5, 6, 1, 0, 0), 0.0, 0, 3), (5, None)),
        (((0, 0, 0, 0, 0), 0.0, 3, 0), (None, None)),
        (((0, 0, 0, 0, 0), 0.0, 0, 0), (0, 0.0)),
    ],
    ids=["known", "partly", "unpriced", "unmetered", "nothing"],
)
def test_a_sum_of_nothing_known_is_unknown(row, known):
    found = of(*row)
    assert (found.input_tokens, found.cost_usd) == known
    assert (found.turns, found.prompts, found.messages, found.tool_calls) == COUNTS[:4]


@pytest.mark.parametrize(
    ("turns", "errors", "row", "known"),
    [
        (2, 2, ((0, 0, 0, 0, 0), 0.0, 0, 0), (None, None)),
        (2, 2, ((0, 0, 0, 0, 0), 0.0, 1, 0), (None, None)),
        (2, 2, ((7, 0, 0, 0, 0), 0.1, 0, 0), (7, 0.1)),  # cut off, and the first event tells some
        (2, 2, ((7, 0, 0, 0, 0), 0.0, 0, 0), (7, 0.0)),  # and costs nothing
        (2, 1, ((0, 0, 0, 0, 0), 0.0, 0, 0), (0, 0.0)),
    ],
    ids=["all", "one answered", "told before", "free", "some"],
)
def test_calls_that_all_failed_took_nobody_knows_what(turns, errors, row, known):
    tokens, *rest = row
    found = figures.of_row((turns, 0, 0, 0, errors, *tokens, *rest))
    assert (found.input_tokens, found.output_tokens is None) == (known[0], known[0] is None)
    assert found.cost_usd == known[1]
