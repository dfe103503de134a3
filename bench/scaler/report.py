"""Tables and pictures of a run of `bench.scaler`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any, Final, TypedDict

from scaler.simulate.draw import draw_frontier
from scaler.simulate.summary import Summary

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "autoscaling.md"
BEGIN: Final = "<!-- begin: python -m bench.scaler --publish -->"
END: Final = "<!-- end: python -m bench.scaler -->"


class ColdStart(TypedDict):
    """What was found under one cold start."""

    settings: dict[str, dict[str, float | str]]
    traces: dict[str, dict[str, dict[str, Any]]]
    """Figures by trace and policy, as `headrace simulate --json` names them."""


class Result(TypedDict):
    """A run."""

    date: str
    seconds: int
    quick: bool
    seeds: int
    points: int
    ours: str
    groups: dict[str, str]
    learned: list[str]
    cold_starts: dict[str, ColdStart]


def text(result: Result) -> str:
    """All tables as Markdown."""
    lines = [
        f"Run {result['date'][:10]} in {result['seconds'] // 60 + 1} minutes: {result['seeds']} "
        f"seeds; {result['points']} settings tried for each policy, on "
        f"{', '.join(result['learned'])}; means below are over the other traces.",
    ]
    for cold, found in result["cold_starts"].items():
        lines += ["", f"### Replicas start in {cold}"]
        for group in dict.fromkeys(result["groups"].values()):
            lines += ["", f"Traces of the group *{group}*:", "", *_means(result, found, group)]
        lines += ["", *_each(result, found)]
    return "\n".join(lines)


def rewritten(page: str, generated: str) -> str:
    """`page` with the part between the two marks replaced. Raises ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def publish(result: Result) -> None:
    """Write the tables into docs/autoscaling.md, and a picture for each cold start beside it."""
    parts = [text(result)]
    for cold, found in result["cold_starts"].items():
        name = f"autoscaling-{cold}.svg"
        (DOCS / name).write_text(picture(result, cold, found))
        parts.append(f"\n![Misses against replica-hours, replicas start in {cold}]({name})")
    PAGE.write_text(rewritten(PAGE.read_text(), "\n".join(parts)))


def picture(result: Result, cold: str, found: ColdStart) -> str:
    """Mean misses against all replica-hours, over the traces reported on."""
    traces = [f for name, f in found["traces"].items() if name not in result["learned"]]
    points = {}
    for policy in traces[0]:
        figures = [Summary(**by_policy[policy]) for by_policy in traces]
        total = sum(one.replica_hours for one in figures)
        mean = fmean(one.miss_ratio for one in figures)
        points[policy] = [_merged(figures[0], total, mean)]
    return draw_frontier(f"replicas start in {cold}: mean misses, all replica-hours", points)


def _merged(like: Summary, hours: float, misses: float) -> Summary:
    fields = {name: getattr(like, name) for name in like.__struct_fields__}
    return Summary(**{**fields, "replica_hours": hours, "miss_ratio": misses})


def _means(result: Result, found: ColdStart, group: str) -> Iterator[str]:
    names = [
        name
        for name in found["traces"]
        if result["groups"][name] == group and name not in result["learned"]
    ]
    traces = [found["traces"][name] for name in names]
    ours = result["ours"]
    yield f"| policy | misses | replica-hours, of `{ours}` | starts | flips |"
    yield "|---|---|---|---|---|"
    for policy in traces[0]:
        misses, spread = _misses(traces, policy)
        cost = fmean(t[policy]["replica_hours"] / t[ours]["replica_hours"] for t in traces)
        starts = fmean(t[policy]["starts"] for t in traces)
        flips = fmean(t[policy]["flips_300s"] for t in traces)
        yield (
            f"| {policy} | {misses:.2f} % ± {spread:.2f} | {cost:.2f} "
            f"| {starts:.0f} | {flips:.1f} |"
        )


def _misses(traces: list[dict[str, dict[str, Any]]], policy: str) -> tuple[float, float]:
    """Mean and standard error over traces, in percent."""
    shares = [100 * trace[policy]["miss_ratio"] for trace in traces]
    mean = fmean(shares)
    if len(shares) < 2:
        return mean, 0.0
    variance = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1)
    return mean, sqrt(variance / len(shares))


def _each(result: Result, found: ColdStart) -> Iterator[str]:
    """One line a trace: misses and replica-hours of ours, the best other one, and the bounds."""
    ours = result["ours"]
    yield f"| trace | `{ours}` | best tuned other at no more cost | static, equal cost | oracle |"
    yield "|---|---|---|---|---|"
    for name, figures in found["traces"].items():
        mark = " (learned on)" if name in result["learned"] else ""
        yield (
            f"| {name}{mark} | {_cell(figures[ours])} | {_best(figures, ours)} "
            f"| {_cell(figures['static'])} | {_cell(figures['oracle'])} |"
        )


def _best(figures: Mapping[str, dict[str, Any]], ours: str) -> str:
    limit = 1.02 * figures[ours]["replica_hours"]
    within = {
        policy: f
        for policy, f in figures.items()
        if policy.endswith(" tuned") and f["replica_hours"] <= limit
    }
    if not within:
        return "none"
    policy = min(within, key=lambda name: within[name]["miss_ratio"])
    return f"{policy.removesuffix(' tuned')}: {_cell(within[policy])}"


def _cell(figures: Mapping[str, Any]) -> str:
    return f"{100 * figures['miss_ratio']:.2f} % / {figures['replica_hours']:.2f} h"
