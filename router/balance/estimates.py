"""What the policies that learn from latency share: how a failure counts."""

from __future__ import annotations

from math import log
from typing import Final

PENALTY: Final = 5.0
"""Seconds that a failure counts as (linkerd2-proxy, `load-biaser`)."""

PENALTY_FACTOR: Final = 10.0
"""A failure counts as at least so many usual replies: where an agent thinks for a minute, 5 s would
be a reward for failing."""

MAX_PENALTY: Final = 300.0
"""Seconds that a `Retry-After` may ask for (linkerd2-proxy, `load-biaser`)."""

SMOOTHING: Final = 0.05
"""Weight of a new reply in what is usual."""


class Usual:
    """How long replies of a version usually take, exponentially weighted."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0
        """0.0 before the first reply."""

    def add(self, seconds: float) -> None:
        """One more reply took `seconds`."""
        if self.seconds:
            self.seconds += SMOOTHING * (seconds - self.seconds)
        else:
            self.seconds = seconds

    def penalty(self, retry_after: float) -> float:
        """Seconds that a failure counts as, when the replica asked for `retry_after` (0: not)."""
        return max(PENALTY, PENALTY_FACTOR * self.seconds, min(retry_after, MAX_PENALTY))

    def fading(self, penalty: float, decay: float) -> float:
        """Seconds until a failure that counts as `penalty` has faded to a usual reply.

        So long its replica is passed over while there is another: it has nothing in flight, and
        beside busy ones no penalty would be large enough. For 5 s, usually 0.1 s and a decay of
        10 s: 39 s.
        """
        return decay * log(penalty / (self.seconds or 1.0))
