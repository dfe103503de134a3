"""The share of each replica: its weight, less at the beginning of its life.

A replica that has begun to serve has cold caches and no compiled code yet; it is drawn seldom at
first, and more often as it warms (Envoy, `slow_start.rst`, aggression 1):

    weight * max(0.1, age / window)

Shares are relative to the largest of the version, so replicas that start together share evenly
and nothing is slowed when all are new. Every policy goes by them: those that draw replicas, by
accepting a draw with the probability of the share; `round_robin` by weight; `consistent_hash` by
taking that part of the keys.

Example, window 30 s: 6 s after its start a replica of weight 1 beside warm ones has share 0.2.
"""

from __future__ import annotations

from typing import Final

from router.pool import Version

LEAST: Final = 0.1
"""Envoy, `min_weight_percent`."""


def ramp(age: float, window: float) -> float:
    """The part of its weight that a replica has `age` seconds after it began to serve."""
    return 1.0 if age >= window else max(LEAST, age / window)


def reshare(version: Version, now: float) -> bool:
    """Set the shares at monotonic time `now`; True: some will change with time alone."""
    window = version.pool.entry.balancing.slow_start
    serving = [r for r in version.replicas.values() if r.serving]
    warmest = largest = 0.0
    uneven = ramping = False
    for replica in serving:
        if replica.ready_at < 0.0:
            replica.ready_at = now
        replica.warmth = ramp(now - replica.ready_at, window)
        replica.share = replica.weight * replica.warmth
        ramping = ramping or replica.warmth < 1.0
        warmest = max(warmest, replica.warmth)
        largest = max(largest, replica.share)
    for replica in serving:
        replica.warmth /= warmest
        replica.share /= largest
        uneven = uneven or replica.share < 1.0 or replica.elsewhere > 0.0 or replica.weight != 1.0
    version.uneven = uneven
    return ramping
