"""What to do so that the replicas of a pool become those wanted: decided here, purely.

Theory of operation. Each version is planned by itself, from four facts: how many are wanted,
which spec is in force, which replicas there are, and the time. A *leaving* replica (DRAINING) is
gone for the plan: it is never revived and never counted.

    present  all that are not leaving; these are what `desired` counts
    old      present with another spec than the one in force
    pending  present with the right spec but not READY: capacity that may come

1. A version without a spec is gone: everything present leaves.
2. Old replicas that are not READY carry nothing; they leave at once.
3. While READY old ones remain the version *rolls*: it may hold `surge` more than wanted, as long
   as those are pending. surge 1, wanted 3, present 3 old: start 1 (3 old + 1 pending); it becomes
   READY (4 > 3, nothing pending): one old leaves (2 old + 1 new); start 1; and so on. A new spec
   that never becomes ready therefore stops the roll and costs no capacity. With surge 0, where
   there is no room for one more, an old one leaves first and its successor comes by step 4.
4. Too few: start the missing. Too many: victims leave, the least costly first
   (`scaler.victims`).
5. Of those that stay: one in BACKOFF whose delay is over is started again; one that did not
   become healthy within its start timeout, or is unhealthy for that long while it has no request
   to lose, is stopped and then waits in BACKOFF.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from fleet.model import ReplicaState
from scaler.victims import by_cost, why

RECHECK: Final = 1.0
"""Seconds between looks at the requests of a replica that is to be stopped once it has none."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a version should be."""

    desired: int | None
    """None: not decided yet; none is started and none leaves."""
    spec: str
    start_timeout: float
    """Seconds."""
    surge: int = 1
    """Replicas beyond `desired` while others are replaced."""


class Present(Struct, frozen=True, kw_only=True):
    """A replica, as far as the plan cares."""

    name: str
    version: str
    state: ReplicaState
    spec: str
    born: float
    """Monotonic time of its first start."""
    since: float
    """Monotonic time of its last change of state."""
    in_flight: int = 0
    sessions: int = 0
    """That came to it lately, where replicas are picked by a key."""
    lent: int = 0
    """Slots of it that other gateways may be using."""
    restart_at: float | None = None
    """Monotonic; when a BACKOFF ends."""
    stopping: bool = False
    """It is being stopped already and will be in BACKOFF next."""


class Start(Struct, frozen=True, kw_only=True):
    """Start a new replica of `version`."""

    version: str


class Restart(Struct, frozen=True, kw_only=True):
    """Start the process of a replica in BACKOFF again."""

    name: str


class GiveUp(Struct, frozen=True, kw_only=True):
    """Stop the process of a replica that does not become healthy; it goes to BACKOFF."""

    name: str
    reason: str


class Leave(Struct, frozen=True, kw_only=True):
    """Drain a replica, stop it, forget it."""

    name: str
    reason: str


Action: TypeAlias = Start | Restart | GiveUp | Leave


class Plan(Struct, frozen=True, kw_only=True):
    """What to do now, and when to ask again if nothing else happens."""

    actions: tuple[Action, ...]
    wake: float | None
    """Monotonic; None: nothing is waiting for time to pass."""


def plan(wanted: Mapping[str, Wanted], replicas: Sequence[Present], now: float) -> Plan:
    """Plan one pool. `wanted` has every version that exists; order of `replicas` is irrelevant."""
    actions: list[Action] = []
    wake = math.inf
    present: dict[str, list[Present]] = {}
    for replica in sorted(replicas, key=lambda r: (r.born, r.name)):
        if replica.state not in (ReplicaState.DRAINING, ReplicaState.STOPPED):
            present.setdefault(replica.version, []).append(replica)
    for version in sorted(present.keys() - wanted.keys()):
        actions += _leave(present[version], "its version was removed")
    for version in sorted(wanted):
        ours = present.get(version, [])
        resize = _resize(version, wanted[version], ours, now)
        actions += resize
        leaving = {action.name for action in resize if isinstance(action, Leave)}
        for replica in ours:
            if replica.name not in leaving:
                repair, due = _repair(replica, wanted[version], now)
                actions += repair
                wake = min(wake, due)
    return Plan(actions=tuple(actions), wake=wake if wake < math.inf else None)


def _resize(version: str, wanted: Wanted, present: list[Present], now: float) -> list[Action]:
    """Steps 2 to 4."""
    desired = wanted.desired
    if desired is None:
        return []
    actions: list[Action] = []
    old = [r for r in present if r.spec != wanted.spec]
    useless = [r for r in old if r.state is not ReplicaState.READY]
    actions += _leave(useless, "its settings changed")

    rolling = [r for r in old if r.state is ReplicaState.READY]
    new = [r for r in present if r.spec == wanted.spec]
    pending = [r for r in new if r.state is not ReplicaState.READY]
    surplus = len(rolling) + len(new) - desired
    if surplus < 0:
        return actions + [Start(version=version)] * -surplus
    if not rolling:
        return actions + _chosen(by_cost(new, wanted.spec), surplus, f"{desired} wanted", now)

    surge = wanted.surge if desired > 0 else 0
    kept = sorted(pending, key=lambda r: (r.born, r.name))[:surge]
    excess = surplus - len(kept)
    if desired > 0 == wanted.surge == surplus and not pending:
        excess = 1
    starts = min(surge - max(surplus, len(pending)), desired - len(new))
    if starts > 0:
        return actions + [Start(version=version)] * starts
    candidates = [r for r in rolling + new if r not in kept]
    reason = (
        f"{desired} wanted" if surplus > max(surge, 1) else "replaced by one with the new settings"
    )
    return actions + _chosen(by_cost(candidates, wanted.spec), max(excess, 0), reason, now)


def _repair(replica: Present, wanted: Wanted, now: float) -> tuple[list[Action], float]:
    """Step 5: what one replica needs, and when to look again (inf: no need)."""
    if replica.stopping:
        return [], math.inf
    if replica.state is ReplicaState.BACKOFF:
        due = replica.restart_at if replica.restart_at is not None else math.inf
        return ([Restart(name=replica.name)], math.inf) if due <= now else ([], due)
    late = replica.since + wanted.start_timeout
    limit = f"{wanted.start_timeout:g}s"
    if replica.state is ReplicaState.STARTING:
        if late <= now:
            return [GiveUp(name=replica.name, reason=f"not healthy within {limit}")], math.inf
        return [], late
    if replica.state is ReplicaState.UNHEALTHY:
        if late > now:
            return [], late
        if not replica.in_flight and not replica.lent:
            return [GiveUp(name=replica.name, reason=f"unhealthy for {limit}")], math.inf
        return [], now + RECHECK
    return [], math.inf


def _chosen(candidates: Sequence[Present], count: int, reason: str, now: float) -> list[Action]:
    """The first `count` of them leave."""
    return [
        Leave(name=replica.name, reason=f"{reason}; {why(replica, count, candidates, now)}")
        for replica in candidates[:count]
    ]


def _leave(replicas: Iterable[Present], reason: str) -> list[Action]:
    return [Leave(name=replica.name, reason=reason) for replica in replicas]
