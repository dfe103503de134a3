"""Which release this is."""

from __future__ import annotations

import importlib.metadata


def installed_version() -> str:
    """Version of the installed distribution; `0+source` when run from a bare source tree."""
    try:
        return importlib.metadata.version("headrace")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"
