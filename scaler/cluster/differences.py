"""Members whose pools are not the leader's: most likely two clusters of one name, or a file that
was not edited everywhere. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from scaler.cluster.messages import Report

SETTLED: Final = 30.0
"""Seconds that a difference lasts before it is told: files are edited one after another."""


class Differences:
    """What a leader has told, and since when it has seen what it has yet to tell. One a term."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[frozenset[str], float]] = {}
        self._told: dict[str, frozenset[str]] = {}

    def hear(
        self, own: Collection[str], reports: Mapping[str, Report], now: float
    ) -> dict[str, frozenset[str]]:
        """Pools by member that it scales and the leader, which scales `own`, does not; each
        difference once, when it has lasted. `now` is monotonic.
        """
        told = {}
        foreign = {name: report.pools.keys() - set(own) for name, report in reports.items()}
        self._seen = {
            name: self._seen[name]
            if name in self._seen and self._seen[name][0] == pools
            else (frozenset(pools), now)
            for name, pools in foreign.items()
        }
        for name, (pools, since) in self._seen.items():
            if self._told.get(name, frozenset()) != pools and now - since >= SETTLED:
                self._told[name] = pools
                if pools:
                    told[name] = pools
        return told
