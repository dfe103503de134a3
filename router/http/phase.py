"""The phases of an exchange; their meaning stands in `router.http.exchange`."""

from __future__ import annotations

from enum import IntEnum


class Phase(IntEnum):
    """See `router.http.exchange`."""

    ROUTE = 0
    QUEUED = 1
    BACKOFF = 2
    CONNECTING = 3
    FORWARD = 4
    RELAY = 5
    TUNNEL = 6
    DONE = 7
