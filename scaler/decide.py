"""One tick of one pool: policy, guardrails, allocation, and a sentence that tells why. Pure.

observation --policy--> wanted --guardrails--> guarded --allocation--> desired
  (per version)                 (per version)            (whole pool)

The allocation keeps the pool within its bounds: the largest of several floors (`scaler.floors`),
`max`, and what its budget leaves it.

A dry run decides the same, but what is remembered as asked for, and thus carried out, is the
present size within `min` and `max`; no rate and no cooldown counts the change that was not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from fleet.config.schema import Predict, Scale
from fleet.config.units import format_duration
from fleet.model import Decision, Observation, Proposal
from scaler.allocate import Share, afford, allocate, eased
from scaler.budgets import Account, Purse, Taken
from scaler.floors import Floor, idle_of, idle_wait, lowest
from scaler.forecast import Forecast, looked, needed
from scaler.guardrails import Guarded, Limit, guard, pace_of
from scaler.policies import POLICIES, AnyMemory, Want
from scaler.sentences import direction_of, sentence
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
    """As it is; the policy saw it without its spares."""
    want: Want
    guarded: Guarded
    memory: AnyMemory | None
    before: VersionState
    forecast: Forecast | None
    busy_at: float


class _Bounds(Struct, frozen=True, kw_only=True):
    """What holds for the pool as a whole at this tick."""

    floor: Floor
    minimums: Mapping[str, int]
    override: Override | None
    budget: str
    """Says what the budget allows; empty when that is enough."""


def decide_pool(
    observations: Sequence[Observation],
    settings: Scale,
    override: Override | None,
    state: PoolState,
    *,
    minimums: Mapping[str, int] | None = None,
    purse: Purse | None = None,
    taken: Mapping[str, Taken] | None = None,
) -> tuple[tuple[Decision, ...], PoolState]:
    """Decide every version of a pool, and what to remember for the next tick.

    All observations are of one tick of one pool. Versions without an observation are forgotten.
    The state's sizes are what is to be carried out. `minimums` are of versions whose weight is
    about to rise; `purse` is asked for what the pool's budget allows it; `taken` tells by version
    what is there, without which it is what was observed.
    """
    versions = [_judge(seen, settings, state) for seen in observations]
    if override is not None and not (versions and override.holds(versions[0].seen.at)):
        override = None
    floor = _floor(versions, settings, override)
    high = settings.max if override is None else override.total
    shares = [_share(version, minimums or {}) for version in versions]
    sizes = allocate(shares, low=floor.replicas, high=high)
    present = {v.seen.version: v.seen.desired for v in versions}
    if override is None:
        sizes = {name: paused(present[name], size, settings) for name, size in sizes.items()}
    budget = ""
    if purse is not None:
        asked = present if settings.dry_run and override is None else sizes
        there = {v.seen.version: _taken(v.seen, taken) for v in versions}
        allowed = purse.allowance(purse.account.cost(asked), purse.account.cost_of(there))
        if override is None and not settings.dry_run:
            sizes, budget = _afforded(shares, sizes, there, purse.account, allowed)
    bounds = _Bounds(floor=floor, minimums=minimums or {}, override=override, budget=budget)
    dry_run = settings.dry_run and override is None
    kept = _kept(versions, settings) if dry_run else sizes
    decisions = []
    after = {}
    for version in versions:
        name = version.seen.version
        bound = _bound(version, sizes, settings, bounds)
        decisions.append(_decision(version, sizes[name], bound, dry_run=dry_run))
        after[name] = _remember(version, kept[name], settings, dry_run=dry_run)
    forecasts = {v.seen.version: v.forecast for v in versions if v.forecast is not None}
    return tuple(decisions), PoolState(after, forecasts)


def _floor(versions: Sequence[_Version], settings: Scale, override: Override | None) -> Floor:
    if override is not None or not versions:
        total = override.total if override is not None else 0
        return Floor("held", total, f"the pool is held at {total} by hand")
    idle = idle_of(settings, POLICIES[settings.policy].idle)
    rest = idle_wait([v.busy_at for v in versions], versions[0].seen.monotonic, idle)
    return lowest(
        settings,
        at=versions[0].seen.at,
        needed=sum(v.guarded.replicas for v in versions),
        idle_for=rest if any(v.seen.desired for v in versions) else 0.0,
        resting=all(v.want.resting for v in versions),
    )


def _share(version: _Version, minimums: Mapping[str, int]) -> Share:
    return Share(
        version=version.seen.version,
        weight=version.seen.weight,
        wanted=version.guarded.replicas,
        claim=version.guarded.peak,
        least=minimums.get(version.seen.version, 0),
    )


def _kept(versions: Sequence[_Version], settings: Scale) -> dict[str, int]:
    """The present sizes, within the bounds."""
    shares = [
        Share(version=s.version, weight=s.weight, wanted=s.desired, claim=s.desired)
        for s in (version.seen for version in versions)
    ]
    return allocate(shares, low=min(settings.min, settings.max), high=settings.max)


def _taken(seen: Observation, taken: Mapping[str, Taken] | None) -> Taken:
    """What a version takes of its budget, what was asked for and is not there yet included."""
    there = (taken or {}).get(seen.version) or Taken(standing=seen.ready + seen.starting)
    return structs.replace(there, standing=max(seen.desired, there.standing))


def _afforded(
    shares: Sequence[Share],
    sizes: dict[str, int],
    there: Mapping[str, Taken],
    account: Account,
    allowed: float,
) -> tuple[dict[str, int], str]:
    """Sizes as the budget allows them now, and what it has to say; empty when that is enough."""
    limit = f"{account.budget} leaves {allowed:g} of {account.total:g}"
    fitting = sizes
    if account.cost(sizes) > allowed:
        fitting = afford(shares, sizes, account.costs, allowed)
    standing = {version: of.standing for version, of in there.items()}
    leaving = {version: of.leaving for version, of in there.items()}
    free = eased(fitting, standing, leaving, account.costs, allowed)
    if free != fitting:
        return free, f"{limit} until others are gone"
    return fitting, limit if fitting != sizes else ""


def _judge(seen: Observation, settings: Scale, state: PoolState) -> _Version:
    before = state.versions.get(seen.version, VersionState())
    policy = POLICIES[settings.policy]
    needed = structs.replace(seen, desired=max(0, seen.desired - before.spare))
    want, memory = policy.decide(needed, settings, before.memory)
    forecast = None
    if settings.predict is not None:
        known = state.forecasts.get(seen.version)
        load = float(seen.in_flight + seen.queued)
        forecast = looked(known, load, seen.at, settings.predict)
        want = _raised(want, forecast, seen, settings.predict)
    return _Version(
        seen=seen,
        want=want,
        guarded=guard(want.replicas, needed, pace_of(settings, policy.paced), before),
        memory=memory,
        before=before,
        forecast=forecast,
        busy_at=_busy_at(seen, before),
    )


def _busy_at(seen: Observation, before: VersionState) -> float:
    """When the version had work last: a request or anything in a queue."""
    if before.busy_at is None or seen.arrived != before.arrived:
        return seen.monotonic
    if seen.in_flight or seen.queued or any(r.value and not r.ratio for r in seen.readings):
        return seen.monotonic
    return before.busy_at


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
    bounds: _Bounds,
) -> tuple[Limit, ...]:
    """What made the allocation differ from the guarded size, if it does."""
    size, guarded = sizes[version.seen.version], version.guarded.replicas
    if size == guarded:
        return ()
    floor = bounds.floor
    if bounds.override is not None:
        return (floor.limit,)
    if bounds.budget and size < guarded:
        return (Limit("budget", bounds.budget),)
    if _is_paused(version.seen.desired, guarded, settings):
        return (Limit("pause", f"scaling {settings.pause} is paused"),)
    if size < guarded:
        return (Limit("max", f"the pool has at most {settings.max}"),)
    if sum(sizes.values()) > floor.replicas:
        if size == bounds.minimums.get(version.seen.version):
            return (Limit("weight", f"it needs {size} before its weight moves"),)
        return (Limit("share", f"weight {version.seen.weight} keeps at least 1"),)
    return (floor.limit,)


def _remember(version: _Version, size: int, settings: Scale, *, dry_run: bool) -> VersionState:
    memory = version.memory
    if dry_run and memory is not None:
        memory = memory.unmade(version.before.memory)
    limits = pace_of(settings, POLICIES[settings.policy].paced)
    now, grown = version.seen.monotonic, size - version.seen.desired
    ups, downs = version.before.ups, version.before.downs
    if grown > 0:
        ups = recorded(ups, Change(now, grown), limits.longest)
    if grown < 0:
        downs = recorded(downs, Change(now, -grown), limits.longest)
    return VersionState(
        desired=size,
        wishes=version.guarded.wishes,
        ups=ups,
        downs=downs,
        memory=memory,
        spare=max(0, min(settings.standby, size - version.guarded.replicas)),
        busy_at=version.busy_at,
        arrived=version.seen.arrived,
    )


def _decision(version: _Version, size: int, bound: tuple[Limit, ...], *, dry_run: bool) -> Decision:
    seen, limits = version.seen, (*version.guarded.limits, *bound)
    return Decision(
        pool=seen.pool,
        version=seen.version,
        at=seen.at,
        current=seen.desired,
        wanted=version.want.replicas,
        desired=size,
        direction=direction_of(seen.desired, size),
        reason=sentence(seen.desired, version.want.replicas, size, version.want.reason, limits),
        proposals=version.want.proposals,
        limits=tuple(map(str, limits)),
        dry_run=dry_run,
        seen=seen,
    )
