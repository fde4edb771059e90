"""
What `up` and its children say to each other: all on the child's stdin, which only `up` holds.

The first line is the settings as JSON; then nothing, until the end of file says that `up` is gone,
however it ended. So no child outlives it, on any system, and no setting stands in an argv.
"""

import os
import signal
import sys
import threading

import msgspec

from cli.settings import Settings

_DECODE = msgspec.json.Decoder(Settings)


def first_line(settings: Settings) -> bytes:
    """What `up` writes to a child that it has just started."""
    return msgspec.json.encode(settings) + b"\n"


def receive() -> Settings:
    """In the child: the settings; from now on the end of `up` is a SIGTERM to this process."""
    settings = _DECODE.decode(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, name="end-with-up", daemon=True).start()
    return settings


def _end_with_parent() -> None:
    # Unbuffered: a daemon thread inside a buffered read would hold its lock at the process's end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
