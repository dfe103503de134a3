"""Weights on their way: a version is sized for its new share before the share moves.

An edit of weights that raises a version's share waits until that version has the replicas that the
share needs. Meanwhile the former weights stay in force and the scaler is told the minimum; then
the weights move, at the latest after the pool's `scale.shift_timeout`, and the minimum stays for
SETTLE seconds, until the version's own load speaks for it. The rule is pure (`shortage`).

    edit --enough now--> moved
    edit --short--> waiting --ready, or timeout--> moved, settling --SETTLE--> done
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from fleet.config.schema import Config, Pool

SETTLE: Final = 60.0
"""Seconds."""


class Demand(Struct, frozen=True, kw_only=True):
    """One version, as far as its share is concerned."""

    slots: int
    """Of one replica."""
    ready: int
    desired: int
    wanted: int
    """Replicas its policy wants."""
    busy: int
    """Requests in flight and queued."""
    scaled: bool
    """Whether its replicas can be added to."""


class Waiting(Struct, frozen=True):
    """A shift that has not taken place."""

    weights: dict[str, int]
    """That will be in force."""
    needs: dict[str, int]
    """Ready replicas, by version, that it waits for."""


Weights = Mapping[str, int]


def shortage(
    before: Weights, after: Weights, demands: Mapping[str, Demand], most: int
) -> dict[str, int]:
    """Replicas that versions need before weights go from `before` to `after`; none: go now.

    A version whose share rises has enough if its ready slots take its new share of all requests
    there are now. When one has not, each that rises needs its share of what the whole pool needs:
    what the policies want, or for a version of one replica the requests it has. `most` is the
    largest size of the pool; what others have of it is not taken away from them. Is none ready of
    the versions that had a weight, nothing is gained by staying with them.

    Worked: 100/0 to 50/50, v1 wants 10 replicas of 8 slots: v2 needs ceil(80 * 0.5 / 8) = 5.
    """
    rising = [v for v in after if _part(after, v) > _part(before, v) and demands[v].scaled]
    busy = sum(demand.busy for demand in demands.values())
    if not any(demands[v].ready for v in before if before[v] and v in demands):
        return {}
    if all(_carries(demands[v], busy * _part(after, v)) for v in rising):
        return {}
    load = sum(_load(demand) for demand in demands.values())
    room = most - sum(demand.desired for demand in demands.values() if demand.scaled)
    needs = {}
    for version in sorted(rising, key=lambda v: -after[v]):
        demand = demands[version]
        need = max(1, math.ceil(load * _part(after, version) / demand.slots - 1e-9))
        needs[version] = min(need, max(1, demand.desired + max(0, room)))
        room -= max(0, needs[version] - demand.desired)
    return needs


def _part(weights: Weights, version: str) -> float:
    total = sum(weights.values())
    return weights.get(version, 0) / total if total else 0.0


def _carries(demand: Demand, load: float) -> bool:
    return demand.ready > 0 and load <= demand.ready * demand.slots


def _load(demand: Demand) -> float:
    """Slots that a version's load takes, with the policy's headroom where that can be told."""
    if demand.scaled and demand.wanted > 1:
        return max(demand.busy, demand.wanted * demand.slots)
    return demand.busy


class Plan(Struct, frozen=True):
    """Weights to be in force, by pool, and what follows them."""

    weights: dict[str, dict[str, int]]
    waiting: dict[str, Waiting]


class Shifts:
    """The weights in force of every pool, and those that wait.

    `demands(pool, settings)` looks at a pool's versions; `ready(pool, version)` counts ready
    replicas; `move(pool)` hears of weights newly in force; `minimums(pool, sizes)` tells the
    scaler; `tell(kind, message, pool)` records an event.
    """

    def __init__(
        self,
        *,
        demands: Callable[[str, Pool], Mapping[str, Demand]],
        ready: Callable[[str, str], int],
        move: Callable[[str], None],
        minimums: Callable[[str, Mapping[str, int]], None],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._demands = demands
        self._ready = ready
        self._move = move
        self._minimums = minimums
        self._tell = tell
        self.in_force: dict[str, dict[str, int]] = {}
        self._waiting: dict[str, Waiting] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self, weights: Mapping[str, dict[str, int]]) -> None:
        """Begin with these, by pool: as at a start, none waits."""
        for pool in list(self._timers):
            self._end(pool)
            self._minimums(pool, {})
        self.in_force = dict(weights)

    def take(self, pool: str, weights: dict[str, int]) -> None:
        """Have these in force at once; nothing waits."""
        self._end(pool)
        self._minimums(pool, {})
        self.in_force[pool] = weights

    def plan(self, config: Config, wanted: Mapping[str, dict[str, int]]) -> Plan:
        """What can be in force at once when `wanted` is to be, by pool."""
        plan = Plan({}, {})
        for pool, weights in wanted.items():
            plan.weights[pool] = weights
            if (waiting := self._plan(pool, weights, config.pools[pool])) is not None:
                before = self.in_force[pool]
                plan.weights[pool] = {version: before.get(version, 0) for version in weights}
                plan.waiting[pool] = waiting
        return plan

    def begin(self, config: Config, plan: Plan) -> None:
        """The weights of `plan` are in force now; those that wait in it follow."""
        for pool in self.in_force.keys() - plan.weights.keys():
            self._end(pool)
        before, self.in_force = self.in_force, dict(plan.weights)
        for pool, weights in plan.weights.items():
            waiting, former = plan.waiting.get(pool), self._waiting.get(pool)
            if waiting is not None and waiting is not former:
                self._wait(pool, waiting, config.pools[pool].scale.shift_timeout)
            elif waiting is None and (former is not None or weights != before.get(pool)):
                self._end(pool)
                self._minimums(pool, {})

    def check(self, pool: str) -> None:
        """Move the weights of a pool if all that they waited for is ready."""
        waiting = self._waiting.get(pool)
        if waiting is not None and not self.lacking(pool):
            self._shift(pool, f"{_shown(waiting.weights)} are in force")

    def lacking(self, pool: str) -> str:
        """What the weights of a pool wait for; empty when they do not."""
        needs = self._waiting[pool].needs if pool in self._waiting else {}
        there = ((version, self._ready(pool, version), need) for version, need in needs.items())
        return ", ".join(f"{v} ({has} of {need} ready)" for v, has, need in there if has < need)

    def close(self) -> None:
        """Stop all timers."""
        for pool in list(self._timers):
            self._end(pool)

    def _plan(self, pool: str, weights: dict[str, int], settings: Pool) -> Waiting | None:
        before, former = self.in_force.get(pool, {}), self._waiting.get(pool)
        if former is not None and former.weights == weights:
            return former
        if not settings.scale.shift_timeout or not any(before.get(v) for v in weights):
            return None
        needs = shortage(before, weights, self._demands(pool, settings), settings.scale.max)
        return Waiting(weights, needs) if needs else None

    def _wait(self, pool: str, waiting: Waiting, timeout: float) -> None:
        self._end(pool)
        self._waiting[pool] = waiting
        self._minimums(pool, waiting.needs)
        shown = _shown(waiting.weights)
        self._tell("weights.waiting", f"{shown} wait for {self.lacking(pool)}", pool)
        self._later(pool, timeout, self._late)

    def _late(self, pool: str) -> None:
        shown, lacking = _shown(self._waiting[pool].weights), self.lacking(pool)
        self._shift(pool, f"{shown} are in force though {lacking} took too long")

    def _shift(self, pool: str, message: str) -> None:
        weights = self._waiting[pool].weights
        self._end(pool)
        self.in_force[pool] = weights
        self._tell("weights.moved", message, pool)
        self._move(pool)
        self._later(pool, SETTLE, self._settled)

    def _settled(self, pool: str) -> None:
        self._end(pool)
        self._minimums(pool, {})

    def _later(self, pool: str, seconds: float, then: Callable[[str], None]) -> None:
        self._timers[pool] = asyncio.get_running_loop().call_later(seconds, then, pool)

    def _end(self, pool: str) -> None:
        self._waiting.pop(pool, None)
        if (timer := self._timers.pop(pool, None)) is not None:
            timer.cancel()


def _shown(weights: Weights) -> str:
    return " ".join(f"{version}={weight}" for version, weight in weights.items())
