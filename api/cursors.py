"""Where a page ended, as text that a client gives back and need not understand."""

import base64
import binascii

import msgspec

from storage.errors import ConfigError


def encode(place: tuple[str | int, ...] | None) -> str | None:
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def decode[T](text: str | None, kind: type[T]) -> T | None:
    """The place of that shape; None for no text. Raises ConfigError for what is no cursor."""
    if text is None:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(packed, type=kind)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise ConfigError("`after` is not the `next` of a page before") from None
