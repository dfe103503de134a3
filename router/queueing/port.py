"""The interfaces between queues, what waits in them, and who uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """What queues look at in what waits. None of it may change while it waits."""

    queued_until: float
    """Monotonic time at which it gives up: its deadline."""
    band: int
    """Its priority class, 0 the highest; see `router.classing`."""

    @property
    def tenant(self) -> bytes:
        """Whose it is; empty when nobody is named."""
        ...


W = TypeVar("W", bound=Waiting)


class Queue(Protocol[W]):
    """A queue of one version. All times are monotonic seconds."""

    def __len__(self) -> int: ...

    def __contains__(self, waiter: object) -> bool: ...

    def __iter__(self) -> Iterator[W]:
        """In the order of arrival."""
        ...

    def join(self, waiter: W, now: float, *, front: bool = False) -> None:
        """Come in; `front`: before all others of its class and tenant."""
        ...

    def leave(self, waiter: W) -> float:
        """Go without a slot; gives when it joined. KeyError when it does not wait here."""
        ...

    def take(self, now: float) -> tuple[W, float]:
        """The next one, out of the queue, and when it joined. KeyError when nobody waits."""
        ...

    def oldest(self) -> float | None:
        """When the one who waits longest joined."""
        ...

    def stale(self, before: float) -> W | None:
        """The oldest of the lowest class that waits, if it joined before that time."""
        ...

    def lesser(self, band: int, tenant: bytes) -> W | None:
        """The one to give up its place to a newcomer of that class and tenant, if any: the
        newest of the lowest class below, else of a tenant of the same class that has at least
        two more places than the newcomer's.
        """
        ...


class Order(Protocol[W]):
    """The order inside one class, or inside one tenant's part of it."""

    def __len__(self) -> int: ...

    def join(self, waiter: W, *, front: bool) -> None:
        """Come in."""
        ...

    def leave(self, waiter: W) -> None:
        """Go, from wherever it stands."""
        ...

    def take(self, *, pressed: bool) -> W:
        """The next one, out of the order; `pressed`: the class has been full for a while."""
        ...

    def newest(self) -> W:
        """The one that came in last, still in the order."""
        ...
