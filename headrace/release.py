"""Which release this is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES


def installed_version() -> str:
    """Version of the installed distribution; `0+source` when run from a bare source tree."""
    try:
        return importlib.metadata.version("headrace")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


def compiled() -> bool:
    """Whether the request path of this installation is compiled (see `setup.py`)."""
    found = importlib.util.find_spec("router.http.exchange")
    return found is not None and str(found.origin).endswith(tuple(EXTENSION_SUFFIXES))
