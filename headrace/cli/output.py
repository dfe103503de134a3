"""Printing: tables for people, lines that a pipe can cut, colour only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNBOUNDED: Final = 10_000
"""Columns when the output is not a terminal, so that nothing is wrapped or cut."""


def console() -> Console:
    """Standard output. NO_COLOR is honoured by rich (https://no-color.org)."""
    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout, width=None if terminal else UNBOUNDED, highlight=False, markup=False
    )


def plain(text: str) -> str:
    """`text` on one line and without control characters, since names come over the network."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def complain(message: str) -> None:
    """One message on standard error; further lines are details of it."""
    first, *details = message.splitlines() or [""]
    lines = [f"headrace: {plain(first)}", *(f"  {plain(detail)}" for detail in details)]
    print(*lines, sep="\n", file=sys.stderr)


def print_json(data: bytes) -> None:
    """Indented JSON."""
    print(msgspec.json.format(data.strip(), indent=2).decode())


def borderless(columns: Iterable[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table without lines; the last column takes what is left of the width."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    names = list(columns)
    for name in names:
        table.add_column(name, no_wrap=name != names[-1])
    for row in rows:
        table.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    return table


def print_whole(table: Table) -> None:
    """A table of figures at its full width: a terminal too narrow wraps it, none is cut."""
    out = console()
    width = out.measure(table, options=out.options.update_width(UNBOUNDED)).maximum
    out.width = max(out.width, width)
    out.print(table)


def utc(at: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: float) -> str:
    """A length of time in its two largest units, e.g. `2d 3h`."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def latency(seconds: float | None) -> str:
    """A latency to three digits, `-` for none."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.3g}ms" if seconds < 0.9995 else f"{seconds:.3g}s"
