"""Times as people read them: local, with the year first."""

from datetime import UTC, datetime


def moment(unix_ms: int) -> str:
    """To the second: "2026-11-22 06:47:44"."""
    return f"{_local(unix_ms):%Y-%m-%d %H:%M:%S}"


def of_day(unix_ms: int) -> str:
    """The time of day, of another day with its date: "06:47:44", "11-21 06:47"."""
    then, now = _local(unix_ms), datetime.now().astimezone()
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%m-%d %H:%M}"


def exact(unix_ms: int) -> str:
    """To the millisecond, with the offset from UTC."""
    return _local(unix_ms).isoformat(sep=" ", timespec="milliseconds")


def _local(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, tz=UTC).astimezone()


def duration(milliseconds: int | None) -> str:
    """Of None, an entry that is open: "..."."""
    if milliseconds is None:
        return "..."
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return (
        f"{milliseconds / 1000:.1f} s" if milliseconds < 600_000 else f"{milliseconds // 60000} min"
    )
