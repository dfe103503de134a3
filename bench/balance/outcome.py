"""From single replies to the figures of a run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.stats import percentile

SHED = frozenset({429, 503})
"""Refused by the gateway: no agent of these works answers so."""


class Reply(NamedTuple):
    """What became of one request. Seconds from its scheduled time; status 0: none came."""

    latency: float
    status: int
    agent: str
    """Name of the profile; empty when no agent answered."""
    priority: str


def figures(replies: Sequence[Reply], seconds: float) -> dict[str, float]:
    """Latencies are of good replies, so that failing fast is not taken for being fast.

    `error_rate`: all that were not answered 200, over all; `share_NAME`: requests to that profile,
    over all that reached an agent; `goodput`: good replies a second; `shed_p50`, `shed_p99`: of
    refusals; `p99_NAME`: of good replies of a priority, when there are several.
    """
    good = sorted(reply.latency for reply in replies if reply.status == 200)
    shed = sorted(reply.latency for reply in replies if reply.status in SHED)
    total = len(replies)
    found: dict[str, float] = {
        "requests": float(total),
        "error_rate": 1 - len(good) / total if total else 0.0,
        "goodput": len(good) / seconds,
        "shed_rate": len(shed) / total if total else 0.0,
        **_latencies("", good),
        **_latencies("shed_", shed),
    }
    agents = Counter(reply.agent for reply in replies if reply.agent)
    for name, count in sorted(agents.items()):
        found[f"share_{name}"] = count / agents.total()
    priorities = sorted({reply.priority for reply in replies})
    for name in priorities if len(priorities) > 1 else ():
        theirs = [reply for reply in replies if reply.priority == name]
        well = sorted(reply.latency for reply in theirs if reply.status == 200)
        found[f"served_{name}"] = len(well) / len(theirs)
        found |= {f"{key}_{name}": value for key, value in _latencies("", well).items()}
    return found


def _latencies(prefix: str, ordered: Sequence[float]) -> dict[str, float]:
    if not ordered:
        return {}
    parts: Iterable[tuple[str, float]] = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    return {prefix + name: percentile(ordered, share) for name, share in parts}
