"""A number from outside the daemon."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.errors import HeadraceError

LARGEST: Final = 1e15
"""A number beyond it, either way, is a fault and no measurement: sizes cannot be computed of it."""


class SignalLostError(HeadraceError):
    """A source has no usable value now; the text says why, for people."""


class Source(Protocol):
    """One number over a whole pool, asked again and again."""

    name: str
    """Shown to people; unique within the pool."""
    per_replica: float
    """What one replica should carry of it, or what a ratio should be."""
    ratio: bool
    """True: it is not divided among versions or replicas, as an age is not."""

    async def read(self) -> float | None:
        """The value now; None: there is nothing to measure, which says nothing either way.

        Raises SignalLostError, within a few seconds at most.
        """
        ...

    async def close(self) -> None:
        """Give up connections; `read` is not called again."""
        ...
