"""The control loop of one pool: observe, decide, tell, apply; each tick and when kicked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from msgspec import Struct

from fleet.clock import Clock
from fleet.config.merge import effective_concurrency, effective_process
from fleet.config.schema import Pool, Scale, SharedBudget
from fleet.model import Decision, Observation
from fleet.ports import Recorder, Traffic
from scaler.budgets import Account, Purse, Taken, account_of
from scaler.decide import Override, decide_pool
from scaler.members import Counts
from scaler.signals.pool import PoolSignals
from scaler.signals.reported import Reports
from scaler.state import PoolState
from scaler.telling import Telling

KICK_GAP: Final = 0.05
"""Seconds between two ticks at least, however often the pool is kicked."""

_log = structlog.get_logger("scaler")


class ScaledPool(Struct, frozen=True, kw_only=True):
    """What the loop needs of a pool's configuration."""

    scale: Scale
    slots: Mapping[str, int]
    """Of one replica, by version; only versions whose replicas are processes."""
    weights: Mapping[str, int]
    """Of all versions."""
    account: Account | None = None
    """Of its budget."""

    @classmethod
    def of(
        cls, pool: Pool, weights: Mapping[str, int], budgets: Mapping[str, SharedBudget]
    ) -> ScaledPool:
        """From the configuration, with `weights` in place of its own."""
        slots = {
            version: effective_concurrency(pool, version)
            for version in pool.versions
            if effective_process(pool, version) is not None
        }
        return cls(
            scale=pool.scale,
            slots=slots,
            weights=weights,
            account=account_of(pool, slots, budgets),
        )


def to_pack(decisions: Sequence[Decision], state: PoolState, settings: Scale) -> frozenset[str]:
    """Versions whose requests should be packed: those larger than they need to be, if asked for."""
    if settings.pack == "never":
        return frozenset()
    return frozenset(
        d.version
        for d in decisions
        if settings.pack == "always"
        or d.wanted < state.versions[d.version].desired - state.versions[d.version].spare
    )


def _taken(counts: Mapping[str, Counts]) -> dict[str, Taken]:
    return {v: Taken(standing=c.standing, leaving=c.draining) for v, c in counts.items()}


