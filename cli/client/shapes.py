"""What the API's JSON holds, as far as commands show it."""

import msgspec

from storage.records import Origin


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A capture session. Times are Unix milliseconds."""

    id: str
    name: str
    is_active: bool
    is_recording: bool
    created_at: int
    updated_at: int
    traffic_count: int
    total_bytes: int
    origin: Origin
