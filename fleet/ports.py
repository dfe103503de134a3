"""Where the floors meet: the interfaces through which router and scaler are joined.

`scaler` sees the data plane only as a `Gateway`; `headrace` provides it. Neither `router` nor
`scaler` imports the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from fleet.model import Decision, Event, Replica
from fleet.telemetry.slab import VersionTotals


class Traffic(Protocol):
    """Whose traffic is scaled for: one gateway's, or that of several."""

    def totals(self, pool: str, version: str) -> VersionTotals:
        """Counters of a version since it was first seen, summed over all workers."""
        ...

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        """Slots that a ready replica uses on the average, found out or as configured; None when
        none is ready.
        """
        ...


class Gateway(Traffic, Protocol):
    """The data plane, as the control loop sees it."""

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        """Replace the membership of `pool` in every worker. Never blocks."""
        ...

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        """Pack the requests of these versions of `pool` onto their oldest replicas, and spread
        those of all others. Never blocks.
        """
        ...

    def loads(self, pool: str, loads: Mapping[str, float]) -> None:
        """Tell every worker what replicas of `pool` report, in requests. Never blocks."""
        ...

    async def drained(self, replica: str) -> None:
        """Return when no worker holds a lease on `replica` (published as draining before)."""
        ...

    def in_flight(self, replica: Replica) -> int:
        """Leases held on `replica` now, over all workers."""
        ...

    def sessions(self, replica: Replica) -> int:
        """Sessions that `replica` has served in the last minutes, over all workers: an estimate of
        how many different keys led to it. 0 where replicas are not picked by a key.
        """
        ...

    def lent(self, replica: Replica) -> int:
        """Slots of `replica` that other gateways may be using."""
        ...

    def allocate_cell(self) -> int:
        """Reserve a zeroed telemetry cell for a new replica."""
        ...

    def free_cell(self, cell: int) -> None:
        """Give a cell back once its replica is gone from every worker."""
        ...


class Shared(Protocol):
    """Replicas that gateways of a cluster use together. None of it blocks."""

    def limit(self, limits: Mapping[str, int]) -> None:
        """Use so many slots at most of the own replicas named, and of all others every one."""
        ...

    def borrow(self, replicas: Mapping[str, Replica]) -> None:
        """Use these replicas of others, by name, with as many slots as they say, and no others;
        `cell` is given to them here. What is under way at others goes on.
        """
        ...

    def held(self, replica: str) -> int:
        """Slots of an own or borrowed replica that may be in use here; 0 for one not known."""
        ...

    def lend(self, replicas: Mapping[str, int]) -> None:
        """Own replicas that others may be using, and how many slots of them they have, which may
        be none yet: none of the replicas counts as drained.
        """
        ...


class Recorder(Protocol):
    """Where decisions and events go: the journal. Never blocks, never raises."""

    def decision(self, decision: Decision) -> None:
        """Record one decision."""
        ...

    def event(self, event: Event) -> None:
        """Record one event."""
        ...
