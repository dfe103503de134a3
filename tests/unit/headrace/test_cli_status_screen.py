"""What `status` computes and shows, without a daemon."""

from __future__ import annotations

import io
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console, RenderableType
from rich.text import Text

from fleet.cluster import Role
from fleet.telemetry.histogram import quantile
from fleet.telemetry.slab import VersionTotals
from headrace.cli.figures import Figures, between, since_start
from headrace.cli.output import age, borderless, latency, plain, utc
from headrace.cli.render import Look, screen
from headrace.cli.status import INTERVAL, follow
from tests.unit.headrace.fakes import (
    CLUSTER,
    NOW,
    STATUS,
    SUPPORT,
    ejection,
    histogram,
    version_status,
)

EARLIER = VersionTotals(requests=(1, 0, 100, 0, 3, 2), duration=histogram(b6=106))
LATER = VersionTotals(requests=(2, 0, 140, 0, 3, 7), duration=histogram(b6=106, b8=46))

SPANS: dict[str, tuple[VersionTotals | None, VersionTotals, Figures]] = {
    "what came since": (
        EARLIER,
        LATER,
        Figures(requests=46, errors=5, p95=0.4875, seconds=2.0),
    ),
    "nothing came": (LATER, LATER, Figures(requests=0, errors=0, p95=None, seconds=2.0)),
    "a version first seen": (
        None,
        EARLIER,
        Figures(requests=106, errors=2, p95=quantile(EARLIER.duration, 0.95), seconds=2.0),
    ),
    "a daemon that was restarted": (
        LATER,
        EARLIER,
        Figures(requests=106, errors=2, p95=quantile(EARLIER.duration, 0.95), seconds=2.0),
    ),
}


@pytest.mark.parametrize(("before", "now", "figures"), SPANS.values(), ids=SPANS)
def test_between(before: VersionTotals | None, now: VersionTotals, figures: Figures) -> None:
    assert between(before, now, 2.0) == figures


def test_rate() -> None:
    assert between(EARLIER, LATER, 2.0).rate == 23.0
    assert since_start(LATER).rate is None


def test_since_start() -> None:
    assert since_start(VersionTotals()) == Figures(requests=0, errors=0, p95=None)
    assert since_start(LATER).requests == 152


AGES = {0: "0s", 59.9: "59s", 60: "1m", 61: "1m 1s", 7500: "2h 5m", 90061: "1d 1h", -3: "0s"}


@pytest.mark.parametrize(("seconds", "text"), AGES.items(), ids=map(str, AGES))
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


LATENCIES = {None: "-", 0.0: "0ms", 0.0012: "1.2ms", 0.25: "250ms", 0.9999: "1s", 12.34: "12.3s"}


@pytest.mark.parametrize(("seconds", "text"), LATENCIES.items(), ids=map(str, LATENCIES))
def test_latency(seconds: float | None, text: str) -> None:
    assert latency(seconds) == text


def test_text_from_the_network_is_tamed() -> None:
    assert plain("a\x1b[2J\nb") == "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b"
    assert plain("größe [bold]") == "größe [bold]"


def test_utc() -> None:
    assert utc(NOW + 0.9) == "2026-01-01T12:00:00Z"


def shown(picture: RenderableType, **options: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200, markup=False, highlight=False, **options).print(picture)
    return stream.getvalue()


def test_markup_in_a_reason_is_text() -> None:
    assert "[bold]x[/bold]" in shown(borderless(("A",), [("[bold]x[/bold]",)]))


def look(at: float, counted: VersionTotals) -> Look:
    pool = replace(SUPPORT, versions=(version_status(totals=counted),))
    return Look((pool,), at)


def test_watching_shows_rates() -> None:
    text = shown(screen(STATUS, NOW, look(12.0, LATER), look(10.0, EARLIER)))
    header, row = (line.split() for line in text.splitlines()[-2:])
    assert header[6:9] == ["QUEUED", "RPS", "P95"]
    assert row[5:9] == ["0", "23.0", "488ms", "5"]


def test_an_ejected_replica_is_named() -> None:
    pool = replace(SUPPORT, ejected=(ejection(1),))
    text = shown(screen(replace(STATUS, pools=(pool,)), NOW, look(0.0, LATER), None))
    line = "support: support-v1-1 is ejected by worker 1: 5 failures in a row"
    assert f"{line}, until 2026-01-01T12:00:30Z" in text


