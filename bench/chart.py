"""Bars as SVG: medians of one figure by proxy. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from xml.sax.saxutils import escape

from bench.report import Result, figures, peers_of
from bench.stats import spread


@dataclass(frozen=True)
class Panel:
    """One work's bars. `scale` and `digits` as in `bench.report.Column`."""

    work: str
    title: str
    figure: str = "cpu"
    scale: float = 1e6
    digits: int = 1
    base: str | None = "haproxy"
    """Whom the labels compare to."""
    base_title: str = "HAProxy"
    logarithmic_from: float = 0.0
    """Not 0: where a logarithmic axis begins, in units of the figure."""


PANELS = (
    Panel("small", "CPU µs per small POST"),
    Panel("tls", "CPU µs per small POST over TLS"),
    Panel("http2", "CPU µs per small POST over HTTP/2"),
    Panel("websocket", "CPU µs per websocket message"),
    Panel("sse-200", "CPU µs per streamed event"),
)

WIDTH = 760
_LEFT = 170
_RIGHT = 170
_BAR = 20
_GAP = 8
_HEAD = 34
_OURS = "headrace"


def chart(result: Result, panels: Sequence[Panel] = PANELS) -> str:
    """One panel a work; the thin line in a bar goes from the least round to the largest."""
    body: list[str] = []
    top = 10
    for panel in panels:
        drawn = list(_drawn(result, panel, top))
        if drawn:
            body += drawn
            top += _HEAD + len(_bars(result, panel)) * (_BAR + _GAP) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _bars(result: Result, panel: Panel) -> list[tuple[str, list[float]]]:
    work, figure = panel.work, panel.figure
    found = [(peer, figures(result, work, peer, figure)) for peer in peers_of(result, work)]
    return sorted(((p, v) for p, v in found if v), key=lambda bar: median(bar[1]))


def _axis(panel: Panel, largest: float) -> Callable[[float], float]:
    """From a value to the length of its bar."""
    room = WIDTH - _LEFT - _RIGHT
    begin = panel.logarithmic_from
    if not begin:
        return lambda value: value * room / largest
    decades = math.log10(max(largest, begin * 10) / begin)
    return lambda value: max(0.0, math.log10(max(value, begin) / begin)) * room / decades


def _drawn(result: Result, panel: Panel, top: int) -> Iterator[str]:
    bars = _bars(result, panel)
    if not bars:
        return
    length = _axis(panel, max(max(values) for _, values in bars))
    yield f'<text x="10" y="{top + 16}" font-weight="bold">{escape(panel.title)}</text>'
    base = next((median(values) for peer, values in bars if peer == panel.base), None)
    for number, (peer, values) in enumerate(bars):
        found = spread(values)
        y = top + _HEAD + number * (_BAR + _GAP)
        middle = y + _BAR / 2
        colour = "#1f6feb" if peer.startswith(_OURS) else "#9aa4b2"
        label = f"{found.median * panel.scale:,.{panel.digits}f}"
        if base:
            label += f" ({found.median / base:.2f} × {panel.base_title})"
        low, high = _LEFT + length(found.low), _LEFT + length(found.high)
        yield f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(peer)}</text>'
        yield (
            f'<rect x="{_LEFT}" y="{y}" width="{length(found.median):.1f}" height="{_BAR}" '
            f'fill="{colour}"/>'
        )
        yield (
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" '
            f'stroke="#24292f" stroke-width="2"/>'
        )
        x = max(high, _LEFT + length(found.median)) + 6
        yield f'<text x="{x:.1f}" y="{middle + 4}">{escape(label)}</text>'
