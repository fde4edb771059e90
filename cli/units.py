"""Numbers as people read them."""

_STEP = 1000
_UNITS = ("kB", "MB", "GB", "TB")


def size(size_bytes: int) -> str:
    """In powers of 1000, three digits at most: "999 B", "1.2 kB", "34 MB"."""
    if size_bytes < _STEP:
        return f"{size_bytes} B"
    power = 1
    while power < len(_UNITS) and size_bytes >= (_STEP - 0.5) * _STEP**power:
        power += 1
    value, unit = size_bytes / _STEP**power, _UNITS[power - 1]
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
