"""Which decision explains a size: the latest, or that of a time."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from fleet.clock import Clock
from fleet.model import Decision
from fleet.store.client import Store
from scaler.loop import ScalerLoop


class Latest(Struct, frozen=True):
    """What was decided here and what the journal has.

    `shared`: other daemons of the cluster decide too, and write the same journal.
    """

    scaler: ScalerLoop
    store: Store
    clock: Clock
    shared: bool

    async def of(self, pool: str, versions: Sequence[str], at: float | None) -> list[Decision]:
        """Of each version the newest decision, until Unix time `at` if given.

        A version of which none is known is left out.
        """
        found = [await self._one(pool, version, at) for version in versions]
        return [decision for decision in found if decision is not None]

    async def _one(self, pool: str, version: str, at: float | None) -> Decision | None:
        if at is not None:
            return await self.store.decision_at(pool, version, at)
        own = self.scaler.latest(pool, version)
        if not self.shared:
            return own
        told = await self.store.decision_at(pool, version, self.clock.wall())
        both = [decision for decision in (own, told) if decision is not None]
        return max(both, key=lambda decision: decision.at, default=None)
