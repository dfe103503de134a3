"""Which decision explains a size: the latest, or that of a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from fleet.cluster import Role
from fleet.model import Decision
from fleet.store.client import Store
from scaler.loop import ScalerLoop


class Latest(Struct, frozen=True):
    """What was decided here and what the journal has.

    `role` is that in the cluster, whose daemons write the same journal; None: there is none. Who
    does not decide takes the newest of the journal, whatever its own clock says, and not what it
    decided itself when it last led.
    """

    scaler: ScalerLoop
    store: Store
    role: Role | None

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
        if self.role is None or (own is not None and self.role is not Role.FOLLOWER):
            return own
        return await self.store.decision_at(pool, version, math.inf)
