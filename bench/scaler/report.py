"""Tables and pictures of a run of `bench.scaler`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, TypedDict

from bench.scaler.frontier import Point, least_misses
from bench.scaler.plan import OURS, SEARCHED
from bench.scaler.works import Figures
from scaler.simulate.draw import draw_frontier

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "autoscaling.md"
BEGIN: Final = "<!-- begin: python -m bench.scaler --publish -->"
END: Final = "<!-- end: python -m bench.scaler -->"
PEERS: Final = ("apa", "hpa", "kpa", "nomad", "ray")
"""Policies of others that are searched."""

DEAREST: Final = 1.6
"""Times our replica-hours; settings that cost more are not drawn."""

ByPolicy = Mapping[str, dict[str, float]]


class ColdStart(TypedDict):
    """What was found under one cold start."""

    settings: dict[str, dict[str, float | str]]
    traces: dict[str, dict[str, dict[str, Any]]]
    """Fields of `Figures` by trace and policy."""


class Result(TypedDict):
    """A run."""

    date: str
    seconds: int
    quick: bool
    seeds: int
    tried: int
    groups: dict[str, str]
    learned: list[str]
    cold_starts: dict[str, ColdStart]


def text(result: Result) -> str:
    """All tables as Markdown."""
    lines = [
        f"Run {result['date'][:10]} in {result['seconds'] // 60 + 1} minutes: {result['seeds']} "
        f"seeds; {result['tried']} settings tried for each policy, on "
        f"{', '.join(result['learned'])}; every figure below is of the other traces.",
        "",
        *_goals(result),
    ]
    for cold, found in result["cold_starts"].items():
        lines += ["", f"### Replicas start in {cold}"]
        for group in _groups(result):
            traces = _of(result, found, group)
            lines += ["", f"Traces of the group *{group}*:", "", *_means(traces)]
        lines += ["", *_each(found)]
    return "\n".join(lines)


def rewritten(page: str, generated: str) -> str:
    """`page` with the part between the two marks replaced. Raises ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def publish(result: Result) -> None:
    """Write the tables into docs/autoscaling.md, and the pictures beside it."""
    parts = [text(result)]
    for cold, found in result["cold_starts"].items():
        for group in _groups(result):
            name = f"autoscaling-{group}-{cold}.svg"
            title = f"{group} traces, replicas start in {cold}"
            (DOCS / name).write_text(picture(title, _of(result, found, group)))
            parts.append(f"\n![Misses against replica-hours, {title}]({name})")
    PAGE.write_text(rewritten(PAGE.read_text(), "\n".join(parts)))


def picture(title: str, traces: Sequence[ByPolicy]) -> str:
    """Mean misses against mean relative replica-hours: settings of a policy in one colour."""
    points = {
        **{
            policy if policy != OURS else f"{OURS}, other objectives": [
                _placed(traces, name) for name in traces[0] if name.startswith(f"{policy} tuned ")
            ]
            for policy in SEARCHED
        },
        "static": [_placed(traces, "static")],
        "oracle": [_placed(traces, "oracle")],
        f"{OURS} at its defaults": [_placed(traces, OURS)],
    }
    near = {
        name: [one for one in found if one.replica_hours <= DEAREST]
        for name, found in points.items()
    }
    drawn = {name: found for name, found in near.items() if found}
    return draw_frontier(f"{title}: tuned policies", drawn, f"replica-hours, of {OURS}")


def along(traces: Sequence[ByPolicy], policy: str, cost: float = 1.0) -> float | None:
    """Mean misses of a tuned policy at `cost`, relative to ours; None where it costs more."""
    points = [
        (cost_of, misses)
        for name in traces[0]
        if name == policy or name.startswith(f"{policy} tuned ")
        for cost_of, misses in [_point(traces, name)]
    ]
    return least_misses(points, cost)


