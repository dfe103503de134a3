"""Addresses of stores: shown without secrets, and Unix socket paths that the kernel accepts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

SOCKET_PATH_LIMIT: Final = 107
"""Bytes of a Unix socket's path: `sun_path` is 108 with its final NUL (unix(7))."""

_HIDDEN: Final = "***"
_SECRET_OPTIONS: Final = frozenset({"password", "username"})


def redacted(url: str) -> str:
    """`url` with user, password and secret options replaced, fit for logs and status pages."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    where, _, query = rest.partition("?")
    host, slash, path = where.partition("/")
    _, at, host = host.rpartition("@")
    options = [
        (key, _HIDDEN if key in _SECRET_OPTIONS else value)
        for key, value in parse_qsl(query, keep_blank_values=True)
    ]
    user = f"{_HIDDEN}@" if at else ""
    tail = f"?{urlencode(options, safe='*/')}" if options else ""
    return f"{scheme}://{user}{host}{slash}{path}{tail}"


def unix_url(socket: Path) -> str:
    """The store URL of an absolute socket path."""
    return f"unix://{quote(str(socket))}"


def socket_path(directory: Path, short_base: Path) -> Path:
    """Where the embedded store of the absolute `directory` listens.

    In `directory` itself where that fits; else in one of `short_base`, named after `directory`,
    so that the path stays the same over restarts and replicas that outlive the daemon find it.
    """
    path = directory / "valkey.sock"
    if len(bytes(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(bytes(directory)).hexdigest()[:12]
    return short_base / f"headrace-{digest}" / "valkey.sock"
