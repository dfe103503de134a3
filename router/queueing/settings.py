"""What a queue needs to know of its pool's settings."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class QueueSettings(Struct, frozen=True, kw_only=True):
    """Plain values; see `fleet.config.queueing.Queue`."""

    classes: int = 1
    """Number of priority classes; class 0 is the highest."""
    order: str = "fifo"
    """Inside a class, a key of `router.queueing.ORDERS`."""
    tenants: bool = False
    """True: tenants of a class take turns."""
    weights: Mapping[bytes, int] = {}
    """Turns of a tenant in a row; 1 for those not named."""
    aging: float = 0.0
    """Seconds after which a waiter of a lower class is overdue; 0: never."""
    pressed_after: float = 1.0
    """Seconds a class has had waiters without a break before `lifo` turns it round."""
