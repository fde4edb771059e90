"""Wirescribe's version."""


def current() -> str:
    from importlib import metadata

    return metadata.version("wirescribe")
