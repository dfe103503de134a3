"""Signals from outside: shared by weight, lost and found, never waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from scaler_kit import Journal, totals

from fleet.clock import ManualClock
from fleet.config.schema import RouterSignal
from fleet.model import Event, Reading
from scaler.signals.poller import NOT_READ_YET, Poller
from scaler.signals.pool import PoolSignals
from scaler.signals.source import SignalLostError
from tests.support.waiting import wait_until


class FakeSource:
    """Answers what is put in; an exception is raised, None is waited for forever."""

    name = "jobs"
    per_replica = 5.0

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


def poller(source: FakeSource, clock: ManualClock, journal: Journal) -> Poller:
    def tell(kind: str, message: str) -> None:
        journal.event(Event(at=clock.wall(), kind=kind, message=message))

    return Poller(source, clock, 1.0, tell)


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
    assert one.reading(1.0) == Reading(signal="jobs", value=7, target=5)
    await one.ask()
    assert one.reading(1.0) == Reading(signal="jobs", value=None, target=5, error="gone")


async def test_a_signal_not_read_yet_is_without_value_and_not_told_of() -> None:
    journal = Journal()
    one = poller(FakeSource(), ManualClock(), journal)
    assert one.reading(1.0).error == NOT_READ_YET
    assert journal.events == []


async def test_a_fault_in_a_source_is_a_lost_signal() -> None:
    one = poller(FakeSource(KeyError("pending")), ManualClock(), Journal())
    await one.ask()
    assert one.error == "KeyError: 'pending'"


async def test_a_version_answers_for_its_share() -> None:
    one = poller(FakeSource(40), ManualClock(), Journal())
    await one.ask()
    reading = one.reading(0.05)
    assert (reading.value, reading.detail) == (2.0, "0.05 of 40 = 2")


def signals(*sources: FakeSource, interval: float = 60.0) -> PoolSignals:
    return PoolSignals(
        [RouterSignal()],
        sources,
        clock=ManualClock(),
        interval=interval,
        on_event=lambda kind, message: None,
    )


def outside(pool: PoolSignals, weights: dict[str, int]) -> dict[str, list[float | None]]:
    """The values of all readings but the router's, by version."""
    return {
        version: [
            reading.value
            for reading in pool.read(version, totals(), weights, slots=1, ready=1, now=0.0)
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
