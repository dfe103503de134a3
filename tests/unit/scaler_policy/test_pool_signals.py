"""Signals from outside: shared by weight, lost and found, never waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from scaler_kit import Journal, totals

from fleet.clock import ManualClock
from fleet.config.schema import FormulaSignal, Signal
from fleet.model import Event, Reading
from scaler.signals import Asked, Inputs, LoadInput
from scaler.signals.formula import computed, formula_input
from scaler.signals.poller import NOT_READ_YET, Poller
from scaler.signals.pool import PoolSignals
from scaler.signals.reported import Reports, summed
from scaler.signals.source import SignalLostError
from scaler.signals.standing import Situation, reading_of
from tests.support.waiting import wait_until


class FakeSource:
    """Answers what is put in; an exception is raised, None is waited for forever."""

    name = "jobs"
    per_replica = 5.0
    ratio = False

    def __init__(self, *answers: float | Exception | None) -> None:
        self._answers: Iterator[float | Exception | None] = iter(answers)
        self.asked = 0
        self.closed = False

    async def read(self) -> float:
        self.asked += 1
        answer = next(self._answers, None)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    async def close(self) -> None:
        self.closed = True


def signal(**settings: Any) -> Signal:
    return Signal.model_validate({"redis": {"list": "jobs"}, **settings})


def poller(source: FakeSource, clock: ManualClock, journal: Journal, **settings: Any) -> Poller:
    def tell(kind: str, message: str) -> None:
        journal.event(Event(at=clock.wall(), kind=kind, message=message))

    return Poller(source, signal(**settings), clock, 1.0, tell)


BUSY = Situation(desired=6, busy=21, per_replica=7.0)


def reading(one: Poller, share: float = 1.0) -> Reading:
    return reading_of(one.measured(), one.signal, share, BUSY)


async def test_a_signal_is_told_lost_once_and_recovered_once() -> None:
    clock, journal = ManualClock(), Journal()
    down = SignalLostError("connection refused")
    one = poller(FakeSource(7, down, down, SignalLostError("timeout"), 9, 9), clock, journal)
    for _ in range(6):
        await one.ask()
        clock.advance(4)
    assert [(event.kind, event.message) for event in journal.events] == [
        ("signal.lost", "jobs has no value: connection refused"),
        ("signal.recovered", "jobs is 9 again, after 12s"),
    ]


async def test_a_lost_signal_has_no_old_value() -> None:
    one = poller(FakeSource(7, SignalLostError("gone")), ManualClock(), Journal())
    await one.ask()
    assert reading(one) == Reading(signal="jobs", value=7, target=5)
    await one.ask()
    assert reading(one) == Reading(signal="jobs", value=None, target=5, error="gone")


async def test_a_signal_not_read_yet_is_without_value_and_not_told_of() -> None:
    journal = Journal()
    one = poller(FakeSource(), ManualClock(), journal)
    assert reading(one).error == NOT_READ_YET
    assert journal.events == []


async def test_a_fault_in_a_source_is_a_lost_signal() -> None:
    one = poller(FakeSource(KeyError("pending")), ManualClock(), Journal())
    await one.ask()
    assert one.error == "KeyError: 'pending'"


@pytest.mark.parametrize("value", [1e16, -1e308, float("inf"), float("nan")])
async def test_a_number_beyond_all_loads_is_a_lost_signal(value: float) -> None:
    one = poller(FakeSource(7, value), ManualClock(), Journal())
    await one.ask()
    await one.ask()
    assert (reading(one).value, reading(one).error) == (None, f"no load is as large as {value:g}")


async def test_a_version_answers_for_its_share() -> None:
    one = poller(FakeSource(40), ManualClock(), Journal())
    await one.ask()
    part = reading(one, 0.05)
    assert (part.value, part.detail) == (2.0, "0.05 of 40 = 2")


async def test_a_value_counts_until_it_is_stale() -> None:
    clock, journal = ManualClock(), Journal()
    gone = SignalLostError("gone")
    one = poller(FakeSource(7, gone, gone, 3), clock, journal, stale="10s")
    await one.ask()
    clock.advance(9)
    await one.ask()
    assert (reading(one).value, reading(one).error) == (7, None)
    clock.advance(1)
    assert (reading(one).value, reading(one).error) == (None, "gone")
    await one.ask()
    await one.ask()
    assert reading(one).value == 3
    assert journal.kinds() == ["signal.lost", "signal.recovered"]


async def test_a_value_counts_while_no_more_reads_fail_than_may() -> None:
    gone = SignalLostError("gone")
    one = poller(FakeSource(7, gone, gone, gone), ManualClock(), Journal(), failures=2)
    for _ in range(3):
        await one.ask()
    assert reading(one).value == 7
    await one.ask()
    assert reading(one).error == "gone"


async def test_nothing_stands_in_until_as_many_reads_failed_as_may() -> None:
    down = SignalLostError("gone")
    one = poller(
        FakeSource(down, down, down), ManualClock(), Journal(), failures=2, fallback={"replicas": 4}
    )
    values = [reading(one).value]
    for _ in range(3):
        await one.ask()
        values.append(reading(one).value)
    assert values == [None, None, None, 20.0]


async def test_a_ratio_of_a_source_is_one_from_outside() -> None:
    source = FakeSource(40)
    source.ratio = True
    one = poller(source, ManualClock(), Journal())
    await one.ask()
    assert reading(one, 0.05) == Reading(
        signal="jobs", value=40, target=5, ratio=True, outside=True
    )


async def test_a_source_that_falls_silent_is_lost() -> None:
    clock = ManualClock()
    one = poller(FakeSource(7), clock, Journal())
    await one.ask()
    clock.advance(6)
    assert reading(one).value == 7
    clock.advance(1)
    assert reading(one).error == "no answer for 7s"


FALLBACKS: dict[str, tuple[Any, float, float | None]] = {
    "hold: nothing": ("hold", 1.0, None),
    "none said: nothing": (None, 1.0, None),
    "last: the last value": ("last", 1.0, 40.0),
    "last: the version's share of it": ("last", 0.25, 10.0),
    "router: what the gateway sees, in units of this signal": ("router", 1.0, 15.0),
    "replicas: as much as makes so many": ({"replicas": 4}, 1.0, 20.0),
    "replicas: shared by weight": ({"replicas": 4}, 0.25, 5.0),
    "the present size": ({"replicas": 4, "behavior": "current"}, 1.0, 30.0),
    "the larger": ({"replicas": 9, "behavior": "current_if_higher"}, 1.0, 45.0),
    "the smaller": ({"replicas": 9, "behavior": "current_if_lower"}, 1.0, 30.0),
}


@pytest.mark.parametrize(("fallback", "share", "value"), FALLBACKS.values(), ids=FALLBACKS.keys())
async def test_fallback(fallback: Any, share: float, value: float | None) -> None:
    source = FakeSource(40, SignalLostError("gone"))
    one = poller(source, ManualClock(), Journal(), fallback=fallback)
    await one.ask()
    assert reading(one, share).error is None
    await one.ask()
    assert (reading(one, share).value, reading(one, share).error) == (value, "gone")


@pytest.mark.parametrize(("value", "counted"), [(5, 0), (5.5, 5.5), (0, 0)])
async def test_a_value_not_above_its_activation_counts_as_none(
    value: float, counted: float
) -> None:
    one = poller(FakeSource(value), ManualClock(), Journal(), activation=5)
    await one.ask()
    assert reading(one).value == counted
    assert reading(one, 0.5).inactive == (value / 2 if 0 < value <= 5 else None)


REPORTS: dict[str, tuple[Reports, float | None, str | None]] = {
    "all are heard": (Reports(ready=2, loads=((3, 0.5), (4, 1))), 7, None),
    "one unheard counts as on its target": (Reports(ready=2, loads=((3, 0.5), (4, 9))), 13, None),
    "one unheard counts as idle when the rest asks for more": (
        Reports(ready=2, loads=((40, 0.5),)),
        40,
        None,
    ),
    "none is heard": (
        Reports(ready=2, loads=((3, 9),)),
        None,
        "2 ready replicas, and none says its load",
    ),
    "none is ready": (Reports(ready=0), None, None),
}


@pytest.mark.parametrize(("reports", "value", "error"), REPORTS.values(), ids=REPORTS.keys())
def test_reported_load(reports: Reports, value: float | None, error: str | None) -> None:
    found = summed(reports, "load", per_replica=10, stale=5)
    assert (found.value, found.error) == (value, error)


def formula_readings(
    value: str, numbers: dict[str, float | None], errors: dict[str, str]
) -> tuple[float | None, str | None]:
    targets = {"jobs": 4.0, "tokens": 8.0}
    settings = FormulaSignal(value=value)
    one = formula_input(settings, signal(), "both", targets)
    assert one.per_replica == 6.0, "the mean of what it names"
    found = computed(one, numbers, errors)
    return found.value, found.error


def test_formulae() -> None:
    gone = {"tokens": "gone"}
    lost: dict[str, float | None] = {"jobs": 3, "tokens": None}
    assert formula_readings("max(jobs, tokens / 2)", {"jobs": 3, "tokens": 8}, {}) == (4, None)
    assert formula_readings("jobs + tokens", lost, gone) == (None, "tokens: gone")
    assert formula_readings("jobs + (tokens ?? 1)", lost, gone) == (4, None)
    assert formula_readings("jobs + tokens", lost, {}) == (None, None), "nothing to measure"
    assert formula_readings("(jobs + tokens) ** 40", {"jobs": 1, "tokens": 2}, {}) == (
        None,
        "no load is as large as 1.21577e+19",
    )
    zero: dict[str, float | None] = {"jobs": 3, "tokens": 0}
    assert formula_readings("jobs / tokens", zero, {}) == (None, "column 6: division by zero")


async def test_a_formula_replaces_what_it_names_and_is_shared_by_weight() -> None:
    source = FakeSource(40)
    settings = FormulaSignal.model_validate({"value": "jobs + requests", "per_replica": 10})
    one = formula_input(settings, signal(), "all", {})
    asked = (Asked(source=source, signal=signal(name="jobs")),)
    made = Inputs(asked=asked, formulae=(one,), named_router="requests")
    pool = PoolSignals(
        made, clock=ManualClock(), interval=60.0, on_event=lambda kind, message: None
    )
    weights = {"v1": 75, "v2": 25}
    async with pool.running():
        await wait_until(lambda: source.asked, "the source is asked")
        for version in weights:
            load = totals(in_flight=10)
            reports = Reports(ready=1)
            found = pool.read(version, load, weights, slots=1, desired=1, reports=reports, now=0.0)
    assert [(r.signal, r.value) for r in found] == [("router.in_flight", 10), ("all", 15)]


def told_of(made: Inputs, steps: list[tuple[float, Reports]]) -> list[str]:
    """What is told of a pool of one version that its replicas report so at these times."""
    journal: list[str] = []
    pool = PoolSignals(
        made, clock=ManualClock(), interval=1.0,
        on_event=lambda kind, message: journal.append(f"{kind}: {message}"),
    )  # fmt: skip
    for now, reports in steps:
        pool.read("v1", totals(), {"v1": 1}, slots=1, desired=1, reports=reports, now=now)
    return journal


LOAD = LoadInput(name="load", per_replica=10.0, stale=5.0, signal=signal())
HEARD, SILENT = Reports(ready=2, loads=((3, 0), (4, 0))), Reports(ready=2, loads=((3, 9), (4, 9)))
LOAD_LOSSES = {
    "lost at once when all that spoke are silent, and back when one speaks": (
        [(0.0, HEARD), (1.0, SILENT), (2.0, SILENT), (7.0, HEARD), (8.0, HEARD)],
        [
            "signal.lost: load of v1 has no value: 2 ready replicas, and none says its load",
            "signal.recovered: load of v1 is 7 again, after 6s",
        ],
    ),
    "not lost yet when a replica has just begun to serve": (
        [(0.0, Reports(ready=0)), (1.0, Reports(ready=1)), (5.9, Reports(ready=1)), (6.1, HEARD)],
        [],
    ),
    "lost when none has spoken in time": (
        [(1.0, Reports(ready=1)), (5.9, Reports(ready=1)), (6.0, Reports(ready=1))],
        ["signal.lost: load of v1 has no value: 1 ready replica, and none says its load"],
    ),
}


@pytest.mark.parametrize(("steps", "told"), LOAD_LOSSES.values(), ids=LOAD_LOSSES)
def test_reported_load_is_told(steps: list[tuple[float, Reports]], told: list[str]) -> None:
    assert told_of(Inputs(loads=(LOAD,)), steps) == told


def test_a_formula_without_a_value_is_told_of_when_it_lasts() -> None:
    settings = FormulaSignal.model_validate({"value": "5 / (load - 7)", "per_replica": 10})
    made = Inputs(loads=(LOAD,), formulae=(formula_input(settings, signal(), "all", {}),))
    other = Reports(ready=1, loads=((12, 0),))
    assert told_of(made, [(0.0, HEARD), (4.0, HEARD), (5.0, HEARD), (9.0, other)]) == [
        "signal.lost: all has no value: column 3: division by zero",
        "signal.recovered: all is 1 again, after 9s",
    ]


def signals(*sources: FakeSource, interval: float = 60.0) -> PoolSignals:
    return PoolSignals(
        Inputs(asked=tuple(Asked(source=source, signal=signal()) for source in sources)),
        clock=ManualClock(),
        interval=interval,
        on_event=lambda kind, message: None,
    )


def outside(pool: PoolSignals, weights: dict[str, int]) -> dict[str, list[float | None]]:
    """The values of all readings but the router's, by version."""
    return {
        version: [
            reading.value
            for reading in pool.read(
                version,
                totals(),
                weights,
                slots=1,
                desired=1,
                reports=Reports(ready=1),
                now=0.0,
            )
            if not reading.signal.startswith("router")
        ]
        for version in weights
    }


