import pytest

from cli import summary
from cli.client.shapes import Session

BEFORE = Session(
    id="s",
    name="claude",
    is_active=False,
    is_recording=True,
    created_at=0,
    updated_at=0,
    traffic_count=0,
    total_bytes=0,
    origin="run",
)


def told(**changes):
    after = {name: getattr(BEFORE, name) for name in Session.__struct_fields__} | changes
    return summary.understood(Session(**after), BEFORE)


def test_a_run_without_a_model_call_tells_none():
    assert told() == []


def test_sums_are_told():
    assert told(turn_count=2, input_tokens=1200, output_tokens=34, cost_usd=0.5) == [
        "2 model calls",
        "1.2k tokens in, 34 out",
        "$0.50",
    ]


@pytest.mark.parametrize(
    ("turns", "failed", "line"),
    [(1, 1, "1 model call (failed)"), (7, 7, "7 model calls (all failed)")],
)
def test_of_calls_that_all_failed_no_zero_is_told(turns, failed, line):
    assert told(turn_count=turns, error_count=failed) == [line]


def test_what_a_failed_call_did_cost_is_told():
    assert told(turn_count=1, error_count=1, input_tokens=10, output_tokens=2, cost_usd=0.01) == [
        "1 model call (failed)",
        "10 tokens in, 2 out",
        "$0.0100",
    ]


def test_some_that_failed_are_told_beside_the_sums():
    assert told(turn_count=3, error_count=1, input_tokens=10, output_tokens=2, cost_usd=0.01) == [
        "3 model calls (1 failed)",
        "10 tokens in, 2 out",
        "$0.0100",
    ]


def test_what_is_unknown_is_told_by_no_number():
    assert told(turn_count=1, input_tokens=None, output_tokens=None, cost_usd=None) == [
        "1 model call"
    ]
