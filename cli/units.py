"""Numbers as people read them."""

_STEP = 1000
_UNITS = ("kB", "MB", "GB", "TB")
_SHORT = ("k", "M", "G")


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


def short(number: int | None) -> str:
    """Three digits at most: "999", "1.2k", "34k", "1.2M"; "?" of what is not known."""
    if number is None:
        return "?"
    if number < _STEP:
        return str(number)
    power = 1
    while power < len(_SHORT) and number >= (_STEP - 0.5) * _STEP**power:
        power += 1
    value = number / _STEP**power
    return f"{value:.1f}{_SHORT[power - 1]}" if value < 9.95 else f"{value:.0f}{_SHORT[power - 1]}"


def cost(cost_usd: float | None, *, unpriced: int = 0) -> str:
    """In US dollars, to the hundredth cent where it is little; "+": there is more, unknown."""
    if cost_usd is None:
        return "$?"
    digits = 4 if 0 < cost_usd < 0.1 else 2
    return f"${cost_usd:,.{digits}f}" + ("+" if unpriced else "")
