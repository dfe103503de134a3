"""Axes, lines and points as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from msgspec import Struct

WIDTH: Final = 820
LEFT: Final = 70
RIGHT: Final = 20
COLOURS: Final = (
    "#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#bf8700",
    "#0a7ea4", "#a40e5c", "#57606a", "#6e4a1e", "#24292f",
)  # fmt: skip
"""One for each thing compared; beyond them they repeat."""

Point = tuple[float, float]


class Axis(Struct, frozen=True, kw_only=True):
    """From figures to pixels."""

    low: float
    high: float
    start: float
    """Pixel of `low`."""
    stop: float
    """Pixel of `high`."""
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The pixel of a figure; what lies outside is put on the edge."""
        low, high, value = self._scaled(self.low), self._scaled(self.high), self._scaled(value)
        share = 0.0 if high <= low else (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.stop - self.start)

    def marks(self, most: int = 6) -> list[float]:
        """Round figures to label it with."""
        if self.logarithmic:
            low, high = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(low, high + 1)]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value


class Line(Struct, frozen=True, kw_only=True):
    """Points joined in a panel."""

    points: Sequence[Point]
    colour: str
    dashed: bool = False


class Panel(Struct, frozen=True, kw_only=True):
    """One diagram."""

    title: str
    x: Axis
    y: Axis
    x_label: str = ""
    lines: Sequence[Line] = ()
    dots: Sequence[tuple[Point, str, str]] = ()
    """Each a point, its colour and its label, which may be empty."""


def picture(panels: Sequence[Panel], legend: Sequence[tuple[str, str]], height: int) -> str:
    """A whole file; `legend` has a colour and a text for each thing compared."""
    body = [*_legend(legend), *(part for panel in panels for part in _panel(panel))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _panel(panel: Panel) -> Iterator[str]:
    left, right = panel.x.start, panel.x.stop
    bottom, top = panel.y.start, panel.y.stop
    yield f'<text x="{left}" y="{top - 8}" font-weight="bold">{escape(panel.title)}</text>'
    for mark in panel.y.marks():
        y = panel.y.at(mark)
        yield _rule(left, y, right, y)
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:.4g}</text>'
    for mark in panel.x.marks():
        x = panel.x.at(mark)
        yield _rule(x, bottom, x, top)
        yield f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{mark:.4g}</text>'
    if panel.x_label:
        label = escape(panel.x_label)
        yield f'<text x="{right}" y="{bottom + 30}" text-anchor="end">{label}</text>'
    for line in panel.lines:
        points = " ".join(f"{panel.x.at(x):.1f},{panel.y.at(y):.1f}" for x, y in line.points)
        dash = ' stroke-dasharray="4 3"' if line.dashed else ""
        yield (
            f'<polyline points="{points}" fill="none" stroke="{line.colour}" '
            f'stroke-width="1.3"{dash}/>'
        )
    for (x, y), colour, label in panel.dots:
        yield f'<circle cx="{panel.x.at(x):.1f}" cy="{panel.y.at(y):.1f}" r="4" fill="{colour}"/>'
        if label:
            yield (
                f'<text x="{panel.x.at(x) + 7:.1f}" y="{panel.y.at(y) + 4:.1f}" '
                f'fill="{colour}">{escape(label)}</text>'
            )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="#d0d7de" stroke-width="0.6"/>'
    )


def _legend(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """In as many rows as it takes; two fit above the first panel."""
    x, y = LEFT, 10
    for colour, text in entries:
        width = 30 + 7 * len(text)
        if x > LEFT and x + width > WIDTH:
            x, y = LEFT, y + 18
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="{y + 10}">{escape(text)}</text>'
        x += width
