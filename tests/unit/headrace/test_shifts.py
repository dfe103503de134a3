"""When weights may move: the rule as a table, and the waiting with its timer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from fleet.config.schema import Config, Pool
from headrace import shifts
from headrace.shifts import Demand, Shifts, shortage
from tests.support.waiting import wait_until


def has(ready: int, busy: int = 0, wanted: int | None = None, **more: Any) -> Demand:
    """A version of 8 slots a replica whose replicas are all ready."""
    size = ready if wanted is None else wanted
    settings: dict[str, Any] = {"slots": 8, "desired": ready, "scaled": True, **more}
    return Demand(ready=ready, busy=busy, wanted=size, **settings)


Case = tuple[dict[str, int], dict[str, int], dict[str, Demand], int, dict[str, int]]
SHORTAGES: dict[str, Case] = {
    "a canary is sized for half of what the pool wants": (
        {"v1": 100, "v2": 0},
        {"v1": 50, "v2": 50},
        {"v1": has(10, busy=60), "v2": has(0)},
        20,
        {"v2": 5},
    ),
    "ready slots that take the new share are enough": (
        {"v1": 95, "v2": 5},
        {"v1": 0, "v2": 100},
        {"v1": has(1, busy=8), "v2": has(1)},
        4,
        {},
    ),
    "a version whose share falls waits for nothing": (
        {"v1": 50, "v2": 50},
        {"v1": 100, "v2": 100},
        {"v1": has(1, busy=8), "v2": has(1, busy=8)},
        4,
        {},
    ),
    "a new version has one ready replica at least": (
        {"v1": 100},
        {"v1": 95, "v2": 5},
        {"v1": has(1, busy=1), "v2": has(0)},
        4,
        {"v2": 1},
    ),
    "one that is ready does for a small share": (
        {"v1": 100, "v2": 0},
        {"v1": 95, "v2": 5},
        {"v1": has(10, busy=80), "v2": has(1)},
        20,
        {},
    ),
    "nothing is taken from others where there is no room": (
        {"v1": 100, "v2": 0},
        {"v1": 50, "v2": 50},
        {"v1": has(10, busy=80), "v2": has(0)},
        12,
        {"v2": 2},
    ),
    "but one it has": (
        {"v1": 100, "v2": 0},
        {"v1": 50, "v2": 50},
        {"v1": has(10, busy=80), "v2": has(0)},
        10,
        {"v2": 1},
    ),
    "replicas with fewer slots are needed more often": (
        {"v1": 100, "v2": 0},
        {"v1": 50, "v2": 50},
        {"v1": has(4, busy=32), "v2": has(0, slots=2)},
        20,
        {"v2": 8},
    ),
    "endpoints that exist already are not waited for": (
        {"v1": 100, "v2": 0},
        {"v1": 0, "v2": 100},
        {"v1": has(4, busy=32), "v2": has(1, scaled=False)},
        20,
        {},
    ),
    "a pool at zero waits for nothing": (
        {"v1": 100, "v2": 0},
        {"v1": 50, "v2": 50},
        {"v1": has(0), "v2": has(0)},
        20,
        {},
    ),
    "nothing waits for versions of which none is ready": (
        {"v1": 100, "v2": 0},
        {"v1": 0, "v2": 100},
        {"v1": has(0, busy=40, desired=4), "v2": has(1)},
        20,
        {},
    ),
    "two versions that rise share the room": (
        {"v1": 100, "v2": 0, "v3": 0},
        {"v1": 20, "v2": 50, "v3": 30},
        {"v1": has(10, busy=80), "v2": has(0), "v3": has(0)},
        16,
        {"v2": 5, "v3": 1},
    ),
}


@pytest.mark.parametrize(
    ("before", "after", "demands", "most", "needs"), SHORTAGES.values(), ids=SHORTAGES
)
def test_shortage(
    before: dict[str, int],
    after: dict[str, int],
    demands: dict[str, Demand],
    most: int,
    needs: dict[str, int],
) -> None:
    assert shortage(before, after, demands, most) == needs


class Pools:
    """A pool `a` of two versions, of which v1 has all the load."""

    def __init__(self, timeout: str = "1h") -> None:
        scale = {"max": 20, "shift_timeout": timeout}
        driver = {"process": {"command": ["agent"]}}
        pool = {"driver": driver, "versions": {"v1": {}, "v2": {"weight": 0}}, "scale": scale}
        self.config = Config.model_validate({"pools": {"a": pool}})
        self.ready: Counter[str] = Counter()
        self.moved: list[dict[str, int]] = []
        self.minimums: list[dict[str, int]] = []
        self.told: list[tuple[str, str]] = []
        self.shifts = Shifts(
            demands=self._demands,
            ready=lambda pool, version: self.ready[version],
            move=lambda pool: self.moved.append(self.shifts.in_force[pool]),
            minimums=lambda pool, sizes: self.minimums.append(dict(sizes)),
            tell=lambda kind, message, pool: self.told.append((kind, message)),
        )
        self.shifts.start({"a": {"v1": 100, "v2": 0}})

    def _demands(self, name: str, pool: Pool) -> Mapping[str, Demand]:
        return {"v1": has(4, busy=32), "v2": has(self.ready["v2"])}

    def set(self, **weights: int) -> dict[str, int]:
        plan = self.shifts.plan(self.config, {"a": weights})
        self.shifts.begin(self.config, plan)
        return plan.weights["a"]


async def test_weights_move_when_the_replicas_are_ready() -> None:
    pools = Pools()
    assert pools.set(v1=50, v2=50) == {"v1": 100, "v2": 0}
    assert pools.minimums == [{"v2": 2}]
    assert pools.shifts.lacking("a") == "v2 (0 of 2 ready)"
    pools.ready["v2"] = 1
    pools.shifts.check("a")
    assert pools.moved == []
    pools.ready["v2"] = 2
    pools.shifts.check("a")
    assert pools.moved == [{"v1": 50, "v2": 50}]
    assert pools.minimums == [{"v2": 2}], "kept until the load of its own is known"
    assert pools.told == [
        ("weights.waiting", "v1=50 v2=50 wait for v2 (0 of 2 ready)"),
        ("weights.moved", "v1=50 v2=50 are in force"),
    ]
    pools.shifts.close()


async def test_weights_move_at_last_and_say_what_was_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shifts, "SETTLE", 0.0)
    pools = Pools(timeout="10ms")
    pools.set(v1=50, v2=50)
    await wait_until(lambda: pools.moved, "the weights move without the replicas")
    assert pools.told[-1] == (
        "weights.moved",
        "v1=50 v2=50 are in force though v2 (0 of 2 ready) took too long",
    )
    await wait_until(lambda: pools.minimums[-1] == {}, "the minimum ends")


async def test_the_same_weights_again_do_not_start_the_wait_anew() -> None:
    pools = Pools()
    pools.set(v1=50, v2=50)
    pools.ready["v2"] = 1
    assert pools.set(v1=50, v2=50) == {"v1": 100, "v2": 0}
    assert len(pools.told) == 1
    assert pools.minimums == [{"v2": 2}]
    pools.shifts.close()


async def test_other_weights_replace_those_that_wait() -> None:
    pools = Pools()
    pools.set(v1=50, v2=50)
    assert pools.set(v1=100, v2=0) == {"v1": 100, "v2": 0}
    assert pools.minimums == [{"v2": 2}, {}]
    pools.ready["v2"] = 9
    pools.shifts.check("a")
    assert pools.moved == []
    assert pools.shifts.lacking("a") == ""


async def test_a_new_beginning_ends_what_waits() -> None:
    pools = Pools(timeout="10ms")
    pools.set(v1=50, v2=50)
    pools.shifts.start({"a": {"v1": 20, "v2": 80}})
    await asyncio.sleep(0.03)
    assert pools.moved == []
    assert pools.minimums == [{"v2": 2}, {}]
    assert pools.shifts.in_force == {"a": {"v1": 20, "v2": 80}}


async def test_weights_taken_end_those_that_wait() -> None:
    pools = Pools()
    pools.set(v1=50, v2=50)
    pools.shifts.take("a", {"v1": 0, "v2": 100})
    assert pools.minimums == [{"v2": 2}, {}]
    assert pools.shifts.lacking("a") == ""
    assert pools.set(v1=0, v2=100) == {"v1": 0, "v2": 100}


async def test_a_timeout_of_zero_moves_at_once() -> None:
    pools = Pools(timeout="0s")
    assert pools.set(v1=50, v2=50) == {"v1": 50, "v2": 50}
    assert pools.told == []


async def test_a_pool_that_is_gone_waits_no_longer() -> None:
    pools = Pools(timeout="10ms")
    pools.set(v1=50, v2=50)
    pools.shifts.begin(pools.config, pools.shifts.plan(pools.config, {}))
    await asyncio.sleep(0.03)
    assert pools.moved == []
