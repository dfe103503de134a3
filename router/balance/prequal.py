"""Prequal: the fastest of those that are not the busiest.

Of each candidate two things are known: its requests in flight (RIF), and how long its replies
take at about that many. The hot-cold rule is lexicographic:

    theta = the 2^-0.25 (about 0.84) quantile of the candidates' RIF
    cold (RIF <= theta): the one with the least latency
    all hot: the one with the least RIF

So latency steers while nobody is overloaded, and a fast replica is left alone before it drowns.
Source: Wydrowski, Kleinberg, Rumble, Archer, "Load is not what you should balance: Introducing
Prequal", NSDI 2024 (arXiv 2312.10172).

What differs from the paper, and why. There, each client knows little of the servers and probes
them; here the gateway sends all of a version's requests, so its own counts are the probes: exact,
without age, without a round trip. What others send to the replica comes in by its reported load.
The candidates are all free replicas of the version up to POOL, the size of the paper's pool, and
POOL of them drawn at random in larger versions. Each pick counts in the RIF at once, so there is
no herd to be broken up by removing probes.

Latency is the median of the latest replies that began at about the present RIF, by powers of two:
0, 1, 2 to 3, 4 to 7 and so on; without any there, of the nearest such class. It is the time to
first byte. A failure counts as a very slow reply that fades with time (`estimates`); until it has
come down to the usual latency its replica is no candidate beside others, since one that fails fast
is otherwise both the fastest and the least busy: the paper calls that sinkholing. A replica of
which nothing is known gets one request to be known by, and so does one that stood idle for UNSEEN
of its turns: the paper's probes would see that it has become fast. Of two replicas theta is the
lesser RIF, so the less busy one wins and latency decides between equals.

Example: RIF 1, 3, 2, 9 and latencies 80, 40, 60, 10 ms. theta is the value at index
floor(0.84 * 3) = 2 of 1, 2, 3, 9, so 3: the last is hot, and the second wins with 40 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from router.balance import draw
from router.balance.estimates import Usual
from router.pool import Replica, Version

POOL: Final = 16
"""Candidates looked at."""

RIF_QUANTILE: Final = 2**-0.25

SAMPLES: Final = 7
"""Replies whose median is the latency at one class of RIF."""

UNSEEN: Final = 30
"""Turns, of one pick for each replica, after which one that got none is tried again."""

LEAST_UNSEEN: Final = 300
"""Picks that make up those turns at least: what the slow cost the tail is a third of a percent."""

FORGOTTEN: Final = 4.0
"""Decays without a reply after which a replica's latency says nothing more."""


class _Known:
    """Latencies of one replica by class of RIF, and when its failures are forgiven."""

    __slots__ = ("_medians", "_samples", "at", "forgiven_at", "picked")

    def __init__(self) -> None:
        self._samples: dict[int, deque[float]] = {}
        self._medians: dict[int, float] = {}
        self.at = -inf
        """Time of the latest reply."""
        self.forgiven_at = 0.0
        self.picked = 0
        """Number of the latest pick that fell on it."""

    def add(self, rif: int, seconds: float, now: float) -> None:
        kind = rif.bit_length()
        samples = self._samples.get(kind)
        if samples is None:
            samples = self._samples[kind] = deque(maxlen=SAMPLES)
        samples.append(seconds)
        self._medians[kind] = sorted(samples)[(len(samples) - 1) // 2]
        self.at = now

    def latency(self, rif: int) -> float:
        """Seconds at about `rif` requests in flight; there must have been a reply."""
        medians = self._medians
        kind = rif.bit_length()
        found = medians.get(kind)
        if found is not None:
            return found
        return medians[min(medians, key=lambda other: abs(other - kind))]


class Prequal:
    """See the module. `decay` in seconds; `rand()` gives floats in [0, 1), `clock()` seconds."""

    __slots__ = (
        "_clock",
        "_decay",
        "_forgiven_at",
        "_known",
        "_picks",
        "_rand",
        "_seen",
        "_unseen",
        "_usual",
    )

    def __init__(self, decay: float, rand: draw.Random, clock: Callable[[], float]) -> None:
        self._decay = decay
        self._rand = rand
        self._clock = clock
        self._known: dict[Replica, _Known] = {}
        self._usual = Usual()
        self._picks = 0
        self._unseen = LEAST_UNSEEN
        self._forgiven_at = 0.0
        """Time by which every failure so far is forgiven."""
        self._seen: dict[str, Replica] | None = None

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        if self._seen is not version.replicas:
            self._seen = version.replicas
            present = set(version.replicas.values())
            self._known = {r: known for r, known in self._known.items() if r in present}
            self._unseen = max(LEAST_UNSEEN, UNSEEN * len(present))
        if len(version.free) == 1:
            return version.free[0]
        now = self._clock()
        candidates = self._candidates(version)
        if now < self._forgiven_at:
            candidates = self._sound(candidates, now)
        rifs = [replica.load / replica.weight for replica in candidates]
        theta = sorted(rifs)[int(RIF_QUANTILE * (len(rifs) - 1))]
        _, _, best = min(
            (self.latency(replica, now), rif, i)
            for i, (replica, rif) in enumerate(zip(candidates, rifs, strict=True))
            if rif <= theta
        )
        picked = candidates[best]
        self._picks += 1
        if (of_picked := self._known.get(picked)) is not None:
            of_picked.picked = self._picks
        return picked

    def latency(self, replica: Replica, now: float) -> float:
        """Seconds to its first byte that a request sent now must expect."""
        known = self._known.get(replica)
        if known is None or now - known.at > FORGOTTEN * self._decay:
            return self._usual.seconds if replica.in_flight else 0.0
        if not replica.in_flight and self._picks - known.picked > self._unseen:
            return 0.0
        return known.latency(int(replica.load))

    def replied(self, replica: Replica, seconds: float) -> None:
        """See `router.balance.Learner`."""
        self._usual.add(seconds)
        # its own request is among those in flight
        self._of(replica).add(max(0, int(replica.load) - 1), seconds, self._clock())

    def silent(self, replica: Replica, seconds: float) -> None:
        """See `router.balance.Learner`."""
        now = self._clock()
        if seconds > self.latency(replica, now):
            self._of(replica).add(max(0, int(replica.load) - 1), seconds, now)

    def failed(self, replica: Replica, retry_after: float) -> None:
        """See `router.balance.Learner`."""
        fading = self._usual.fading(self._usual.penalty(retry_after), self._decay)
        known = self._of(replica)
        known.forgiven_at = max(known.forgiven_at, self._clock() + fading)
        self._forgiven_at = max(self._forgiven_at, known.forgiven_at)

    def _sound(self, candidates: list[Replica], now: float) -> list[Replica]:
        """Those whose failures, if any, are forgiven; all when there are none."""
        known = self._known
        sound = [r for r in candidates if r not in known or known[r].forgiven_at <= now]
        return sound or candidates

    def _candidates(self, version: Version) -> list[Replica]:
        free = version.free
        rand = self._rand
        if len(free) > POOL:
            # drawn with replacement: a twin changes nothing but the quantile, and that hardly
            return [draw.one(version, rand) for _ in range(POOL)]
        # from a random place, so that ties fall on everyone in turn
        start = int(rand() * len(free))
        ordered = free[start:] + free[:start]
        if not version.uneven:
            return ordered
        return [r for r in ordered if rand() < r.share] or [draw.one(version, rand)]

    def _of(self, replica: Replica) -> _Known:
        known = self._known.get(replica)
        if known is None:
            known = self._known[replica] = _Known()
            known.picked = self._picks
        return known
