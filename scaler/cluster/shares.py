"""How many replicas of a version each member runs: decided here, purely.

The leader decides one size for the whole cluster; each member's own driver runs its share. Moving
a replica costs a start and a stop, so shares follow the traffic slowly:

1. What a member has it keeps. More are dealt, and fewer are taken, one by one by Webster's method
   (the next seat to the largest `weight / (2 * seats + 1)`, the next loss to the smallest
   `weight / (2 * seats - 1)`; Balinski and Young, Fair Representation, 1982), by demand + 1: the
   one makes idle members equal.
2. A member with clients but without a replica gets one from the member with the most to spare: a
   gateway sends only to replicas of its own host.
3. When allowed to, one replica moves, if its worth where it goes is MOVED_FOR times that where it
   comes from.

Worked: 4 replicas, a has 3 with demand 1 and b has 1 with demand 9. Worth to b 10 / 3 = 3.3, to a
2 / 5 = 0.4: one moves. With 2 and 2 it is 10 / 5 = 2 to 2 / 3 = 0.7: another one. With 1 and 3
it is 10 / 7 = 1.4 to 2 / 1 = 2: they stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

MOVED_FOR: Final = 1.5
"""How much more a replica must be worth elsewhere to be moved there."""


class Part(Struct, frozen=True, kw_only=True):
    """One member's side of a version."""

    member: str
    held: int
    """Replicas it has, or was last asked to have."""
    demand: float
    """Requests in flight or queued, falling slowly."""
    busy: bool
    """It has had some lately."""


def split(total: int, parts: Sequence[Part], *, high: int, move: bool) -> dict[str, int]:
    """Shares by member, their sum `total`, or up to `high` if more members than that are busy.

    `move` allows step 3. Ties go to the member named first; total and high >= 0.
    """
    if not parts:
        return {}
    if total > 0:
        total = max(total, min(sum(part.busy for part in parts), high))
    weights = {part.member: part.demand + 1 for part in parts}
    sizes = {part.member: part.held for part in parts}
    busy = {part.member for part in parts if part.busy}

    def worth(member: str, size: int) -> float:
        return weights[member] / (2 * size - 1)

    def receiver() -> str:
        return max(sizes, key=lambda m: (m in busy and not sizes[m], worth(m, sizes[m] + 1)))

    def giver() -> str:
        held = [m for m in sizes if sizes[m]]
        return min(reversed(held), key=lambda m: (not spare(m), worth(m, sizes[m])))

    def spare(member: str) -> bool:
        return sizes[member] > 1 or member not in busy

    while sum(sizes.values()) < total:
        sizes[receiver()] += 1
    while sum(sizes.values()) > total:
        sizes[giver()] -= 1
    if total == 0:
        return sizes
    for member in [m for m in sizes if m in busy and not sizes[m]]:
        if spare(rich := giver()):
            sizes[rich] -= 1
            sizes[member] += 1
    source, to = giver(), receiver()
    gained, lost = worth(to, sizes[to] + 1), worth(source, sizes[source])
    if move and spare(source) and to != source and gained > MOVED_FOR * lost:
        sizes[to] += 1
        sizes[source] -= 1
    return sizes


def alone(decided: Mapping[str, int], share: Mapping[str, int] | None, room: int) -> dict[str, int]:
    """Sizes by version for a member that hears nobody: never below its share, and at most `room`
    replicas above it, so that all members together stay within the pool's maximum.

    Without a share (it never heard a plan) it is what was decided.
    """
    if share is None:
        return dict(decided)
    sizes = {}
    for version, wanted in decided.items():
        kept = share.get(version, 0)
        grown = min(max(0, wanted - kept), room)
        room -= grown
        sizes[version] = kept + grown
    return sizes
