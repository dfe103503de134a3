"""The target policy, as tables: what is measured, what is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaler_kit import ratio, scale, seen, total

from fleet.model import Observation
from scaler.policies import POLICIES, Want


def decide(observation: Observation, tolerance: float = 0.1) -> Want:
    want, memory = POLICIES["target"].decide(observation, scale(tolerance=tolerance), None)
    assert memory is None
    return want


CASES = {
    "a total is divided by what one carries, rounded up": (seen(total(31), desired=1), 4),
    "a total at exactly its target keeps the size": (seen(total(30), desired=3), 3),
    "a total 10 percent above what is carried keeps the size": (seen(total(33), desired=3), 3),
    "a total just over 10 percent above grows": (seen(total(33.1), desired=3), 4),
    "a total 10 percent below what is carried keeps the size": (seen(total(90), desired=10), 10),
    "a total just over 10 percent below shrinks": (seen(total(89), desired=10), 9),
    "a total just below a whole number does not need one more for rounding's sake": (
        seen(total(0.1 + 0.2, 0.1), desired=0),
        3,
    ),
    "a total does not grow further while its replicas start": (
        seen(total(80), desired=8, ready=1, starting=7),
        8,
    ),
    "a tiny total wakes a version at zero": (seen(total(1e-12), desired=0), 1),
    "a total of zero lets go of everything": (seen(total(0), desired=3), 0),
    "a negative total counts as zero": (seen(total(-5), desired=3), 0),
    "the largest proposal wins": (seen(total(5), total(42), total(20), desired=1), 5),
    "a lost signal leaves the choice to the others": (
        seen(total(None, error="down"), total(50), desired=2),
        5,
    ),
    "with every signal lost the size stays": (seen(total(None, error="down"), desired=2), 2),
    "readings of zero do not let go of a request in flight": (
        seen(total(0), desired=1, in_flight=1),
        1,
    ),
    "a request queued at zero asks for one": (seen(total(0), desired=0, queued=1), 1),
    "a ratio multiplies the ready replicas": (seen(ratio(1.5), desired=4), 6),
    "a ratio at most doubles": (seen(ratio(20), desired=4), 8),
    "a ratio within 10 percent keeps the size": (seen(ratio(1.1), desired=4), 4),
    "a ratio below its target shrinks": (seen(ratio(0.5), desired=4), 2),
    "a ratio keeps one replica while there is traffic": (seen(ratio(0.0), desired=4), 1),
    "a ratio holds while replicas start": (
        seen(ratio(20), desired=4, ready=2, starting=2),
        4,
    ),
    "a ratio holds while none is ready": (seen(ratio(20), desired=4, ready=0), 4),
    "a ratio counts broken replicas as idle when it grows": (
        seen(ratio(1.5), desired=4, ready=2),
        4,
    ),
    "a ratio counts broken replicas as busy when it shrinks": (
        seen(ratio(0.5), desired=4, ready=2),
        3,
    ),
    "a ratio without samples proposes nothing": (seen(ratio(None), total(15), desired=1), 2),
}


@pytest.mark.parametrize(("observation", "wanted"), CASES.values(), ids=CASES.keys())
def test_wanted(observation: Observation, wanted: int) -> None:
    assert decide(observation).replicas == wanted


REASONS = {
    "a total": (
        total(20, 5.6, signal="router.in_flight", detail="11 + queue 9 = 20"),
        "router.in_flight 11 + queue 9 = 20 needs 4 replicas at 5.6 each",
    ),
    "a total without detail": (total(3), "queue 3 needs 1 replica at 10 each"),
    "a ratio": (ratio(0.75, 0.5, detail="p95 750ms"), "wait p95 750ms is 1.50 of its target 0.5"),
    "a lost signal": (total(None, error="no answer within 1s"), "queue lost: no answer within 1s"),
    "a ratio without samples": (ratio(None), "wait no samples"),
}


@pytest.mark.parametrize(("reading", "reason"), REASONS.values(), ids=REASONS.keys())
def test_each_proposal_has_its_reason(reading: object, reason: str) -> None:
    want = decide(seen(reading, desired=1))  # type: ignore[arg-type]
    assert [proposal.reason for proposal in want.proposals] == [reason]


def test_the_reason_is_the_winners() -> None:
    want = decide(seen(total(5, signal="a"), total(42, signal="b"), desired=1))
    assert want.reason == "b 42 needs 5 replicas at 10 each"


@given(
    value=st.floats(0, 1e6),
    more=st.floats(0, 1e6),
    target=st.floats(0.1, 1e3),
    desired=st.integers(0, 1000),
)
def test_more_load_never_wants_fewer(
    value: float, more: float, target: float, desired: int
) -> None:
    less = decide(seen(total(value, target), desired=desired)).replicas
    assert decide(seen(total(value + more, target), desired=desired)).replicas >= less


@given(value=st.floats(0, 1e6), target=st.floats(0.1, 1e3), desired=st.integers(0, 1000))
def test_what_is_wanted_carries_the_load_within_the_tolerance(
    value: float, target: float, desired: int
) -> None:
    wanted = decide(seen(total(value, target), desired=desired)).replicas
    assert value <= wanted * target * 1.1 + 1e-6 * max(1.0, value)
