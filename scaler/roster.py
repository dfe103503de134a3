"""Which replicas exist, and telling everyone: the gateway, the journal, whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from fleet.clock import Clock
from fleet.model import Event, Replica, ReplicaState
from fleet.ports import Gateway, Recorder
from scaler.members import Counts, Member

STARTS: Final = 32
"""Start times kept of each version."""
RETRY: Final = 1.0
"""Seconds after which a pool that could not be reconciled is tried again."""

_log = structlog.get_logger("replicas")


class Roster:
    """The members by pool. All changes of one turn of the event loop are published together."""

    def __init__(self, gateway: Gateway, recorder: Recorder, clock: Clock) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._clock = clock
        self._pools: dict[str, dict[str, Member]] = {}
        self._published: dict[str, tuple[Replica, ...]] = {}
        self._dirty: set[str] = set()
        self._flush: asyncio.Handle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._starts: dict[tuple[str, str], deque[float]] = {}
        self._listeners: list[Callable[[str], None]] = []
        self.reconcile: Callable[[str], None] = lambda pool: None
        """Called for each pool that changed, before it is published."""

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(pool)` after every publication of a change."""
        self._listeners.append(on_change)

    def pools(self) -> list[str]:
        """Names of pools that have members or had some published."""
        return sorted(self._pools.keys() | self._published.keys())

    def members(self, pool: str) -> list[Member]:
        """Members of a pool, in the order they came."""
        return list(self._pools.get(pool, {}).values())

    def find(self, name: str) -> Member | None:
        """The member called `name`."""
        return next((pool[name] for pool in self._pools.values() if name in pool), None)

    def replicas(self, pool: str) -> tuple[Replica, ...]:
        """The membership of a pool as it stands."""
        return tuple(member.replica() for member in self._pools.get(pool, {}).values())

    def counts(self, pool: str, version: str) -> Counts:
        """Replicas of a version by state; all zero for an unknown one."""
        tally = dict.fromkeys(ReplicaState, 0)
        now = self._clock.monotonic()
        starting_for = []
        loads = []
        for member in self._pools.get(pool, {}).values():
            if member.version == version:
                tally[member.state] += 1
                if member.state is ReplicaState.STARTING:
                    starting_for.append(now - member.started)
                if member.state is ReplicaState.READY and member.reported is not None:
                    load, at = member.reported
                    loads.append((load, now - at))
        return Counts(
            ready=tally[ReplicaState.READY],
            starting=tally[ReplicaState.STARTING] + tally[ReplicaState.BACKOFF],
            unhealthy=tally[ReplicaState.UNHEALTHY],
            draining=tally[ReplicaState.DRAINING],
            starting_for=tuple(sorted(starting_for, reverse=True)),
            start_seconds=tuple(self._starts.get((pool, version), ())),
            loads=tuple(loads),
        )

    def add(self, member: Member) -> None:
        """Take a new member in, in the state it is made with."""
        member.since_wall = self._clock.wall()
        self._pools.setdefault(member.pool, {})[member.name] = member
        self.touch(member.pool)

    def remove(self, member: Member) -> None:
        """Forget a member: publish without it, then give its cell back."""
        members = self._pools[member.pool]
        del members[member.name]
        if not members:
            del self._pools[member.pool]
        self.publish(member.pool)
        self._gateway.free_cell(member.cell)
        self.touch(member.pool)

    def move(self, member: Member, state: ReplicaState, note: str) -> None:
        """Change a member's state, and say why."""
        if member.state is not state:
            member.state = state
            member.since = self._clock.monotonic()
            member.since_wall = self._clock.wall()
        member.note = note
        self.touch(member.pool)

    def started(self, member: Member, took: float) -> None:
        """Note that a start took `took` seconds until the replica was ready."""
        key = member.pool, member.version
        self._starts.setdefault(key, deque(maxlen=STARTS)).append(took)

    def event(self, member: Member, kind: str, message: str) -> None:
        """Record `replica.KIND` of a member."""
        self._recorder.event(
            Event(
                at=self._clock.wall(),
                kind=f"replica.{kind}",
                message=message,
                pool=member.pool,
                version=member.version,
                replica=member.name,
            )
        )

    def touch(self, pool: str) -> None:
        """Reconcile and publish a pool at the end of this turn of the event loop."""
        self._dirty.add(pool)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._run)

    def touch_at(self, pool: str, when: float | None) -> None:
        """Touch a pool at monotonic time `when` too; replaces what was set before."""
        if (timer := self._timers.pop(pool, None)) is not None:
            timer.cancel()
        if when is not None:
            self._timers[pool] = asyncio.get_running_loop().call_later(
                max(0.0, when - self._clock.monotonic()), self.touch, pool
            )

    def publish(self, pool: str) -> None:
        """Publish a pool now, if it differs from what was published last."""
        replicas = self.replicas(pool)
        if self._published.get(pool, ()) == replicas:
            return
        if replicas:
            self._published[pool] = replicas
        else:
            del self._published[pool]
        self._gateway.publish(pool, replicas)
        for listener in self._listeners:
            try:
                listener(pool)
            except Exception:
                _log.exception("telling of a change failed", pool=pool)

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    def _run(self) -> None:
        self._flush = None
        dirty, self._dirty = self._dirty, set()
        for pool in sorted(dirty):
            try:
                self.reconcile(pool)
                self.publish(pool)
            except Exception:
                _log.exception("reconciling failed", pool=pool)
                self.touch_at(pool, self._clock.monotonic() + RETRY)
