"""When the next replica of a version is expected, from how long the latest starts took. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Final

from fleet.model import Replica, ReplicaState

REMEMBERED: Final = 16
"""Starts of a version that count."""


class Starts:
    """Told of every membership; times are monotonic seconds."""

    def __init__(self) -> None:
        self._starting: dict[str, dict[str, tuple[str, float]]] = {}
        """Version and time of the first sight of each replica that starts, by pool and name."""
        self._took: dict[tuple[str, str], deque[float]] = {}

    def seen(self, pool: str, replicas: Sequence[Replica], now: float) -> None:
        """The membership of `pool` is this now."""
        before = self._starting.get(pool, {})
        starting: dict[str, tuple[str, float]] = {}
        for replica in replicas:
            if replica.state is ReplicaState.STARTING:
                starting[replica.name] = before.get(replica.name, (replica.version, now))
            elif replica.state is ReplicaState.READY and replica.name in before:
                took = self._took.setdefault((pool, replica.version), deque(maxlen=REMEMBERED))
                took.append(now - before[replica.name][1])
        if starting:
            self._starting[pool] = starting
        else:
            self._starting.pop(pool, None)
        if not replicas:
            self._took = {key: took for key, took in self._took.items() if key[0] != pool}

    def expected(self, pool: str) -> dict[str, float]:
        """When the first of those that start now is likely to be ready, by version; versions of
        which no start was seen whole are not in it.
        """
        due: dict[str, float] = {}
        for version, since in self._starting.get(pool, {}).values():
            if (took := self._took.get((pool, version))) is not None:
                due[version] = min(due.get(version, float("inf")), since + median(took))
        return due
