"""Tables and targets of the balance works. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from bench import report, targets
from bench.report import Column, Result, Table, figures, peers_of
from bench.stats import ratio
from bench.targets import Target

ROUND_ROBIN = "headrace round_robin"

_LATENCIES = (
    Column("p99", "p99 ms", 1e3, 0),
    Column("p50", "p50 ms", 1e3, 0),
    Column("p999", "p99.9 ms", 1e3, 0),
)
_SHARES = (
    Column("error_rate", "errors %", 100, 2),
    Column("share_failing", "to failing %", 100, 2),
    Column("share_slow", "to slow %", 100, 2),
    Column("share_pausing", "to pausing %", 100, 2),
)

TABLES = (
    Table(
        "live",
        "Live: 8 unequal agents",
        (*_LATENCIES, *_SHARES),
        ROUND_ROBIN,
        "round robin",
    ),
    Table(
        "model",
        "Model: 100 unequal agents",
        (*_LATENCIES, *_SHARES),
        "round_robin",
        "round robin",
    ),
    Table(
        "overload",
        "Overload: five times the capacity",
        (
            Column("goodput", "goodput/s", digits=0),
            Column("capacity", "capacity/s", digits=0),
            Column("unloaded_p99_high", "highest class unloaded, p99 ms", 1e3, 0),
            Column("p99_high", "overloaded, p99 ms", 1e3, 0),
            Column("served_high", "of it served %", 100, 1),
            Column("shed_p50", "refusal p50 ms", 1e3, 1),
            Column("shed_p99", "refusal p99 ms", 1e3, 1),
        ),
        None,
    ),
)

PEERS = ("envoy LEAST_REQUEST", "haproxy leastconn", "nginx least_conn")
LEARNING = ("headrace peak_ewma", "headrace prequal")


def _against(*others: str) -> Callable[[Result], float | None]:
    """p99 of the learning policy that does best against all of these, to the best of these."""

    def measured(result: Result) -> float | None:
        found = [
            max(pair.median for pair in pairs)
            for ours in LEARNING
            if (pairs := [p for o in others if (p := ratio(_p99(result, ours), _p99(result, o)))])
        ]
        return min(found, default=None)

    return measured


def _p99(result: Result, gateway: str) -> list[float]:
    return figures(result, "live", gateway, "p99")


def _failing(result: Result) -> float | None:
    found = [
        100 * median(values)
        for name in LEARNING
        if name in peers_of(result, "live")
        and (values := figures(result, "live", name, "share_failing") or [0.0])
    ]
    return max(found, default=None)


def _overload(of: str, to: str, scale: float = 1.0) -> Callable[[Result], float | None]:
    def measured(result: Result) -> float | None:
        mine, base = (figures(result, "overload", "headrace", name) for name in (of, to))
        found = ratio(mine, base)
        return None if found is None else found.median * scale

    return measured


def _refusal(result: Result) -> float | None:
    values = figures(result, "overload", "headrace", "shed_p99")
    return 1e3 * median(values) if values else None


TARGETS = (
    Target(
        "unequal agents: p99 of prequal or peak_ewma, to round robin's",
        0.5,
        "×",
        _against(ROUND_ROBIN),
    ),
    Target("the same, to the best peer's", 1.0, "×", _against(*PEERS)),
    Target("requests to the agent that fails fast, prequal and peak_ewma", 2.0, "%", _failing),
    Target("overload: capacity to goodput", 1 / 0.95, "×", _overload("capacity", "goodput")),
    Target(
        "overload: p99 of the highest class, to unloaded",
        1.5,
        "×",
        _overload("p99_high", "unloaded_p99_high"),
    ),
    Target("overload: p99 of refusals", 5.0, "ms", _refusal),
)


def text(result: Result) -> str:
    """Targets and tables as Markdown."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    yield "### Targets"
    yield ""
    yield from targets.lines(result, TARGETS)
    yield ""
    yield report.text(result, TABLES)
