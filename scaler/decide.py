"""One tick of one pool: policy, guardrails, allocation, and a sentence that tells why. Pure.

observation --policy--> wanted --guardrails--> guarded --allocation--> desired
  (per version)                 (per version)            (whole pool)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from fleet.config.schema import Predict, Scale
from fleet.config.units import format_duration
from fleet.model import Decision, Direction, Observation, Proposal
from scaler import schedule
from scaler.allocate import Share, allocate
from scaler.forecast import Forecast, looked, needed
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
    forecast: Forecast | None


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
    scheduled = schedule.floor(settings.schedule, versions[0].seen.at) if versions else 0
    low, high = min(settings.max, max(settings.min, scheduled)), settings.max
    if override is not None:
        low = high = override.total
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
    if override is None:
        present = {v.seen.version: v.seen.desired for v in versions}
        sizes = {name: paused(present[name], size, settings) for name, size in sizes.items()}
    decisions = []
    after = {}
    for version in versions:
        name = version.seen.version
        bound = _bound(version, sizes, settings, low, override)
        decisions.append(_decision(version, sizes[name], bound))
        after[name] = _remember(version, sizes[name], settings)
    forecasts = {v.seen.version: v.forecast for v in versions if v.forecast is not None}
    return tuple(decisions), PoolState(after, forecasts)


def _judge(seen: Observation, settings: Scale, state: PoolState) -> _Version:
    before = state.versions.get(seen.version, VersionState())
    policy = POLICIES[settings.policy]
    want, memory = policy.decide(seen, settings, before.memory)
    forecast = None
    if settings.predict is not None:
        known = state.forecasts.get(seen.version)
        load = float(seen.in_flight + seen.queued)
        forecast = looked(known, load, seen.at, settings.predict)
        want = _raised(want, forecast, seen, settings.predict)
    guarded = guard(want.replicas, seen, pace_of(settings, policy.paced), before)
    return _Version(
        seen=seen, want=want, guarded=guarded, memory=memory, before=before, forecast=forecast
    )


def _raised(want: Want, forecast: Forecast, seen: Observation, settings: Predict) -> Want:
    """`want`, or what the forecast asks for if that is more."""
    replicas, load = needed(forecast, seen.at, seen.slots, settings)
    if not load:
        return want
    reason = f"a load of {load:.3g} is expected within {format_duration(settings.ahead)}"
    proposal = Proposal(signal="predict", replicas=replicas, reason=reason)
    proposals = (*want.proposals, proposal)
    if replicas <= want.replicas:
        return Want(replicas=want.replicas, reason=want.reason, proposals=proposals)
    return Want(replicas=replicas, reason=f"{reason}, {replicas} needed", proposals=proposals)


def paused(present: int, size: int, settings: Scale) -> int:
    """`size`, or the present one if the way there is paused."""
    return present if _is_paused(present, size, settings) else size


def _is_paused(present: int, size: int, settings: Scale) -> bool:
    return (size < present and settings.pause in ("in", "both")) or (
        size > present and settings.pause in ("out", "both")
    )


def _bound(
    version: _Version,
    sizes: Mapping[str, int],
    settings: Scale,
    low: int,
    override: Override | None,
) -> tuple[Limit, ...]:
    """What made the allocation differ from the guarded size, if it does."""
    size, guarded = sizes[version.seen.version], version.guarded.replicas
    if size == guarded:
        return ()
    if override is not None:
        return (Limit("held", f"the pool is held at {override.total} by hand"),)
    if _is_paused(version.seen.desired, guarded, settings):
        return (Limit("pause", f"scaling {settings.pause} is paused"),)
    if size < guarded:
        return (Limit("max", f"the pool has at most {settings.max}"),)
    if sum(sizes.values()) > low:
        return (Limit("share", f"weight {version.seen.weight} keeps at least 1"),)
    if low > settings.min:
        return (Limit("schedule", f"the pool has at least {low} now"),)
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
        seen=seen,
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
