"""
Credentials out, before a byte reaches the disk. Pure: bytes in, bytes and cuts out.

    names        which headers, query parameters and body fields carry a credential
    heads        the slots of a head
    known        the values seen in them, and the search for all their forms
    stream       bodies as they pass, and messages
    coded        gzip, deflate, br and zstd bodies
    credentials  token endpoints: every string of the body
"""

from addons.redaction.coded import LIMITS, Limits, rejoined
from addons.redaction.credentials import Result
from addons.redaction.cuts import Kind, Part, Scanned
from addons.redaction.heads import Head
from addons.redaction.redactor import Redactor
from addons.redaction.stream import Body

__all__ = [
    "LIMITS",
    "Body",
    "Head",
    "Kind",
    "Limits",
    "Part",
    "Redactor",
    "Result",
    "Scanned",
    "rejoined",
]
