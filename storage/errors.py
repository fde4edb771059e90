"""
The errors that Wirescribe raises itself, sorted by whose fault they are.

WirescribeError
├── ConfigError          the user's settings, flags or data dir
├── Unreadable           a file that was given is not what it should be
├── NotFound             what was asked for does not exist
├── Conflict             it exists, but its state does not allow the call
└── StoreError           the disk, the database or the spool
    └── Busy             another process holds what is needed
"""


class WirescribeError(Exception):
    """Its text tells the user what happened, where, and what to do next."""


class ConfigError(WirescribeError):
    pass


class Unreadable(WirescribeError):
    """`what` in few words, `details` with the place."""

    def __init__(self, what: str, details: str | None = None) -> None:
        super().__init__(f"{what}: {details}" if details else what)
        self.what = what
        self.details = details


class NotFound(WirescribeError):
    """`details`: what became of it, where that is known. They are no part of the text."""

    def __init__(self, what: str, details: str | None = None) -> None:
        super().__init__(what)
        self.details = details


class Conflict(WirescribeError):
    pass


class StoreError(WirescribeError):
    pass


class Busy(StoreError):
    pass
