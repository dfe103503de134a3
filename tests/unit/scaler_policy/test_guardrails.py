"""The guardrails, one by one and together, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaler_kit import scale, seen, total

from fleet.config.schema import Rate
from scaler.guardrails import (
    guard,
    least_after_shrinking,
    most_after_growth,
    pace_of,
)
from scaler.state import VersionState
from scaler.windows import Change, Wish, recorded, remembered

NOW = 1000.0
FREE = {"percent": 100_000, "replicas": 1000}
LOST = total(None, error="no answer within 1s")


def state(
    wishes: tuple[tuple[float, int], ...] = (),
    ups: tuple[tuple[float, int], ...] = (),
    downs: tuple[tuple[float, int], ...] = (),
) -> VersionState:
    """Pairs of age and number."""
    return VersionState(
        wishes=tuple(Wish(NOW - age, n) for age, n in wishes),
        ups=tuple(Change(NOW - age, n) for age, n in ups),
        downs=tuple(Change(NOW - age, n) for age, n in downs),
    )


CASES: dict[str, tuple[int, int, VersionState, dict[str, Any], int, list[str]]] = {
    # present, wanted, state, settings, size, limits
    "growth within the rate passes": (4, 8, state(((1, 4),)), {}, 8, []),
    "growth is cut to twice the size": (
        10,
        50,
        state(((1, 10),)),
        {},
        20,
        ["up (at most 20: 4 or 100% in 15s)"],
    ),
    "a small version may grow by 4": (
        1,
        9,
        state(((1, 1),)),
        {},
        5,
        ["up (at most 5: 4 or 100% in 15s)"],
    ),
    "growth counts from the size the period began with": (
        8,
        20,
        state(((5, 8),), ups=((5, 4),)),
        {},
        8,
        ["up (at most 8: 4 or 100% in 15s)"],
    ),
    "growth before the period does not count": (
        8,
        16,
        state(((15, 8),), ups=((15, 4),)),
        {},
        16,
        [],
    ),
    "growth back to what the period began with is no growth": (
        6,
        30,
        state(((5, 6),), downs=((5, 4),)),
        {},
        20,
        ["up (at most 20: 4 or 100% in 15s)"],
    ),
    "growth from zero gets at least one whatever the rate": (
        0,
        3,
        state(((1, 0),)),
        {"up": {"percent": 100, "replicas": 0}},
        1,
        ["up (at most 1: 0 or 100% in 15s)"],
    ),
    "shrinking waits for what was wanted lately": (
        4,
        2,
        state(((12, 4),)),
        {},
        4,
        ["stabilization (4 wanted 12s ago)"],
    ),
    "shrinking goes to the largest size wanted lately": (
        8,
        2,
        state(((50, 5), (20, 3))),
        {},
        5,
        ["stabilization (5 wanted 50s ago)"],
    ),
    "what was wanted a window ago is forgotten": (8, 2, state(((60, 8), (20, 2))), {}, 2, []),
    "without a window shrinking is immediate": (
        8,
        2,
        state(((1, 8),)),
        {"stabilization": "0s"},
        2,
        [],
    ),
    "a version seen for the first time keeps its size": (
        5,
        0,
        VersionState(),
        {},
        5,
        ["stabilization (5 wanted 0s ago)"],
    ),
    "growth does not wait for anything": (2, 5, state(((1, 2),)), {}, 5, []),
    "shrinking is slowed by its rate": (
        10,
        2,
        state(((5, 2),)),
        {"down": {"percent": 20, "replicas": 1}},
        8,
        ["down (at least 8: 1 or 20% in 15s)"],
    ),
    "shrinking counts from the size the period began with": (
        8,
        2,
        state(((5, 2),), downs=((10, 2),)),
        {"down": {"percent": 20, "replicas": 1}},
        8,
        ["down (at least 8: 1 or 20% in 15s)"],
    ),
    "shrinking to what the period began with is no shrinking": (
        12,
        2,
        state(((5, 2),), ups=((10, 4),)),
        {"down": {"percent": 25, "replicas": 1}},
        6,
        ["down (at least 6: 1 or 25% in 15s)"],
    ),
    "several guards are named in their order": (
        10,
        2,
        state(((30, 5),)),
        {"down": {"percent": 0, "replicas": 1}},
        9,
        ["stabilization (5 wanted 30s ago)", "down (at least 9: 1 or 0% in 15s)"],
    ),
}


@pytest.mark.parametrize(
    ("present", "wanted", "before", "settings", "size", "limits"),
    CASES.values(),
    ids=CASES.keys(),
)
def test_guarded(
    present: int,
    wanted: int,
    before: VersionState,
    settings: dict[str, Any],
    size: int,
    limits: list[str],
) -> None:
    guarded = guard(
        wanted, seen(desired=present, now=NOW), pace_of(scale(**settings), True), before
    )
    assert (guarded.replicas, [str(limit) for limit in guarded.limits]) == (size, limits)


def test_a_lost_signal_keeps_the_size() -> None:
    guarded = guard(1, seen(LOST, desired=4, now=NOW), pace_of(scale(), True), state(((70, 4),)))
    assert guarded.replicas == 4
    assert [str(limit) for limit in guarded.limits] == ["lost (queue: no answer within 1s)"]


@pytest.mark.parametrize(("wanted", "size"), [(2, 2), (1, 1), (0, 1)])
def test_a_lost_signal_with_a_fallback_keeps_from_zero_only(wanted: int, size: int) -> None:
    stood_in = total(0.0, error="gone")
    pace = pace_of(scale(stabilization="0s", up=FREE, down=FREE), True)
    guarded = guard(wanted, seen(stood_in, desired=4, now=NOW), pace, state(wishes=((99, 1),)))
    assert guarded.replicas == size
    assert bool(guarded.limits) == (size != wanted)


def test_a_lost_signal_does_not_keep_from_growing() -> None:
    guarded = guard(6, seen(LOST, desired=4, now=NOW), pace_of(scale(), True), state(((1, 4),)))
    assert (guarded.replicas, guarded.limits) == (6, ())


def test_a_percentage_that_comes_out_even_is_not_rounded_up() -> None:
    rate = Rate(percent=10, replicas=0)
    assert most_after_growth(10, rate, (), (), NOW) == 11
    assert least_after_shrinking(10, rate, (), (), NOW) == 9


def test_changes_older_than_the_period_are_dropped() -> None:
    changes = recorded((Change(NOW - 15, 1), Change(NOW - 14, 2)), Change(NOW, 3), 15)
    assert changes == (Change(NOW - 14, 2), Change(NOW, 3))


@given(
    sizes=st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 50)), min_size=1, max_size=60),
    window=st.floats(0, 60),
)
def test_the_first_wish_is_the_largest_of_the_window(
    sizes: list[tuple[float, int]], window: float
) -> None:
    now = 0.0
    all_: list[Wish] = []
    wishes: tuple[Wish, ...] = ()
    for gap, size in sizes:
        now += gap
        all_.append(Wish(now, size))
        wishes = remembered(wishes, all_[-1], window)
        lately = [w.replicas for w in all_ if w.at > now - window] or [size]
        assert wishes[0].replicas == max(lately)
        assert [w.replicas for w in wishes] == sorted({w.replicas for w in wishes}, reverse=True)


@given(
    present=st.integers(0, 100),
    wanted=st.integers(0, 100),
    ups=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=3),
    percent=st.floats(0, 200),
    replicas=st.integers(0, 10),
)
def test_a_guard_never_moves_a_size_beyond_the_present_or_the_wanted(
    present: int, wanted: int, ups: list[tuple[float, int]], percent: float, replicas: int
) -> None:
    rate = {"percent": percent, "replicas": replicas}
    before = state(((1, present),), ups=tuple(ups), downs=tuple(ups))
    guarded = guard(
        wanted, seen(desired=present, now=NOW), pace_of(scale(up=rate, down=rate), True), before
    )
    assert min(present, wanted) <= guarded.replicas <= max(present, wanted)
    assert (guarded.replicas != wanted) == bool(guarded.limits)
