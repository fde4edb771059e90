"""Wirescribe's version."""

from importlib import metadata


def current() -> str:
    return metadata.version("wirescribe")
