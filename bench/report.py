"""The tables: medians over the rounds, with spread, and ratios to HAProxy. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.stats import Spread, ratio, spread

Result = Mapping[str, Any]
"""As stored: see `bench.__main__`."""

BASE = "haproxy"

NOISE = 0.03
"""Share of the machine's cores taken by others above which a run is said to be noisy."""


@dataclass(frozen=True)
class Column:
    """A figure, its heading and what it is multiplied by to be shown."""

    figure: str
    title: str
    scale: float = 1.0
    digits: int = 1


@dataclass(frozen=True)
class Table:
    """One work. The first column is shown with its spread, and compared to the base's."""

    work: str
    title: str
    columns: tuple[Column, ...]
    base: str | None = BASE
    """Whom all are compared to, and by which the rows are sorted; None: nobody."""
    base_title: str = "HAProxy"


_CPU = Column("cpu", "CPU µs/request", 1e6)
_PLANE = Column("cpu_plane", "worker alone", 1e6)
_USER = Column("cpu_plane_user", "of it user", 1e6)
_RPS = Column("rps", "requests/s", digits=0)
_RSS = Column("rss", "RSS MiB", 1 / (1 << 20))
_CLOSED = (_CPU, _PLANE, _USER, _RPS, _RSS)

TABLES = (
    Table("small", "Small POST: 300 B in, 142 B out, 64 connections", _CLOSED),
    Table(
        "latency",
        "Latency of the small POST at 2,000 a second (open loop)",
        (Column("p50", "p50 ms", 1e3, 3), Column("p99", "p99 ms", 1e3, 3)),
        base=None,
    ),
    Table(
        "half",
        "Latency added to direct at 50 % of its own saturation (open loop)",
        (
            Column("added_p99", "added p99 ms", 1e3, 3),
            Column("added_p50", "added p50 ms", 1e3, 3),
            Column("rate", "rate/s", digits=0),
        ),
        base=None,
    ),
    Table("connect", "Small POST, a new client connection for each", _CLOSED),
    Table("tls", "Small POST over TLS", _CLOSED),
    Table("tls-connect", "Small POST, a TLS handshake for each", _CLOSED),
    Table("http2", "Small POST over HTTP/2 with TLS, 8 connections of 8 streams", _CLOSED),
    Table("body-64k", "64 KiB in, 64 KiB out, 32 connections", _CLOSED),
    Table("body-10m", "10 MiB in, 10 MiB out, 4 connections", _CLOSED),
    Table("two-workers", "Small POST, two processes or threads each", _CLOSED),
    *(
        Table(
            f"sse-{count}",
            f"Event streams: {count:,} at once",
            (
                Column("cpu", "CPU µs/event", 1e6),
                Column("cpu_plane", "worker alone", 1e6),
                Column("cpu_plane_user", "of it user", 1e6),
                Column("events", "events/s", digits=0),
                Column("offered", "offered/s", digits=0),
            ),
        )
        for count in (200, 2000)
    ),
    Table(
        "websocket",
        "Websocket echo: 64 connections, 128 B each way",
        (
            Column("cpu", "CPU µs/message", 1e6),
            Column("cpu_plane", "worker alone", 1e6),
            Column("cpu_plane_user", "of it user", 1e6),
            Column("messages", "messages/s", digits=0),
        ),
    ),
    Table(
        "idle",
        "Idle kept connections",
        (
            Column("bytes_each", "RSS growth KiB each", 1 / 1024, 2),
            Column("connections", "connections", digits=0),
            _RSS,
        ),
        base=None,
    ),
    Table(
        "startup",
        "Start to first reply, and at rest",
        (
            Column("seconds", "start s", digits=2),
            _RSS,
            Column("rss_plane", "worker RSS MiB", 1 / (1 << 20)),
            Column("idle_cpu", "idle CPU %", 100, 2),
        ),
        base=None,
    ),
    Table(
        "replicas",
        "Small POST by number of replicas: Headrace, and HAProxy beside it",
        _CLOSED,
        base=None,
    ),
    Table("routes", "Headrace, small POST, by number of routes", _CLOSED, base=None),
    Table(
        "soak",
        "Headrace, long mixed work: memory",
        (
            Column("slope_worker", "worker KiB/min", 60 / 1024),
            Column("slope_worker_low", "95 % from", 60 / 1024),
            Column("slope_worker_high", "to", 60 / 1024),
            Column("rss_worker", "worker RSS MiB", 1 / (1 << 20)),
            Column("slope_control", "control KiB/min", 60 / 1024),
            Column("slope_control_low", "95 % from", 60 / 1024),
            Column("slope_control_high", "to", 60 / 1024),
            Column("rss_control", "control RSS MiB", 1 / (1 << 20)),
            Column("seconds", "seconds", digits=0),
            Column("pieces", "pieces of work", digits=0),
            Column("errors", "errors", digits=0),
            Column("taken", "reloads", digits=0),
        ),
        base=None,
    ),
)


