"""Replicas that exist already: names and addresses from the configuration, nothing to start."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from msgspec import Struct

from fleet.config.addresses import is_unix, unix_path
from fleet.config.schema import StaticDriver


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a static replica listens: `unix://` and a path for a Unix socket, with port 0."""

    host: str
    port: int
    tls: bool = False
    weight: float = 1.0

    def __str__(self) -> str:
        return self.host if is_unix(self.host) else f"{self.host}:{self.port}"


def named_endpoints(pool: str, version: str, static: StaticDriver) -> dict[str, Endpoint]:
    """Each endpoint under its name `POOL-VERSION-HOST-PORT`, in the order of the configuration.

    With TLS `-tls` follows; a Unix socket has `unix-NAME-DIGEST` for host and port, of its file
    name and its whole path. The name depends on nothing else, so an endpoint that stays over a
    reload stays the same replica. What is not a letter, digit, dot or hyphen becomes `_` (the
    colons of IPv6).
    """
    prefix = f"{pool}-{version}"
    return dict(_named(prefix, url, static.weights.get(url, 1.0)) for url in static.endpoints)


def _named(prefix: str, url: str, weight: float) -> tuple[str, Endpoint]:
    path = unix_path(url)
    if path is not None:
        digest = hashlib.sha256(path.encode()).hexdigest()[:8]
        name = f"{prefix}-unix-{_safe(path.rpartition('/')[2])}-{digest}"
        return name, Endpoint(host=url, port=0, weight=weight)
    parts = urlsplit(url)
    host, port, tls = parts.hostname or "", parts.port or 80, parts.scheme == "https"
    name = f"{prefix}-{_safe(host)}-{port}{'-tls' if tls else ''}"
    return name, Endpoint(host=host, port=port, tls=tls, weight=weight)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", text)
