"""Which decisions reach the journal."""

from __future__ import annotations

import pytest

from fleet.model import Decision, Direction
from scaler.telling import Telling

HOLD, UP = Direction.HOLD, Direction.UP
STABLE = "stabilization (4 wanted 12s ago)"
STABLE_LATER = "stabilization (4 wanted 13s ago)"
LOST = "lost (queue: no answer)"

CASES: dict[str, tuple[list[tuple[Direction, tuple[str, ...]]], list[bool]]] = {
    "a plain hold is not told": ([(HOLD, ())], [False]),
    "each change of size is told": ([(UP, ()), (UP, ())], [True, True]),
    "a guardrail is told when it begins to keep the size": (
        [(HOLD, ()), (HOLD, (STABLE,)), (HOLD, (STABLE_LATER,))],
        [False, True, False],
    ),
    "load that comes and goes around a bound is told once": (
        [(HOLD, (STABLE,)), (HOLD, ()), (HOLD, (STABLE,))],
        [True, False, False],
    ),
    "another guardrail is told too": (
        [(HOLD, (STABLE,)), (HOLD, (STABLE, LOST)), (HOLD, (LOST,))],
        [True, True, False],
    ),
    "after a change the same guardrail is told again": (
        [(HOLD, (STABLE,)), (UP, ()), (HOLD, (STABLE,))],
        [True, True, True],
    ),
    "a guardrail told with a change is not told again": (
        [(UP, (STABLE,)), (HOLD, (STABLE,))],
        [True, False],
    ),
}


@pytest.mark.parametrize(("steps", "told"), CASES.values(), ids=CASES.keys())
def test_telling(steps: list[tuple[Direction, tuple[str, ...]]], told: list[bool]) -> None:
    telling = Telling()
    decisions = [
        Decision(
            pool="support",
            version="v1",
            at=0.0,
            current=4,
            wanted=4,
            desired=4,
            direction=direction,
            reason="because",
            limits=limits,
        )
        for direction, limits in steps
    ]
    assert [telling.worth(decision) for decision in decisions] == told
