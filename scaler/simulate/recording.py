"""The gateway's own traffic as a trace: lines of the access log in, lines of CSV out. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

HEADER: Final = "arrival,pool,version,wait,service\n"
"""Seconds since 1970, names, and seconds twice: format `headrace` of `scaler.simulate.formats`.

A service time that is not known is empty.
"""


class _Line(Struct, frozen=True, kw_only=True):
    """What is used of a line of `router.accesslog`."""

    time: str
    """When the request was over."""
    pool: str = ""
    version: str = ""
    replica: str = ""
    duration_ms: float = 0.0
    wait_ms: float = 0.0


_decode: Final = msgspec.json.Decoder(_Line).decode


class Recording:
    """Turns lines one by one; remembers the mean service time of each version."""

    def __init__(self, pool: str | None = None) -> None:
        """`pool`: only requests of this one."""
        self._pool = pool
        self._served: dict[tuple[str, str], tuple[int, float]] = {}

    def row(self, line: bytes) -> str | None:
        """The row of one line of the access log; None for what is no request of a pool.

        A request that got no replica was refused: it arrived all the same, and is given the mean
        service time of its version so far, none when nothing is known of it.
        """
        try:
            seen = _decode(line)
            over = datetime.fromisoformat(seen.time).timestamp()
        except (msgspec.DecodeError, ValueError):
            return None
        if not seen.pool or self._pool not in (None, seen.pool):
            return None
        key = seen.pool, seen.version
        count, total = self._served.get(key, (0, 0.0))
        if seen.replica:
            service = max(0.0, (seen.duration_ms - seen.wait_ms) / 1000)
            self._served[key] = count + 1, total + service
            shown = f"{service:.6g}"
        else:
            shown = f"{total / count:.6g}" if count else ""
        arrival = over - seen.duration_ms / 1000
        return f"{arrival:.3f},{seen.pool},{seen.version},{seen.wait_ms / 1000:.6g},{shown}\n"
