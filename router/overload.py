"""When the worker itself has too much to do: how much of the work is refused, and which.

Two readings each become a pressure, none below their limit and growing in proportion above (as
the scaled triggers of Envoy's overload manager): the lag of the event loop from 0 at the limit to
1 at twice the limit, memory from 0 at nine tenths of the limit to 1 at the limit. The larger one
is the *severity*, 0 to 2.

Severity says which share of the work is refused, lowest class first. The classes of a pool share
the range from 0 to 1 evenly, the lowest first; those of a critical pool the range from 1 to 2. So
a critical pool is served in full while anything else is left to refuse:

    severity 0.5, three classes: the low third all, the middle third half, the high third none
    severity 0.5, no classes: every second request
    severity 1.25, critical, no classes: every fourth request; of other pools all
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from fleet.wire import OverloadEntry

MAX_SEVERITY = 2.0

LAG_WEIGHT = 0.3
"""Of a new reading in the smoothed lag: readings come 20 times a second, and one long turn of the
loop is no overload."""

MEMORY_FROM = 0.9
"""Share of the memory limit at which requests begin to be refused."""


class Overload:
    """Fed with readings by `read`; asked by `refuses`, for requests while `severity` is above 0."""

    __slots__ = ("_limits", "_memory", "_owed", "lag", "severity")

    def __init__(self) -> None:
        self._limits = OverloadEntry()
        self._memory = 0.0
        self._owed: dict[tuple[str, int], float] = {}
        self.lag = 0.0
        """Seconds the event loop is late, smoothed."""
        self.severity = 0.0

    def configure(self, limits: OverloadEntry) -> None:
        """Take over the settings of a new generation."""
        self._limits = limits
        self._memory = 0.0
        self._weigh()

    def read(self, lag: float, memory: int | None) -> None:
        """A tick came `lag` seconds late; `memory` is the resident size in bytes if it was read."""
        self.lag += LAG_WEIGHT * (lag - self.lag)
        limit = self._limits.memory
        if memory is not None and limit is not None:
            self._memory = (memory / limit - MEMORY_FROM) / (1 - MEMORY_FROM)
        self._weigh()

    def refuses(self, pool: str, band: int, bands: int, *, critical: bool) -> str | None:
        """`lag` or `memory` when a request of that class of the pool is to be refused."""
        low = (bands - 1 - band) / bands + (1.0 if critical else 0.0)
        share = (self.severity - low) * bands
        if share <= 0:
            return None
        key = (pool, band)
        owed = self._owed.get(key, 0.0) + min(share, 1.0)
        refused = owed >= 1.0
        self._owed[key] = owed - 1.0 if refused else owed
        if not refused:
            return None
        return "memory" if self._memory >= self.severity else "lag"

    def short_of_memory(self, memory: int) -> bool:
        """Whether a resident size of `memory` bytes makes requests be refused."""
        limit = self._limits.memory
        return limit is not None and memory > MEMORY_FROM * limit

    @property
    def watches_memory(self) -> bool:
        """Whether the resident size is worth reading."""
        return self._limits.memory is not None

    def _weigh(self) -> None:
        limit = self._limits.lag
        lag = 0.0 if limit is None else self.lag / limit - 1.0
        self.severity = min(MAX_SEVERITY, max(0.0, lag, self._memory))
        if not self.severity:
            self._owed.clear()


_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int | None:
    """Resident size of this process (proc(5), `statm`); None where it cannot be read."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        return None


_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def shrink_heap() -> None:
    """Give free memory back to the system, where the C library can (malloc_trim(3), glibc).

    What a burst took stays with the process when it is free again, because something above it in
    the heap is not: without this a worker that was short of memory once would be so for ever.
    (Envoy's overload manager has the action `shrink_heap` for that.) Measured: 16 ms
    to give back 240 of 265 MiB.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
