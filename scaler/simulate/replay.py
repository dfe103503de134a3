"""What other settings would have decided on what the daemon saw. Pure.

The journal has the observation of each decision that was told (`fleet.model.Decision.seen`): all
that changed a size, and a few that did not. They are decided again, in their order, each from the
size that the new settings had come to; readings, queues and ready replicas stay as they were seen.
So this tells how the new settings judge the same moments, not what the moments would have become:
`headrace simulate` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from fleet.config.schema import Scale
from fleet.model import Decision, Observation
from scaler.decide import decide_pool
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
    states: dict[str, PoolState] = {}
    latest: dict[str, dict[str, Observation]] = {}
    found = []
    for old in sorted(journal, key=lambda decision: decision.at):
        if old.seen is None or old.pool not in settings:
            continue
        versions = latest.setdefault(old.pool, {})
        versions[old.version] = old.seen
        state = states.get(old.pool, PoolState())
        seen = [_as_of(one, old.seen.at, state) for one in versions.values()]
        own = settings[old.pool].model_copy(update={"dry_run": False})
        decisions, states[old.pool] = decide_pool(seen, own, None, state)
        new = next(decision for decision in decisions if decision.version == old.version)
        found.append(
            Replayed(
                at=old.at,
                pool=old.pool,
                version=old.version,
                was=old.desired,
                would=new.desired,
                reason=new.reason,
            )
        )
    return found


def _as_of(seen: Observation, at: float, state: PoolState) -> Observation:
    """At the moment of the decision, with the size that the new settings gave.

    The monotonic clock of one boot means nothing to the next: Unix time takes its place.
    """
    known = state.versions.get(seen.version)
    desired = seen.desired if known is None else known.desired
    return replace(seen, at=at, monotonic=at, desired=desired)
