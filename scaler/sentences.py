"""What people read of a decision: which way, and one sentence that tells why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.model import Direction
from scaler.guardrails import Limit


def direction_of(present: int, size: int) -> Direction:
    """Which way `size` lies from the present one."""
    if size == present:
        return Direction.HOLD
    return Direction.UP if size > present else Direction.DOWN


def sentence(present: int, wanted: int, size: int, reason: str, limits: Sequence[Limit]) -> str:
    """From `present` replicas and the policy's wish with its `reason` to `size`, by `limits`."""
    way = direction_of(present, size)
    head = f"hold {size}" if size == present else f"{way} {present} -> {size}"
    if wanted == size:
        return f"{head}: {reason}"
    guards = " and ".join(map(str, limits))
    if size == present:
        return f"{head}: wanted {wanted}, kept by {guards}"
    if min(present, wanted) < size < max(present, wanted):
        return f"{head}: {reason}, limited by {guards}"
    return f"{head}: wanted {wanted}, set by {guards}"
