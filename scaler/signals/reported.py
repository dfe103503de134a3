"""What the replicas of a version report of their own load, as one input. Pure."""

from __future__ import annotations

from msgspec import Struct

from scaler.signals.standing import Measured


class Reports(Struct, frozen=True, kw_only=True):
    """Of the ready replicas of a version."""

    ready: int
    loads: tuple[tuple[float, float], ...] = ()
    """The latest load of each that ever answered, with its age in seconds."""


def summed(reports: Reports, name: str, per_replica: float, stale: float) -> Measured:
    """The load of a version, by the replicas heard within `stale` seconds.

    One that is not heard counts as on its target while the rest asks for less than there is, and
    as idle when the rest asks for more, as pods without metrics do for HPA. None heard: lost.
    """
    fresh = [load for load, age in reports.loads if age <= stale]
    if not reports.ready:
        return Measured(name=name, value=None, target=per_replica)
    if not fresh:
        plural = "" if reports.ready == 1 else "s"
        error = f"{reports.ready} ready replica{plural}, and none says its load"
        return Measured(name=name, value=None, target=per_replica, error=error)
    known = sum(fresh)
    assumed = known + max(0, reports.ready - len(fresh)) * per_replica
    value = max(known, min(assumed, reports.ready * per_replica))
    return Measured(name=name, value=value, target=per_replica)
