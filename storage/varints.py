"""Whole numbers in as few bytes as they need: 7 bits a byte, lowest first (LEB128)."""


def put(data: bytearray, value: int) -> None:
    """Append a number that is not negative; the high bit of a byte says that more follow."""
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)


def put_signed(data: bytearray, value: int) -> None:
    """Append any whole number (zigzag)."""
    put(data, value << 1 if value >= 0 else (-value << 1) - 1)


def take(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next one begins. Raises IndexError behind the end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def take_signed(data: bytes, at: int) -> tuple[int, int]:
    """As `take`, of what `put_signed` wrote."""
    value, at = take(data, at)
    return -(value + 1 >> 1) if value & 1 else value >> 1, at
