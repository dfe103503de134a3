"""The weighted split over the versions of a pool: exact in sequence, stable by session.

Without a session key, versions follow a fixed cycle: the one that smooth weighted round robin
(nginx, `ngx_http_upstream_round_robin.c`) walks through, reduced by the weights' common divisor.
Any whole number of cycles is exact; weights that add up to 100 are exact in any 100 requests in
a row.

With a session key, weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted
Distributed Hash Tables", SPAA 2005) gives each version the score `-weight / ln(u)`, with `u` in
(0, 1) from a hash of key and version; the largest wins. It has no state, so every worker and
every restart agree, and raising one weight moves only sessions to that version: no other score
changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from hashlib import blake2b

MAX_CYCLE = 10_000
"""Longest cycle kept, which takes some 5 ms to make; weights with a larger sum are scaled down to
it, with an error of about 1/MAX_CYCLE in a version's share."""


def reduced(weights: Sequence[int]) -> list[int]:
    """The smallest whole numbers in the same proportion (all >= 0, at least one > 0)."""
    divisor = reduce(math.gcd, weights)
    small = [w // divisor for w in weights]
    total = sum(small)
    if total > MAX_CYCLE:
        small = [max(1, round(w * MAX_CYCLE / total)) if w else 0 for w in small]
    return small


def smooth_cycle(weights: Sequence[int]) -> list[int]:
    """One cycle of indexes into `weights`, each as often as its reduced weight, evenly spread.

    For 5, 1, 1: a a b a c a a (0 0 1 0 2 0 0), the classic example.
    """
    small = reduced(weights)
    total = sum(small)
    current = [0] * len(small)
    cycle = []
    for _ in range(total):
        for i, w in enumerate(small):
            current[i] += w
        best = max(range(len(small)), key=current.__getitem__)
        current[best] -= total
        cycle.append(best)
    return cycle


class Split:
    """Chooses a version index for each request. Immutable but for its place in the cycle."""

    __slots__ = ("_cycle", "_keys", "_next", "names", "weights")

    def __init__(self, names: Sequence[str], weights: Sequence[int]) -> None:
        self.weights = tuple(weights)
        self.names = tuple(names)
        self._keys = [name.encode() for name in names]
        self._cycle = smooth_cycle(weights) if any(weights) else []
        self._next = 0

    def next(self) -> int:
        """Index of the next request's version. Raises IndexError when all weights are 0."""
        cycle = self._cycle
        i = self._next
        self._next = i + 1 if i + 1 < len(cycle) else 0
        return cycle[i]

    def of_session(self, key: bytes) -> int:
        """Index of the version that holds this session. Raises IndexError as `next`."""
        best = -1
        best_score = 0.0
        for i, weight in enumerate(self.weights):
            if weight == 0:
                continue
            digest = blake2b(key, digest_size=8, key=self._keys[i]).digest()
            u = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2.0**52  # exact, so never 1.0
            score = weight / -math.log(u)
            if score > best_score:
                best, best_score = i, score
        if best < 0:
            raise IndexError("all weights are 0")
        return best
