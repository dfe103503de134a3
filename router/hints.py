"""`Retry-After`: when it is worth asking again, from what the worker knows. Pure."""

from __future__ import annotations

import math

from router.pool import Version

MAX_RETRY_AFTER = 60


def queue_hint(version: Version, now: float) -> int:
    """Whole seconds, 1 to MAX_RETRY_AFTER.

    While slots are there, the time the queue as it stands takes to drain, or until a replica that
    starts is expected if that is sooner; without slots, until that replica is expected, or the
    queue's timeout when none starts.
    """
    ready = version.ready_at - now if version.ready_at > now else math.inf
    if version.usable_slots:
        wait = min(ready, len(version.waiting) * version.lease_ewma / version.usable_slots)
    elif ready < math.inf:
        wait = ready
    else:
        wait = version.pool.entry.queue_timeout
    return max(1, min(MAX_RETRY_AFTER, math.ceil(wait)))