def _goals(result: Result) -> Iterator[str]:
    """What was to be shown, and what was seen."""
    found = result["cold_starts"]
    yield "| at equal replica-hours | " + " | ".join(f"starts {cold}" for cold in found) + " |"
    yield "|---|" + "---|" * len(found)
    rows: dict[str, list[str]] = {}
    for one in found.values():
        shifting, hour = _of(result, one, "shifting"), _of(result, one, "hour")
        ours = _point(shifting, OURS)[1]
        policy, best = _best_peer(shifting) or ("none", math.inf)
        azure = [f for name, f in one["traces"].items() if name.startswith("azure")]
        flips = [fmean(t[p]["flips_300s"] for t in (*shifting, *hour)) for p in (OURS, "kpa")]
        cells = {
            "shifting: misses of `slo`": _percent(ours),
            "shifting: best tuned peer": f"{policy}: {_percent(best)}",
            "shifting: times as many as `slo`": f"{best / ours:.2f}" if ours else "none missed",
            "Azure: misses of `slo`": _percent(_point(azure, OURS)[1]),
            "Azure: static of equal cost": _percent(_point(azure, "static")[1]),
            "changes of direction, `slo`": f"{flips[0]:.1f}",
            "changes of direction, `kpa`": f"{flips[1]:.1f}",
        }
        for name, cell in cells.items():
            rows.setdefault(name, []).append(cell)
    for name, row in rows.items():
        yield f"| {name} | " + " | ".join(row) + " |"


def _best_peer(traces: Sequence[ByPolicy]) -> tuple[str, float] | None:
    """The one with the fewest misses at our cost; None when all cost more."""
    found = {policy: along(traces, policy) for policy in PEERS}
    within = {policy: misses for policy, misses in found.items() if misses is not None}
    return min(within.items(), key=lambda one: one[1], default=None)


def _means(traces: Sequence[ByPolicy]) -> Iterator[str]:
    yield f"| policy | misses | with the start | replica-hours, of `{OURS}` | starts | flips |"
    yield "|---|---|---|---|---|---|"
    for policy in traces[0]:
        if " tuned " in policy:
            continue
        cost, misses = _point(traces, policy)
        whole = fmean(t[policy]["miss_ratio_whole"] for t in traces)
        starts = fmean(t[policy]["starts"] for t in traces)
        flips = fmean(t[policy]["flips_300s"] for t in traces)
        yield (
            f"| {policy} | {_percent(misses)} ± {100 * _error(traces, policy):.2f} "
            f"| {_percent(whole)} | {cost:.2f} | {starts:.0f} | {flips:.1f} |"
        )
    for policy in SEARCHED:
        if policy != OURS and (tuned := along(traces, policy)) is not None:
            yield f"| {policy} tuned, at equal cost | {_percent(tuned)} | | 1.00 | | |"


def _each(found: ColdStart) -> Iterator[str]:
    """One line a trace: ours, the bounds, and the best setting of a peer for no more cost."""
    yield f"| trace | `{OURS}` | best tuned peer at equal cost | static, equal cost | oracle |"
    yield "|---|---|---|---|---|"
    for name, figures in found["traces"].items():
        best = _best_peer([figures])
        peer = "all cost more" if best is None else f"{best[0]}: {_percent(best[1])}"
        yield (
            f"| {name} | {_cell(figures[OURS])} | {peer} "
            f"| {_percent(figures['static']['miss_ratio'])} | {_cell(figures['oracle'])} |"
        )


def _groups(result: Result) -> list[str]:
    return list(dict.fromkeys(result["groups"].values()))


def _of(result: Result, found: ColdStart, group: str) -> list[ByPolicy]:
    return [f for name, f in found["traces"].items() if result["groups"][name] == group]


def _point(traces: Sequence[ByPolicy], policy: str) -> Point:
    """Mean replica-hours relative to ours, and mean misses."""
    cost = fmean(t[policy]["replica_hours"] / t[OURS]["replica_hours"] for t in traces)
    return cost, fmean(t[policy]["miss_ratio"] for t in traces)


def _placed(traces: Sequence[ByPolicy], policy: str) -> Figures:
    cost, misses = _point(traces, policy)
    return Figures(
        miss_ratio=misses, miss_ratio_whole=misses, replica_hours=cost, starts=0.0, flips_300s=0.0
    )


def _error(traces: Sequence[ByPolicy], policy: str) -> float:
    """The standard error of the mean over traces."""
    shares = [trace[policy]["miss_ratio"] for trace in traces]
    mean = fmean(shares)
    if len(shares) < 2:
        return 0.0
    return math.sqrt(sum((share - mean) ** 2 for share in shares) / (len(shares) - 1) / len(shares))


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share < 0.01 else f"{100 * share:.1f} %"


def _cell(figures: Mapping[str, float]) -> str:
    return f"{_percent(figures['miss_ratio'])} / {figures['replica_hours']:.2f} h"
