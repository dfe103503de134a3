"""Peak EWMA: power of two choices on expected waiting, wary of every slow reply.

Each replica has a cost in seconds, from its times to first byte. A sample above the cost becomes
the cost at once; one below moves it by the share that the time since the last sample gives:

    w = exp(-dt / decay);  cost = sample if sample > cost else cost * w + sample * (1 - w)

Of two replicas drawn, the lower `cost * (load + 1) / weight` wins, with the cost decayed to now.
So one slow reply is enough to turn traffic away, and time brings it back. A failure counts as a
very slow reply (see `router.balance.estimates`), and until that has faded to a usual one its
replica wins against none that does not fail, so that failing fast is never taken for speed. A
replica of which nothing is known, or nothing recent, gets one request to be known by:
with one in flight it counts as very costly.

Sources: Finagle, `PeakEwma.scala`; linkerd2-proxy, `load-biaser/src/lib.rs`.

Example, decay 10 s: a replies in 0.1 s, then once in 2 s: its cost is 2 at once. With 1 request
in flight each, b of cost 0.3 has load 0.6 and a has 4.0, so b wins. 19 s later a's cost has come
down to 2 * exp(-1.9) = 0.3.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Final

from router.balance import draw
from router.balance.estimates import Usual
from router.pool import Replica, Version

FORGOTTEN: Final = 4.0
"""Decays after which a cost says nothing more: it has come down to 2 %."""

UNKNOWN: Final = 1e6
"""Load of a replica not known yet while its first request is on its way."""

FAILING: Final = 1e9
"""Load of a replica whose failure has not faded yet."""


class _Cost:
    __slots__ = ("at", "forgiven_at", "seconds")

    def __init__(self, seconds: float, at: float) -> None:
        self.seconds = seconds
        self.at = at
        self.forgiven_at = 0.0


class PeakEwma:
    """See the module. `decay` in seconds; `rand()` gives floats in [0, 1), `clock()` seconds."""

    __slots__ = ("_clock", "_costs", "_decay", "_rand", "_seen", "_usual")

    def __init__(self, decay: float, rand: draw.Random, clock: Callable[[], float]) -> None:
        self._decay = decay
        self._rand = rand
        self._clock = clock
        self._costs: dict[Replica, _Cost] = {}
        self._usual = Usual()
        self._seen: dict[str, Replica] | None = None

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        if self._seen is not version.replicas:
            self._seen = version.replicas
            present = set(version.replicas.values())
            self._costs = {r: cost for r, cost in self._costs.items() if r in present}
        free = version.free
        if len(free) == 1:
            return free[0]
        a, b = draw.two(version, self._rand)
        now = self._clock()
        load_a, load_b = self.load(a, now), self.load(b, now)
        if load_a >= FAILING or load_b >= FAILING:
            # else whoever is drawn beside it would win for nothing
            c = draw.one(version, self._rand)
            if load_a >= FAILING:
                a, load_a = c, self.load(c, now)
            else:
                b, load_b = c, self.load(c, now)
        return a if load_a <= load_b else b

    def load(self, replica: Replica, now: float) -> float:
        """Seconds of waiting to expect of it, up to a factor; to be compared."""
        cost = self._costs.get(replica)
        if cost is None or now - max(cost.at, cost.forgiven_at) > FORGOTTEN * self._decay:
            return UNKNOWN + replica.load if replica.in_flight else 0.0
        if cost.forgiven_at > now:
            return FAILING + replica.load
        decayed = cost.seconds * exp((cost.at - now) / self._decay)
        return decayed * (replica.load + 1.0) / replica.weight

    def replied(self, replica: Replica, seconds: float) -> None:
        """See `router.balance.Learner`."""
        self._usual.add(seconds)
        self._sample(replica, seconds)

    def silent(self, replica: Replica, seconds: float) -> None:
        """See `router.balance.Learner`."""
        cost = self._costs.get(replica)
        if cost is None or seconds > cost.seconds * exp((cost.at - self._clock()) / self._decay):
            self._sample(replica, seconds)

    def failed(self, replica: Replica, retry_after: float) -> None:
        """See `router.balance.Learner`."""
        penalty = self._usual.penalty(retry_after)
        cost = self._sample(replica, penalty)
        fading = self._usual.fading(penalty, self._decay)
        cost.forgiven_at = max(cost.forgiven_at, cost.at + fading)

    def _sample(self, replica: Replica, seconds: float) -> _Cost:
        now = self._clock()
        cost = self._costs.get(replica)
        if cost is None:
            cost = self._costs[replica] = _Cost(seconds, now)
            return cost
        if seconds > cost.seconds:
            cost.seconds = seconds
        else:
            w = exp((cost.at - now) / self._decay)
            cost.seconds = cost.seconds * w + seconds * (1.0 - w)
        cost.at = now
        return cost
