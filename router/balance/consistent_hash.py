"""Consistent hashing with bounded loads: a key stays on its replica while that is not overloaded.

Each replica has POINTS places on a ring, times its weight, from hashes of its name; a key belongs
to the first place at or after its own hash. A replica that comes takes only the keys that fall to
its places, one that goes leaves only its own: of n replicas, about 1/n of the keys move (Karger
and others, STOC 1997). Names are the same in every worker and after a restart, so all agree.

No replica holds more than `factor` times its part of what is in flight:

    capacity = ceil(factor * (in flight + 1) * room / room of all usable replicas)

and a key whose replica is at its capacity, full or away goes on along the ring (Mirrokni, Thorup,
Zadimoghaddam, "Consistent Hashing with Bounded Loads", arXiv 1608.01350; HAProxy,
`hash-balance-factor`). `room` is slots times weight. When nobody along the way is within its
capacity, the first that is free takes the key.

Example, factor 1.25, 4 equal replicas, 9 requests in flight: capacity = ceil(1.25 * 10 / 4) = 4.

In a slow start a replica takes the part of its keys whose second hash is below its warmth, so the
keys come over one by one as it warms, and none comes twice. Requests without a key are balanced
by another policy.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING, Final

from router.pool import Replica, Version

if TYPE_CHECKING:
    from router.balance import Balancer

POINTS: Final = 104
"""Places of a replica of weight 1, eight from each digest: keys spread with a deviation of about
a tenth. 1000 replicas take some 30 ms to place, once for each."""

MAX_STEPS: Final = 256
"""Places looked at before the other policy takes over: a walk past very many full replicas would
cost milliseconds."""

_TOP: Final = float(1 << 64)


class ConsistentHash:
    """See the module. `otherwise` takes requests without a key."""

    __slots__ = ("_factor", "_hashes", "_of_replica", "_otherwise", "_replicas", "_seen")

    def __init__(self, otherwise: Balancer, factor: float = 1.25) -> None:
        self._otherwise = otherwise
        self._factor = factor
        self._seen: dict[str, Replica] | None = None
        self._of_replica: dict[Replica, tuple[float, list[int]]] = {}
        """Weight and places."""
        self._hashes: list[int] = []
        self._replicas: list[Replica] = []

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        if key is None:
            return self._otherwise.pick(version, None)
        if self._seen is not version.replicas:
            self._seen = version.replicas
            self._place(version)
        digest = blake2b(key, digest_size=16).digest()
        at = bisect_left(self._hashes, int.from_bytes(digest[:8], "big"))
        needed = int.from_bytes(digest[8:], "big") / _TOP
        replicas = self._replicas
        around = len(replicas)
        bound = self._factor * (version.in_flight + 1) / (version.room or 1.0)
        first: Replica | None = None
        for step in range(min(around, MAX_STEPS)):
            replica = replicas[(at + step) % around]
            if replica.place < 0:
                continue
            if first is None:
                first = replica
            if replica.load + 1 <= ceil(bound * replica.room) and needed < replica.warmth:
                return replica
        return first or self._otherwise.pick(version, None)

    def _place(self, version: Version) -> None:
        before, self._of_replica = self._of_replica, {}
        for replica in version.replicas.values():
            known = before.get(replica)
            if known is None or known[0] != replica.weight:
                known = replica.weight, _places(replica.name, replica.weight)
            self._of_replica[replica] = known
        ring = sorted(
            (
                (place, replica.name, replica)
                for replica, (_, of_it) in self._of_replica.items()
                for place in of_it
            ),
            key=lambda point: point[:2],
        )
        self._hashes = [place for place, _, _ in ring]
        self._replicas = [replica for _, _, replica in ring]


def _places(name: str, weight: float) -> list[int]:
    places: list[int] = []
    for number in range(max(1, round(weight * POINTS / 8))):
        digest = blake2b(name.encode(), salt=number.to_bytes(16, "big")).digest()
        places += [int.from_bytes(digest[i : i + 8], "big") for i in range(0, 64, 8)]
    return places
