"""The chart of docs/balancing.md. Pure."""

from __future__ import annotations

from bench import chart as bars
from bench.balance.report import ROUND_ROBIN
from bench.chart import Panel
from bench.report import Result

PANELS = (
    Panel(
        "live",
        "Live, unequal agents: p99 in ms (logarithmic)",
        figure="p99",
        scale=1e3,
        digits=0,
        base=ROUND_ROBIN,
        base_title="round robin",
        logarithmic_from=0.01,
    ),
    Panel(
        "model",
        "Model, 100 unequal agents: p99 in ms (logarithmic)",
        figure="p99",
        scale=1e3,
        digits=0,
        base="round_robin",
        base_title="round robin",
        logarithmic_from=0.01,
    ),
)


def chart(result: Result) -> str:
    """As SVG."""
    return bars.chart(result, PANELS)
