"""What agents sent, out of mitmproxy's flow files."""

from pathlib import Path

from addons.flowfile import FlowFile
from addons.importing.exchange import Exchange


def sent(path: Path) -> list[bytes]:
    """The request bodies and the WebSocket messages from the client, in the file's order."""
    found: list[bytes] = []
    for item in FlowFile(path).items():
        if not isinstance(item, Exchange):
            raise SystemExit(f"{path}: {item.reason}")
        found.append(b"".join(piece.data for piece in item.request.pieces))
        found += [message.data for message in item.messages if message.from_client]
    return [data for data in found if data]
