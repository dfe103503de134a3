"""One tick of one pool: policy, guardrails, allocation, and a sentence that tells why. Pure.

observation --policy--> wanted --guardrails--> guarded --allocation--> desired
  (per version)                 (per version)            (whole pool)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from fleet.config.schema import Scale
from fleet.model import Decision, Direction, Observation
from scaler.allocate import Share, allocate
from scaler.guardrails import Guarded, Limit, guard, pace_of
from scaler.policies import POLICIES, AnyMemory, Want
from scaler.state import PoolState, VersionState
from scaler.windows import Change, recorded


class Override(Struct, frozen=True):
    """A pool's total, set by hand. It outranks signals, rates and bounds."""

    total: int
    until: float | None = None
    """Unix time at which it ends; None: not by itself."""

    def holds(self, at: float) -> bool:
        """Whether it is in force at Unix time `at`."""
        return self.until is None or at < self.until


class _Version(Struct, frozen=True, kw_only=True):
    """One version half way through."""

    seen: Observation
    want: Want
    guarded: Guarded
    memory: AnyMemory | None
    before: VersionState


def decide_pool(
    observations: Sequence[Observation],
    settings: Scale,
    override: Override | None,
    state: PoolState,
) -> tuple[tuple[Decision, ...], PoolState]:
    """Decide every version of a pool, and what to remember for the next tick.

    All observations are of one tick of one pool. Versions without an observation are forgotten.
    """
    versions = [_judge(seen, settings, state) for seen in observations]
    if override is not None and not (versions and override.holds(versions[0].seen.at)):
        override = None
    low, high = (settings.min, settings.max) if override is None else (override.total,) * 2
    shares = [
        Share(
            version=v.seen.version,
            weight=v.seen.weight,
            wanted=v.guarded.replicas,
            claim=v.guarded.peak,
        )
        for v in versions
    ]
    sizes = allocate(shares, low=low, high=high)
    decisions = []
    after = {}
    for version in versions:
        name = version.seen.version
        bound = _bound(version, sizes, settings, override)
        decisions.append(_decision(version, sizes[name], bound))
        after[name] = _remember(version, sizes[name], settings)
    return tuple(decisions), PoolState(after)


def _judge(seen: Observation, settings: Scale, state: PoolState) -> _Version:
    before = state.versions.get(seen.version, VersionState())
    policy = POLICIES[settings.policy]
    want, memory = policy.decide(seen, settings, before.memory)
    guarded = guard(want.replicas, seen, pace_of(settings, policy.paced), before)
    return _Version(seen=seen, want=want, guarded=guarded, memory=memory, before=before)


def _bound(
    version: _Version, sizes: Mapping[str, int], settings: Scale, override: Override | None
) -> tuple[Limit, ...]:
    """What made the allocation differ from the guarded size, if it does."""
    size, guarded = sizes[version.seen.version], version.guarded.replicas
    if size == guarded:
        return ()
    if override is not None:
        return (Limit("held", f"the pool is held at {override.total} by hand"),)
    if size < guarded:
        return (Limit("max", f"the pool has at most {settings.max}"),)
    if sum(sizes.values()) > settings.min:
        return (Limit("share", f"weight {version.seen.weight} keeps at least 1"),)
    return (Limit("min", f"the pool has at least {settings.min}"),)


def _remember(version: _Version, size: int, settings: Scale) -> VersionState:
    limits = pace_of(settings, POLICIES[settings.policy].paced)
    now, grown = version.seen.monotonic, size - version.seen.desired
    ups, downs = version.before.ups, version.before.downs
    if grown > 0 and limits.up is not None:
        ups = recorded(ups, Change(now, grown), limits.up.period)
    if grown < 0 and limits.down is not None:
        downs = recorded(downs, Change(now, -grown), limits.down.period)
    return VersionState(
        desired=size,
        wishes=version.guarded.wishes,
        ups=ups,
        downs=downs,
        memory=version.memory,
    )


def _decision(version: _Version, size: int, bound: tuple[Limit, ...]) -> Decision:
    seen, limits = version.seen, (*version.guarded.limits, *bound)
    direction = _direction(seen.desired, size)
    return Decision(
        pool=seen.pool,
        version=seen.version,
        at=seen.at,
        current=seen.desired,
        wanted=version.want.replicas,
        desired=size,
        direction=direction,
        reason=_sentence(version, size, direction, limits),
        proposals=version.want.proposals,
        limits=tuple(map(str, limits)),
    )


def _direction(present: int, size: int) -> Direction:
    if size == present:
        return Direction.HOLD
    return Direction.UP if size > present else Direction.DOWN


def _sentence(version: _Version, size: int, direction: Direction, limits: tuple[Limit, ...]) -> str:
    present, wanted = version.seen.desired, version.want.replicas
    head = f"hold {size}" if size == present else f"{direction} {present} -> {size}"
    if wanted == size:
        return f"{head}: {version.want.reason}"
    guards = " and ".join(map(str, limits))
    if size == present:
        return f"{head}: wanted {wanted}, kept by {guards}"
    if min(present, wanted) < size < max(present, wanted):
        return f"{head}: {version.want.reason}, limited by {guards}"
    return f"{head}: wanted {wanted}, set by {guards}"