class PoolLoop:
    """One pool. `tick` is synchronous and never waits; `run` only says when."""

    def __init__(
        self,
        name: str,
        pool: ScaledPool,
        signals: PoolSignals,
        state: PoolState,
        *,
        gateway: Traffic,
        recorder: Recorder,
        clock: Clock,
        apply: Callable[[str, Mapping[str, int]], None],
        counts: Callable[[str, str], Counts],
        pack: Callable[[str, frozenset[str]], None],
    ) -> None:
        self.name = name
        self.pool = pool
        self.signals = signals
        self.state = state
        self.override: Override | None = None
        self.minimums: Mapping[str, int] = {}
        """Of versions whose weight is about to rise."""
        self.purse: Purse | None = None
        self.latest: dict[str, Decision] = {}
        self.packed: frozenset[str] = frozenset()
        """Versions whose requests the gateway was told to pack."""
        self._gateway = gateway
        self._recorder = recorder
        self._clock = clock
        self._apply = apply
        self._counts = counts
        self._pack = pack
        self._applied: dict[str, int] | None = None
        self._telling: dict[str, Telling] = {}
        self._kicked = asyncio.Event()

    def __repr__(self) -> str:
        sizes = " ".join(f"{v}={s.desired}" for v, s in self.state.versions.items())
        return f"<PoolLoop {self.name} {sizes or 'not decided yet'}>"

    def configure(self, pool: ScaledPool) -> None:
        """Go on with other settings, from the next tick, which comes at once."""
        self.pool = pool
        self.signals.forget(pool.slots)
        self.latest = {v: d for v, d in self.latest.items() if v in pool.slots}
        self._telling = {v: t for v, t in self._telling.items() if v in pool.slots}
        self._applied = None
        self.kick()

    def kick(self) -> None:
        """Tick as soon as KICK_GAP allows."""
        self._kicked.set()

    async def run(self) -> None:
        """Tick until cancelled. A tick that fails is logged; the size then stays as it is."""
        async with self.signals.running():
            while True:
                self._kicked.clear()
                try:
                    self.tick()
                except Exception:
                    _log.exception("tick failed", pool=self.name)
                await self._next()

    def tick(self) -> None:
        """Decide once, tell what is worth it, and apply what changed."""
        counts = {version: self._counts(self.name, version) for version in self.pool.slots}
        seen = [
            self._observe(version, slots, counts[version])
            for version, slots in self.pool.slots.items()
        ]
        decisions, state = decide_pool(
            seen,
            self.pool.scale,
            self.override,
            self.state,
            minimums=self.minimums,
            purse=self.purse,
            taken=_taken(counts),
        )
        desired = {name: version.desired for name, version in state.versions.items()}
        if self._closes(seen, desired) and self._worked_since(seen):
            # the next tick sees what has come in
            self.kick()
            return
        self.state = state
        for decision in decisions:
            self.latest[decision.version] = decision
            if self._telling.setdefault(decision.version, Telling()).worth(decision):
                self._recorder.decision(decision)
                _log.info(decision.reason, pool=self.name, version=decision.version)
        packed = to_pack(decisions, state, self.pool.scale)
        if packed != self.packed:
            self.packed = packed
            self._pack(self.name, packed)
        if desired != self._applied:
            self._apply(self.name, desired)
            self._applied = desired

    async def _next(self) -> None:
        await asyncio.sleep(min(KICK_GAP, self.pool.scale.tick))
        try:
            async with asyncio.timeout(max(0.0, self.pool.scale.tick - KICK_GAP)):
                await self._kicked.wait()
        except TimeoutError:
            pass

    def held(self) -> float:
        """What the pool takes of its budget now, in units of cost."""
        if self.pool.account is None:
            return 0.0
        counts = {version: self._counts(self.name, version) for version in self.pool.slots}
        return self.pool.account.cost_of(_taken(counts))

    def _closes(self, seen: Sequence[Observation], desired: Mapping[str, int]) -> bool:
        """Whether these sizes take the last replica, and not by hand."""
        there = any(one.desired for one in seen)
        return there and not any(desired.values()) and self.override is None

    def _worked_since(self, seen: Sequence[Observation]) -> bool:
        """The last check before the last replica goes: nothing has come in since `seen`.

        What comes in later is served by the replica that drains, or queues and thereby kicks.
        """
        for one in seen:
            totals = self._gateway.totals(self.name, one.version)
            if totals.in_flight or totals.queued_now or totals.started != one.arrived:
                return True
        return False

    def _observe(self, version: str, slots: int, counts: Counts) -> Observation:
        totals = self._gateway.totals(self.name, version)
        slots = self._gateway.slots_per_replica(self.name, version) or slots
        now = self._clock.monotonic()
        known = self.state.versions.get(version)
        present = counts.ready + counts.starting + counts.unhealthy
        desired = present if known is None else known.desired
        return Observation(
            pool=self.name,
            version=version,
            at=self._clock.wall(),
            monotonic=now,
            weight=self.pool.weights[version],
            desired=desired,
            ready=counts.ready,
            starting=counts.starting,
            in_flight=totals.in_flight,
            queued=totals.queued_now,
            slots=slots,
            arrived=totals.started,
            served=totals.released,
            busy=totals.lease_seconds,
            waits=totals.wait,
            starting_for=counts.starting_for,
            start_seconds=counts.start_seconds,
            readings=self.signals.read(
                version,
                totals,
                self.pool.weights,
                slots=slots,
                desired=desired,
                reports=Reports(ready=counts.ready, loads=counts.loads),
                now=now,
            ),
        )
