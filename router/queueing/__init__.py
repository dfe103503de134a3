"""The wait for a slot: who is next, and who goes first when there is too much work.

`plain.PlainQueue` is first come, first served, and all that a pool without settings has.
`classes.ClassQueue` adds priority classes; the order inside a class is one of `ORDERS`, taken by
each tenant in turn when there are tenants (`fair.Fair`). `delay.DelayWatch` tells when the wait
has become too long. Everything is pure: times come as parameters, in monotonic seconds.
"""

from __future__ import annotations

from typing import Any

from router.queueing.classes import ORDERS, ClassQueue
from router.queueing.delay import DelayWatch
from router.queueing.plain import PlainQueue
from router.queueing.port import Queue, Waiting
from router.queueing.settings import QueueSettings

__all__ = ["ORDERS", "ClassQueue", "DelayWatch", "PlainQueue", "Queue", "Waiting", "queue_for"]


def queue_for(settings: QueueSettings) -> Queue[Any]:
    """The cheapest queue that does what is asked for."""
    if settings.classes <= 1 and settings.order == "fifo" and not settings.tenants:
        return PlainQueue()
    return ClassQueue(settings)