def figures(result: Result, work: str, peer: str, figure: str) -> list[float]:
    """Values of one figure, round by round."""
    return [
        s["figures"][figure]
        for s in result["samples"]
        if s["work"] == work and s["peer"] == peer and figure in s["figures"]
    ]


def peers_of(result: Result, work: str) -> list[str]:
    """Those measured, in the order of the rounds."""
    return list(dict.fromkeys(s["peer"] for s in result["samples"] if s["work"] == work))


def ratio_to_base(
    result: Result, work: str, peer: str, figure: str, base: str = BASE
) -> Spread | None:
    """Median of the ratio to HAProxy, or another, round by round."""
    mine, theirs = (figures(result, work, name, figure) for name in (peer, base))
    return ratio(mine, theirs)


def text(result: Result, tables: Sequence[Table] = TABLES) -> str:
    """All tables as Markdown."""
    return "\n".join(_lines(result, tables))


def _lines(result: Result, tables: Sequence[Table]) -> Iterator[str]:
    for table in tables:
        peers = peers_of(result, table.work)
        if peers:
            yield f"### {table.title}"
            yield ""
            yield from _rows(result, table, peers)
            yield ""
    for name, how in result["absent"].items():
        yield f"- absent: {name} (to be had as {how})"
    for where, why in result["failures"].items():
        yield f"- not measured: {where}: {why.splitlines()[0][:160]}"
    yield f"- {noise(result)}"


def _rows(result: Result, table: Table, peers: Sequence[str]) -> Iterator[str]:
    first = table.columns[0]
    titles = ["proxy", *(column.title for column in table.columns)]
    if table.base is not None:
        titles.append(f"× {table.base_title}")
    yield f"| {' | '.join(titles)} |"
    yield f"|---{'|---:' * (len(titles) - 1)}|"
    known = {peer: figures(result, table.work, peer, first.figure) for peer in peers}
    for peer in sorted(peers, key=lambda p: median(known[p] or [0.0]) if table.base else 0):
        cells = [peer]
        for column in table.columns:
            values = figures(result, table.work, peer, column.figure)
            cells.append(_cell(values, column, ends=column is first))
        if table.base is not None:
            found = ratio_to_base(result, table.work, peer, first.figure, table.base)
            cells.append("" if found is None else f"{found.median:.2f}")
        yield f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float], column: Column, *, ends: bool) -> str:
    if not values:
        return ""
    found = spread(values)
    shown = f"{found.median * column.scale:,.{column.digits}f}"
    if ends and len(values) > 1:
        low, high = (f"{v * column.scale:,.{column.digits}f}" for v in (found.low, found.high))
        shown += f" ({low} to {high})"
    return shown


def noise(result: Result) -> str:
    """What else the machine did meanwhile, in words."""
    samples = result["samples"]
    elapsed = result["seconds"] * result["machine"]["cores"] or 1
    strangers = sum(s["strangers"] for s in samples) / elapsed
    stolen = sum(s["stolen"] for s in samples) / elapsed
    base = figures(result, "small", BASE, "cpu")
    width = spread(base).width if base else 0.0
    verdict = "noisy" if strangers + stolen > NOISE or width > 0.15 else "quiet"
    said = (
        f"the machine was {verdict}: other processes took {strangers:.1%} of its cores, the host "
        f"{stolen:.1%}"
    )
    if base:
        said += f"; HAProxy's rounds of the small POST spread by {width:.0%} of their median"
    return said
