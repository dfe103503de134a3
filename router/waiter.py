"""The request's side of waiting for a slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from router.queueing.port import Waiting

if TYPE_CHECKING:
    from router.classing import Classing
    from router.pool import Replica, Version


class Waiter(Waiting, Protocol):
    """A request in a queue, and what it is told of there."""

    hash_key: bytes | None
    """See `router.balance.Balancer.pick`."""

    def granted(self, replica: Replica) -> None:
        """A slot of `replica` is held for it now."""
        ...

    def expired(self) -> None:
        """It has waited long enough; it is out of the queue already."""
        ...

    def shed(self, reason: str) -> None:
        """It gives way to others, for one of `SHED_REASONS`; it is out of the queue already."""
        ...

    def moved(self, version: Version) -> None:
        """Its version has vanished; it waits for this one now."""
        ...

    def reclassed(self, classing: Classing) -> None:
        """Its pool has other classes and tenants now; it is in no queue at this moment."""
        ...

    def dropped(self) -> None:
        """Its pool has vanished; it is out of the queue already."""
        ...
