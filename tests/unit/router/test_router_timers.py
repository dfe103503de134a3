from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.timers import NEVER, TimerWheel

TICK = 0.05


class Item:
    def __init__(self, wheel: TimerWheel) -> None:
        self.wheel = wheel
        self.deadline = NEVER
        self.filed = -1.0
        self.fired: list[float] = []
        self.again: list[float] = []

    def at(self, deadline: float) -> None:
        self.deadline = deadline
        self.wheel.file(self)

    def on_deadline(self, now: float) -> None:
        self.fired.append(now)
        if self.again:
            self.deadline = now + self.again.pop(0)
        else:
            self.wheel.forget(self)


class Run:
    def __init__(self, start: float = 100.0) -> None:
        self.now = start
        self.wheel = TimerWheel(start, TICK)

    def item(self, after: float) -> Item:
        item = Item(self.wheel)
        item.at(self.now + after)
        return item

    def advance(self, seconds: float, step: float = TICK) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.wheel.advance(self.now)


@given(
    st.floats(0, 1000), st.lists(st.floats(0, 12), min_size=1, max_size=20), st.floats(0.01, 0.4)
)
def test_a_deadline_fires_once_never_early_and_at_most_a_tick_late(
    start: float, delays: list[float], step: float
) -> None:
    run = Run(start)
    items = [run.item(delay) for delay in delays]
    due = [item.deadline for item in items]
    run.advance(13, step)
    for item, deadline in zip(items, due, strict=True):
        (fired,) = item.fired
        assert deadline <= fired <= deadline + 2 * TICK + step


def test_one_moved_later_by_a_plain_store_fires_then() -> None:
    run = Run()
    item = run.item(1)
    item.deadline = run.now + 5
    run.advance(4.9)
    assert item.fired == []
    run.advance(0.2)
    assert len(item.fired) == 1


def test_one_moved_earlier_and_filed_again_fires_then_and_not_twice() -> None:
    run = Run()
    item = run.item(2)
    item.at(run.now + 1)
    run.advance(0.9)
    assert item.fired == []
    run.advance(0.2)
    assert len(item.fired) == 1
    run.advance(5)
    assert len(item.fired) == 1


def test_a_forgotten_one_does_not_fire() -> None:
    run = Run()
    item = run.item(1)
    run.wheel.forget(item)
    run.advance(5)
    assert item.fired == []


def test_one_forgotten_and_filed_again_fires_once() -> None:
    run = Run()
    item = run.item(1)
    run.wheel.forget(item)
    item.at(run.now + 1)
    run.advance(5)
    assert len(item.fired) == 1


def test_one_that_moves_itself_fires_again() -> None:
    run = Run()
    item = run.item(1)
    item.again = [1, 4]
    run.advance(2.2)
    assert len(item.fired) == 2
    run.advance(3.7)
    assert len(item.fired) == 2
    run.advance(0.4)
    assert len(item.fired) == 3


def test_a_pause_longer_than_the_wheel_loses_nobody() -> None:
    run = Run()
    items = [run.item(delay / 10) for delay in range(1, 60)]
    run.advance(20, step=20)
    assert [len(item.fired) for item in items] == [1] * len(items)


def test_one_without_deadline_stays_until_it_has_one() -> None:
    run = Run()
    item = run.item(1)
    item.deadline = NEVER
    run.advance(10)
    assert item.fired == []
    item.deadline = run.now + 5
    run.advance(8.3)
    assert len(item.fired) == 1


def test_a_fault_in_one_leaves_the_others_their_turn_and_does_not_come_back() -> None:
    run = Run()
    broken, fine = run.item(1.0), run.item(1.0)

    def fail(now: float) -> None:
        raise ValueError("broken")

    broken.on_deadline = fail  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup):
        run.advance(2.0)
    run.advance(5.0)
    assert len(fine.fired) == 1