HEADLINES = {
    "ready": (STATUS, "headrace 0.1.0 ready | generation 3 of /etc/headrace/headrace.yml"),
    "not ready": (replace(STATUS, ready=False), "headrace 0.1.0 not ready |"),
    "draining": (replace(STATUS, draining=True), "headrace 0.1.0 draining |"),
    "up": (STATUS, "| up 2h 5m |"),
    "workers": (STATUS, "| 2 workers on 127.0.0.1:8080"),
    "one worker": (replace(STATUS, workers=STATUS.workers[:1]), "| 1 worker on"),
    "a rejected file": (
        replace(STATUS, rejected="a.yml:1:1: x\na.yml:2:1: y"),
        "the newest edit of /etc/headrace/headrace.yml was rejected:\n  a.yml:1:1: x\n"
        "  a.yml:2:1: y\n",
    ),
    "a lost store": (
        replace(STATUS, store_connected=False),
        "the store at redis://10.0.0.5:6379/0 does not answer; traffic goes on without it",
    ),
    "a store that is another's": (
        replace(STATUS, store_connected=False, store_owner="process 7 on gw2"),
        "the store at redis://10.0.0.5:6379/0 is used by another daemon, process 7 on gw2; traffic",
    ),
    "a dead worker": (
        replace(STATUS, workers=(replace(STATUS.workers[0], pid=None),)),
        "worker 0 is being restarted",
    ),
    "weights by hand": (
        replace(STATUS, pools=(replace(SUPPORT, weights_overridden=True),)),
        "support: weights are set by hand (--reset goes back to the file)",
    ),
    "a size by hand": (
        replace(STATUS, pools=(replace(SUPPORT, scale_override=3, override_ends=NOW + 60),)),
        "support: size is held at 3 by hand, until 2026-01-01T12:01:00Z",
    ),
    "this daemon leads": (STATUS, "\ncluster prod: gw1 leads (this daemon); members gw1, gw2\n"),
    "another leads": (
        replace(STATUS, cluster=replace(CLUSTER, role=Role.FOLLOWER, leader="gw2")),
        "cluster prod: gw2 leads; members gw1, gw2\n",
    ),
    "nobody leads": (
        replace(STATUS, cluster=replace(CLUSTER, role=Role.FOLLOWER, leader=None, members=())),
        "cluster prod: nobody leads\n",
    ),
    "the store is away": (
        replace(STATUS, cluster=replace(CLUSTER, role=Role.ALONE, leader=None)),
        "cluster prod: gw1 is alone, the store does not answer; members gw1, gw2\n",
    ),
    "no pools": (replace(STATUS, pools=()), "no pools are configured"),
}


@pytest.mark.parametrize(("status", "text"), HEADLINES.values(), ids=HEADLINES)
def test_headline(status: Any, text: str) -> None:
    assert text in shown(screen(status, NOW, Look(status.pools, 0.0), None))


@pytest.mark.parametrize(
    ("no_color", "coloured"), [(False, True), (True, False)], ids=["a terminal", "NO_COLOR"]
)
def test_colour(no_color: bool, coloured: bool) -> None:
    picture = screen(STATUS, NOW, Look(STATUS.pools, 0.0), None)
    text = shown(picture, force_terminal=True, color_system="standard", no_color=no_color)
    assert ("\x1b[33m" in text) is coloured


@pytest.mark.parametrize("terminal", [False, True], ids=["a pipe", "a terminal"])
def test_following_passes_each_look_on_to_the_next(terminal: bool) -> None:
    befores: list[Look | None] = []
    slept: list[float] = []

    def ask(before: Look | None) -> tuple[Look, RenderableType]:
        befores.append(before)
        return Look((), float(len(befores))), Text(f"look {len(befores)}")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    stream = io.StringIO()
    follow(ask, Console(file=stream, force_terminal=terminal, width=80), sleep)
    assert befores == [None, Look((), 1.0), Look((), 2.0)]
    assert slept == [INTERVAL] * 3
    assert all(f"look {n}" in stream.getvalue() for n in (1, 2, 3))
