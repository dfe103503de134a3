"""Which decision explains a size, at whichever daemon of a cluster it is asked."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fleet.cluster import Role
from fleet.model import Decision, Direction
from fleet.store.client import Store
from headrace.decided import Latest
from scaler.loop import ScalerLoop


def decision(at: float, desired: int) -> Decision:
    return Decision(
        pool="support",
        version="v1",
        at=at,
        current=1,
        wanted=desired,
        desired=desired,
        direction=Direction.UP,
        reason="",
        proposals=(),
        limits=(),
    )


class Here:
    """This daemon's scaler and the journal of all."""

    def __init__(self, own: Decision | None, *told: Decision) -> None:
        self._own = own
        self._told = told

    def latest(self, pool: str, version: str) -> Decision | None:
        return self._own

    async def decision_at(self, pool: str, version: str, at: float) -> Decision | None:
        kept = [one for one in self._told if one.at <= at]
        return max(kept, key=lambda one: one.at, default=None)


OWN, TOLD, AHEAD = decision(150.0, 7), decision(100.0, 4), decision(9e9, 5)
CASES: dict[str, tuple[Role | None, Decision | None, tuple[Decision, ...], Decision | None]] = {
    "by itself: its own": (None, OWN, (TOLD,), OWN),
    "by itself, not decided yet": (None, None, (TOLD,), None),
    "the leader: its own, whatever clock others have": (Role.LEADER, OWN, (AHEAD,), OWN),
    "the leader, not decided yet": (Role.LEADER, None, (TOLD,), TOLD),
    "alone: its own": (Role.ALONE, OWN, (TOLD,), OWN),
    "one that led before: not its own any longer": (Role.FOLLOWER, OWN, (TOLD,), TOLD),
    "a follower whose clock is behind": (Role.FOLLOWER, None, (TOLD, AHEAD), AHEAD),
    "nothing is known": (Role.FOLLOWER, None, (), None),
}


@pytest.mark.parametrize(("role", "own", "told", "found"), CASES.values(), ids=CASES)
async def test_the_latest_decision(
    role: Role | None, own: Decision | None, told: tuple[Decision, ...], found: Decision | None
) -> None:
    here: Any = Here(own, *told)
    latest = Latest(cast("ScalerLoop", here), cast("Store", here), role)
    assert await latest.of("support", ["v1"], None) == ([found] if found else [])


async def test_the_decision_of_a_time_is_that_of_the_journal() -> None:
    here: Any = Here(OWN, TOLD, AHEAD)
    latest = Latest(cast("ScalerLoop", here), cast("Store", here), Role.LEADER)
    assert await latest.of("support", ["v1"], 120.0) == [TOLD]
    assert await latest.of("support", ["v1"], 99.0) == []
