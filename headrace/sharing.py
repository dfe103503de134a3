"""Replicas that this gateway shares with others of its cluster: how much of which it may use.

Limits of own replicas and slots of borrowed ones are kept in the semaphores of `SharedSlots`. So a
slot given away is out of every worker's reach before anybody is told, and `held` is exact at any
moment, whatever the workers are doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from fleet.model import Replica, ReplicaState
from headrace.shared_slots import SharedSlots


class Sharing:
    """What is shared at present. `changed(pool)` has the workers told."""

    def __init__(
        self,
        slots: SharedSlots,
        *,
        allocate_cell: Callable[[], int],
        forget: Callable[[Replica], None],
        changed: Callable[[str], None],
    ) -> None:
        """`forget(replica)` gives up all that is kept of a borrowed replica."""
        self._slots = slots
        self._allocate_cell = allocate_cell
        self._forget = forget
        self._changed = changed
        self._limits: dict[str, int] = {}
        self._borrowed: dict[str, Replica] = {}
        self.lent: Mapping[str, int] = {}
        """Own replicas that others may be using, with the slots they have of them."""

    def limited(self, replica: Replica) -> Replica:
        """An own replica as the workers may use it; without any slot it serves nothing new."""
        slots = min(replica.slots, self._limits.get(replica.name, replica.slots))
        if slots == replica.slots:
            return replica
        state = replica.state
        if not slots and state is ReplicaState.READY:
            state = ReplicaState.UNHEALTHY
        return structs.replace(replica, slots=slots, state=state)

    def borrowed(self, pool: str | None = None) -> list[Replica]:
        """Those of other members (of one pool), as the workers may use them."""
        return [r for r in self._borrowed.values() if pool in (None, r.pool)]

    def limit(self, limits: Mapping[str, int], own: Iterable[Replica]) -> None:
        """Use so many slots at most of the `own` replicas named, and of the others all."""
        before, self._limits = self._limits, dict(limits)
        pools = set()
        for replica in own:
            if before.get(replica.name) != limits.get(replica.name) and replica.name in self._slots:
                self._slots.keep(replica.name, self.limited(replica).slots)
                pools.add(replica.pool)
        for pool in sorted(pools):
            self._changed(pool)

    def borrow(self, wanted: Mapping[str, Replica]) -> None:
        """Use these replicas of others, by name, with the slots they say. One no longer wanted
        stays until nothing of it is in use here.
        """
        pools = set()
        for name in self._borrowed.keys() - wanted.keys():
            gone = self._borrowed[name]
            if not self.held(name):
                del self._borrowed[name]
                self._forget(gone)
                pools.add(gone.pool)
            elif gone.slots:
                self._put(structs.replace(gone, slots=0, state=ReplicaState.UNHEALTHY), pools)
        for name, replica in wanted.items():
            known = self._borrowed.get(name)
            cell = self._allocate_cell() if known is None else known.cell
            self._put(structs.replace(replica, cell=cell), pools)
        for pool in sorted(pools):
            self._changed(pool)

    def held(self, name: str) -> int:
        """Slots of a replica that may be in use here: its limit, or more if more are in use."""
        return self._slots.held(name) if name in self._slots else 0

    def _put(self, replica: Replica, pools: set[str]) -> None:
        if self._borrowed.get(replica.name) != replica:
            self._borrowed[replica.name] = replica
            self._slots.keep(replica.name, replica.slots)
            pools.add(replica.pool)
