"""Fits the sizes of a pool's versions into the pool's bounds. Pure, and without memory.

1. Every version with a weight gets at least one replica when the pool has to have any, or when
   any of it is wanted: a canary must be there before traffic can reach it. Are there more such
   versions than `high`, the heaviest come first.
   A version with a minimum of its own, as a canary has before its weight moves, gets that.
2. Below `low`, replicas are added one by one to the version that lies furthest below its share
   by weight.
3. Above `high`, what is left after step 1 is dealt one by one to the version that lies furthest
   below its share by claim, none beyond what it wants.

Both deal with Webster's method: the next seat goes to the largest `share / (2 * seats + 1)`
(Balinski and Young, Fair Representation, 1982). Unlike the largest remainder it is monotone: a
version that wants more never gets less.

Worked: low 10, weights 95 and 5, nothing wanted: 1 and 1 by step 1, then 95/3 against 5/3, so
the heavy version gets the next eight: 9 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

_ROUNDING: Final = 1e-9


class Share(Struct, frozen=True, kw_only=True):
    """One version's part in its pool."""

    version: str
    weight: int
    wanted: int
    least: int = 0
    """Replicas it has at least, `high` permitting."""
    claim: int
    """What it is measured by when there is not enough for all; at least `wanted` as a rule."""


def allocate(shares: Sequence[Share], *, low: int, high: int) -> dict[str, int]:
    """Sizes by version, their sum within `low`..`high`; 0 <= low <= high.

    Ties go to the version named first. The sum can stay below `low` only if `shares` is empty.
    """
    floors = _floors(shares, low, high)
    sizes = {s.version: max(s.wanted, floors[s.version]) for s in shares}
    total = sum(sizes.values())
    if total < low:
        weights = {s.version: s.weight for s in shares}
        if not any(weights.values()):
            weights = dict.fromkeys(weights, 1)
        return _deal(sizes, low - total, weights, {})
    if total > high:
        claims = {s.version: max(s.claim, s.wanted) for s in shares}
        return _deal(floors, high - sum(floors.values()), claims, sizes)
    return sizes


def _floors(shares: Sequence[Share], low: int, high: int) -> dict[str, int]:
    floors = {share.version: 0 for share in shares}
    if low or any(share.wanted for share in shares):
        weighted = [share for share in shares if share.weight]
        heaviest = sorted(weighted, key=lambda share: -share.weight)[:high]
        floors.update((share.version, 1) for share in heaviest)
    spare = high - sum(floors.values())
    for share in sorted(shares, key=lambda share: -share.weight):
        more = min(spare, max(0, share.least - floors[share.version]))
        floors[share.version] += more
        spare -= more
    return floors


def afford(
    shares: Sequence[Share], sizes: Mapping[str, int], costs: Mapping[str, float], limit: float
) -> dict[str, int]:
    """`sizes` cut down to a cost of `limit`: first one for each version with weight, the heaviest
    first, then by claim as above. `costs` are of one replica, by version.
    """
    bought = dict.fromkeys(sizes, 0)
    left = limit + _ROUNDING
    for share in sorted(shares, key=lambda share: -share.weight):
        name = share.version
        if share.weight and sizes[name] and costs[name] <= left:
            bought[name] = 1
            left -= costs[name]
    claims = {share.version: max(share.claim, share.wanted, 1) for share in shares}
    while open_ := [v for v, n in bought.items() if n < sizes[v] and costs[v] <= left]:
        best = max(open_, key=lambda v: claims[v] / (2 * bought[v] + 1))
        bought[best] += 1
        left -= costs[best]
    return bought


def eased(
    sizes: Mapping[str, int],
    standing: Mapping[str, int],
    leaving: Mapping[str, int],
    costs: Mapping[str, float],
    limit: float,
) -> dict[str, int]:
    """`sizes`, grown from `standing` only into what is free of `limit`: what shrinks or is
    `leaving` is there until it is gone. The smallest grow first.
    """
    grown = {version: min(size, standing[version]) for version, size in sizes.items()}
    left = limit + _ROUNDING
    left -= sum(costs[v] * (number + leaving[v]) for v, number in standing.items())
    while open_ := [v for v, n in grown.items() if n < sizes[v] and costs[v] <= left]:
        least = min(open_, key=lambda v: grown[v])
        grown[least] += 1
        left -= costs[least]
    return grown


def _deal(
    held: Mapping[str, int], seats: int, shares: Mapping[str, int], caps: Mapping[str, int]
) -> dict[str, int]:
    """`held` with `seats` more, by Webster's method; a version not in `caps` has no cap."""
    sizes = dict(held)
    for _ in range(seats):
        open_ = [v for v, size in sizes.items() if v not in caps or size < caps[v]]
        if not open_:
            break
        best = max(open_, key=lambda v: shares[v] / (2 * sizes[v] + 1))
        sizes[best] += 1
    return sizes