SHARES = {
    "a single version has all": ({"v1": 100}, {"v1": [40.0]}),
    "two versions share by weight": ({"v1": 95, "v2": 5}, {"v1": [38.0], "v2": [2.0]}),
    "a version without weight has no part": ({"v1": 100, "v2": 0}, {"v1": [40.0], "v2": []}),
    "without any weight nobody has a part": ({"v1": 0, "v2": 0}, {"v1": [], "v2": []}),
}


@pytest.mark.parametrize(("weights", "values"), SHARES.values(), ids=SHARES.keys())
async def test_shares(weights: dict[str, int], values: dict[str, list[float | None]]) -> None:
    source = FakeSource(40)
    pool = signals(source)
    async with pool.running():
        await wait_until(lambda: source.asked, "the source is asked")
        assert outside(pool, weights) == values


async def test_a_source_that_hangs_does_not_keep_the_others_from_being_read() -> None:
    slow, quick = FakeSource(), FakeSource(1, 2, 3)
    pool = signals(slow, quick, interval=0.001)
    async with pool.running():
        await wait_until(lambda: quick.asked > 3, "the quick one is asked on and on")
        assert slow.asked == 1


async def test_lost_names_the_signal_and_its_error() -> None:
    source = FakeSource(SignalLostError("connection refused"))
    pool = signals(source)
    assert pool.lost() == ()
    async with pool.running():
        await wait_until(pool.lost, "the signal is lost")
    assert pool.lost() == ("jobs: connection refused",)


async def test_the_sources_are_closed_whatever_ended_the_pool() -> None:
    sources = FakeSource(1), FakeSource()
    with contextlib.suppress(RuntimeError):
        async with signals(*sources).running():
            raise RuntimeError("a fault")
    assert [source.closed for source in sources] == [True, True]


class DeafSource(FakeSource):
    """Takes the first cancellation for its own affair, as `asyncio.wait_for` may (until 3.12)."""

    async def read(self) -> float:
        self.asked += 1
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 1.0


async def test_a_source_that_swallows_the_cancellation_does_not_go_on_for_ever() -> None:
    source = DeafSource()
    async with asyncio.timeout(10), signals(source, interval=0.001).running():
        await wait_until(lambda: source.asked, "the source is asked")
    assert (source.asked, source.closed) == (1, True)
