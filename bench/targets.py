"""What is to be reached, and whether one run reached it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.report import Result, figures, ratio_to_base
from bench.stats import ratio

OURS = "headrace"


@dataclass(frozen=True)
class Target:
    """`measured` gives None when the run does not tell; reached when at most `limit`."""

    title: str
    limit: float
    unit: str
    measured: Callable[[Result], float | None]


def _to_peer(work: str, peer: str) -> Callable[[Result], float | None]:
    def measured(result: Result) -> float | None:
        ours, theirs = (figures(result, work, name, "cpu") for name in (OURS, peer))
        found = ratio(ours, theirs)
        return None if found is None else found.median

    return measured


def _to_base(work: str) -> Callable[[Result], float | None]:
    def measured(result: Result) -> float | None:
        found = ratio_to_base(result, work, OURS, "cpu")
        return None if found is None else found.median

    return measured


def _figure(work: str, figure: str, scale: float) -> Callable[[Result], float | None]:
    def measured(result: Result) -> float | None:
        values = figures(result, work, OURS, figure)
        return median(values) * scale if values else None

    return measured


def _growth(work: str, least: str, most: str) -> Callable[[Result], float | None]:
    def measured(result: Result) -> float | None:
        found = ratio(
            figures(result, work, most, "cpu_plane"), figures(result, work, least, "cpu_plane")
        )
        return None if found is None else found.median

    return measured


LONG_SOAK = 500.0
"""Seconds: what grows in a shorter run may be caches that fill."""


def _grown(process: str) -> Callable[[Result], float | None]:
    """The growth that is certain: the low end of the slope's interval, in KiB a minute."""

    def measured(result: Result) -> float | None:
        if not any(s >= LONG_SOAK for s in figures(result, "soak", OURS, "seconds")):
            return None
        return median(figures(result, "soak", OURS, f"slope_{process}_low")) * 60 / 1024

    return measured


TARGETS = (
    Target("small POST: CPU per request, to HAProxy's", 2.0, "×", _to_base("small")),
    Target("small POST: CPU per request, to Envoy's", 0.5, "×", _to_peer("small", "envoy")),
    Target(
        "small POST: CPU per request, to vllm-router's",
        1 / 3,
        "×",
        _to_peer("small", "vllm-router"),
    ),
    Target(
        "small POST: CPU per request, to sglang-router's",
        1 / 3,
        "×",
        _to_peer("small", "sglang-router"),
    ),
    Target("event streams: CPU per event, to HAProxy's", 2.0, "×", _to_base("sse-200")),
    Target("event streams: CPU per event, to Envoy's", 1.0, "×", _to_peer("sse-200", "envoy")),
    Target(
        "event streams: CPU per event, to vllm-router's",
        1.0,
        "×",
        _to_peer("sse-200", "vllm-router"),
    ),
    Target(
        "event streams: CPU per event, to sglang-router's",
        1.0,
        "×",
        _to_peer("sse-200", "sglang-router"),
    ),
    Target("added p99 at 50 % of its own saturation", 1.0, "ms", _figure("half", "added_p99", 1e3)),
    Target("idle connection: growth of RSS", 6.0, "KiB", _figure("idle", "bytes_each", 1 / 1024)),
    Target("idle daemon: RSS of all processes", 150.0, "MiB", _figure("startup", "rss", 2.0**-20)),
    Target("start to first reply, static pools", 1.5, "s", _figure("startup", "seconds", 1.0)),
    Target("cost per request, 1,000 replicas to 1", 1.1, "×", _growth("replicas", "1", "1000")),
    Target("cost per request, 1,000 routes to 10", 1.1, "×", _growth("routes", "10", "1000")),
    Target("long mixed work: certain growth of the worker", 0.0, "KiB/min", _grown("worker")),
    Target("long mixed work: certain growth of control", 0.0, "KiB/min", _grown("control")),
)


def lines(result: Result, targets: Sequence[Target] = TARGETS) -> Iterator[str]:
    """As a Markdown table."""
    yield "| target | at most | measured | |"
    yield "|---|---:|---:|---|"
    for target in targets:
        value = target.measured(result)
        if value is None:
            shown, verdict = "", "not measured"
        else:
            shown = f"{value:.2f} {target.unit}"
            verdict = "reached" if value <= target.limit else "**missed**"
        yield f"| {target.title} | {target.limit:.2f} {target.unit} | {shown} | {verdict} |"
