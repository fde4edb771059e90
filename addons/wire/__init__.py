"""Wire formats: how providers' APIs are spoken. One file each, and one line in this table."""

from addons.wire import anthropic, chat, gemini, ollama, responses
from addons.wire.contract import Decoder, Head

DECODERS: tuple[Decoder, ...] = (
    anthropic.DECODER,
    chat.DECODER,
    gemini.DECODER,
    ollama.DECODER,
    responses.DECODER,
)


def decoder_of(head: Head) -> Decoder | None:
    """The decoder of a model call; None: this is no call in a known wire format."""
    return next((decoder for decoder in DECODERS if decoder.matches(head)), None)


def by_name(name: str) -> Decoder:
    """The decoder that a stored turn names. Raises KeyError for a name that none has."""
    return {decoder.name: decoder for decoder in DECODERS}[name]
