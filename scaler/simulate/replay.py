"""What other settings would have decided on what the daemon saw. Pure.

The journal has the observation of each decision that was told (`fleet.model.Decision.seen`): all
that changed a size, and a few that did not. They are decided again, in their order, each from the
size that the new settings had come to; readings, queues and ready replicas stay as they were seen.
So this tells how the new settings judge the same moments, not what the moments would have become:
`headrace simulate` does that.

The versions of a pool are decided together, as in the daemon: records less than KICK_GAP apart are
of one tick, since no two ticks are. A version that the tick did not tell is taken as it was told
last. What was decided in a dry run is decided in one again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from fleet.config.schema import Scale
from fleet.model import Decision, Observation
from scaler.decide import decide_pool
from scaler.pool_loop import KICK_GAP
from scaler.state import PoolState


class Replayed(Struct, frozen=True, kw_only=True):
    """One decision, as it was and as it would have been."""

    at: float
    """Unix seconds."""
    pool: str
    version: str
    was: int
    would: int
    reason: str
    """Of the new decision."""


def replay(journal: Iterable[Decision], settings: Mapping[str, Scale]) -> list[Replayed]:
    """Decide again what has an observation and a pool in `settings`, the oldest first."""
    pools: dict[str, list[tuple[Decision, Observation]]] = {}
    for old in sorted(journal, key=lambda decision: decision.at):
        if old.seen is not None and old.pool in settings:
            pools.setdefault(old.pool, []).append((old, old.seen))
    found = [one for pool, told in pools.items() for one in _pool(told, settings[pool])]
    return sorted(found, key=lambda one: one.at)


def _pool(told: Iterable[tuple[Decision, Observation]], settings: Scale) -> Iterator[Replayed]:
    state = PoolState()
    latest: dict[str, Observation] = {}
    for tick in _ticks(told):
        latest.update((old.version, seen) for old, seen in tick)
        at = tick[-1][1].at
        present = [_as_of(one, at, state) for one in latest.values()]
        own = settings.model_copy(update={"dry_run": tick[-1][0].dry_run})
        decisions, state = decide_pool(present, own, None, state)
        decided = {decision.version: decision for decision in decisions}
        for old, _ in tick:
            new = decided[old.version]
            yield Replayed(
                at=old.at,
                pool=old.pool,
                version=old.version,
                was=old.desired,
                would=new.desired,
                reason=new.reason,
            )


def _ticks(
    told: Iterable[tuple[Decision, Observation]],
) -> Iterator[Sequence[tuple[Decision, Observation]]]:
    """The records of a pool, tick by tick; a tick has a version once."""
    tick: dict[str, tuple[Decision, Observation]] = {}
    began = 0.0
    for old, seen in told:
        if tick and (old.version in tick or old.at - began >= KICK_GAP):
            yield list(tick.values())
            tick = {}
        if not tick:
            began = old.at
        tick[old.version] = (old, seen)
    if tick:
        yield list(tick.values())


def _as_of(seen: Observation, at: float, state: PoolState) -> Observation:
    """At the moment of the decision, with the size that the new settings gave.

    The monotonic clock of one boot means nothing to the next: Unix time takes its place.
    """
    known = state.versions.get(seen.version)
    desired = seen.desired if known is None else known.desired
    return replace(seen, at=at, monotonic=at, desired=desired)
