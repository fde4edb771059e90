"""
Damage within one byte, undone: what a CRC-32 tells beyond that something is wrong.

The checksum of damaged bytes differs from the sound one by a number that depends only on the
changed bits and on how many bytes follow them. So going back byte by byte, the place and the bits
that explain the difference are found: of damage within one byte always, of greater damage a wrong
one now and then. Therefore each answer is a proposal that something else has to prove.
"""

from collections.abc import Iterator

from zlib_ng.zlib_ng import crc32

_SOUND = crc32(bytes(4))  # of whatever has its own checksum behind it, little-endian


def _table() -> tuple[int, ...]:
    """What each byte makes of a register of zeros."""
    found = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
        found.append(register)
    return tuple(found)


_BYTES = {step: byte for byte, step in enumerate(_table())}
_BACK = tuple(sorted(_BYTES, key=lambda step: step >> 24))  # by their first byte: all differ


def seal(data: bytes, start: int = 0) -> bytes:
    """The CRC-32 that has to stand behind `data`, little-endian; `start` goes in before it."""
    return crc32(data, start).to_bytes(4, "little")


def is_sound(sealed: bytes, start: int = 0) -> bool:
    """Whether the last four bytes are the checksum of those before."""
    return len(sealed) >= 4 and crc32(sealed, start) == _SOUND


def proposals(sealed: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """
    The place of a byte, and it all with that byte changed so that the checksum is right.

    The last place first. Nothing, if it is sound or no single byte explains it.
    """
    wrong = crc32(sealed, start) ^ _SOUND
    for place in range(len(sealed) - 1, -1, -1) if wrong else ():
        changed = _BYTES.get(wrong)
        if changed is not None:
            mended = bytearray(sealed)
            mended[place] ^= changed
            yield place, bytes(mended)
        step = _BACK[wrong >> 24]
        wrong = (wrong ^ step) << 8 | _BYTES[step]
