"""Bars as SVG: CPU time per request and per event. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from xml.sax.saxutils import escape

from bench.report import Result, figures, peers_of
from bench.stats import spread

PANELS = (
    ("small", "CPU µs per small POST"),
    ("sse-200", "CPU µs per streamed event"),
)

WIDTH = 760
_LEFT = 120
_RIGHT = 150
_BAR = 20
_GAP = 8
_HEAD = 34
_OURS = "headrace"


def chart(result: Result) -> str:
    """One panel a work; the thin line in a bar goes from the least round to the largest."""
    body: list[str] = []
    top = 10
    for work, title in PANELS:
        panel = list(_panel(result, work, title, top))
        if panel:
            body += panel
            top += _HEAD + len(_bars(result, work)) * (_BAR + _GAP) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _bars(result: Result, work: str) -> list[tuple[str, list[float]]]:
    found = [(peer, figures(result, work, peer, "cpu")) for peer in peers_of(result, work)]
    return sorted(((p, v) for p, v in found if v), key=lambda bar: median(bar[1]))


def _panel(result: Result, work: str, title: str, top: int) -> Iterator[str]:
    bars = _bars(result, work)
    if not bars:
        return
    largest = max(max(values) for _, values in bars)
    scale = (WIDTH - _LEFT - _RIGHT) / largest
    yield f'<text x="10" y="{top + 16}" font-weight="bold">{escape(title)}</text>'
    base = next((median(values) for peer, values in bars if peer == "haproxy"), None)
    for number, (peer, values) in enumerate(bars):
        found = spread(values)
        y = top + _HEAD + number * (_BAR + _GAP)
        middle = y + _BAR / 2
        colour = "#1f6feb" if peer == _OURS else "#9aa4b2"
        label = f"{found.median * 1e6:.1f}"
        if base:
            label += f" ({found.median / base:.2f} × HAProxy)"
        low, high = _LEFT + found.low * scale, _LEFT + found.high * scale
        yield f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(peer)}</text>'
        yield (
            f'<rect x="{_LEFT}" y="{y}" width="{found.median * scale:.1f}" height="{_BAR}" '
            f'fill="{colour}"/>'
        )
        yield (
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" '
            f'stroke="#24292f" stroke-width="2"/>'
        )
        x = max(high, _LEFT + found.median * scale) + 6
        yield f'<text x="{x:.1f}" y="{middle + 4}">{escape(label)}</text>'
