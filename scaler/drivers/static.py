"""Replicas that exist already: names and addresses from the configuration, nothing to start."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct

from fleet.config.schema import StaticDriver


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a static replica listens."""

    host: str
    port: int


def named_endpoints(pool: str, version: str, static: StaticDriver) -> dict[str, Endpoint]:
    """Each endpoint under its name `POOL-VERSION-HOST-PORT`, in the order of the configuration.

    The name depends on nothing else, so an endpoint that stays over a reload stays the same
    replica. What is not a letter, digit, dot or hyphen becomes `_` (the colons of IPv6).
    """
    named = {}
    for url in static.endpoints:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        safe = re.sub(r"[^A-Za-z0-9.-]", "_", host)
        named[f"{pool}-{version}-{safe}-{port}"] = Endpoint(host=host, port=port)
    return named
