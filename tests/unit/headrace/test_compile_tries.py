from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.config.load import load_text
from fleet.config.schema import Config
from fleet.model import Replica, ReplicaState
from fleet.wire import BudgetEntry, CircuitEntry, HedgeEntry, Table, TriesEntry
from headrace import compile as compiled

READY, DRAINING = ReplicaState.READY, ReplicaState.DRAINING
AGENT = {"process": {"command": ["agent"]}}
STATIC = {"static": {"endpoints": ["http://127.0.0.1:9"]}}


def config(route: dict[str, Any] | None = None, **pool: Any) -> Config:
    whole = {
        "routes": [{"match": {"path": "/"}, "pool": "p", **(route or {})}],
        "pools": {"p": {"driver": AGENT, **pool}},
    }
    return load_text(yaml.safe_dump(whole), Path("headrace.yaml"), {})


def table(of: Config) -> Table:
    return compiled.table(of, 1, {"p": {"v1": 100}}, lambda pool, version: 1, ())


def test_without_settings_a_route_has_the_defaults() -> None:
    (route,) = table(config()).routes
    assert route.tries == TriesEntry()


def test_a_route_changes_what_it_names_of_its_pools_settings() -> None:
    (route,) = table(
        config(
            {"retry": {"attempts": 1}, "hedge": {"quantile": 0.9}},
            retry={"attempts": 5, "body": "1KiB", "backoff": "1s", "idempotency_key": True},
        )
    ).routes
    assert route.tries == TriesEntry(
        attempts=1, body=1024, backoff=1.0, idempotency_key=True,
        hedge=HedgeEntry(quantile=0.9, least=0.05),
    )  # fmt: skip


def test_the_budget_and_the_limits_are_the_pools() -> None:
    (pool,) = table(
        config(
            retry={"budget": {"share": 0.5}},
            circuit={"requests": 3},
            versions={"v1": {"circuit": {"pending": 2}}},
        )
    ).pools
    assert pool.budget == BudgetEntry(share=0.5, floor=10.0)
    assert pool.circuit == CircuitEntry(requests=3)
    assert pool.version_circuits == {"v1": CircuitEntry(pending=2)}


def replica(state: ReplicaState) -> Replica:
    return Replica(
        name="p-v1-1",
        pool="p",
        version="v1",
        host="127.0.0.1",
        port=9,
        slots=1,
        state=state,
        cell=0,
    )


STRAINED = {
    "as many as it may": (AGENT, (1, 2), (READY, READY), True),
    "room for one more": (AGENT, (1, 2), (READY,), False),
    "one of them leaving": (AGENT, (1, 2), (READY, DRAINING), False),
    "a fixed size": (AGENT, (2, 2), (READY, READY), False),
    "endpoints that exist already": (STATIC, (1, 2), (READY, READY), False),
}


@pytest.mark.parametrize("case", STRAINED.values(), ids=STRAINED)
def test_a_pool_is_strained_with(
    case: tuple[dict[str, Any], tuple[int, int], tuple[ReplicaState, ...], bool],
) -> None:
    driver, (least, most), states, expected = case
    pool = config(driver=driver, scale={"min": least, "max": most}).pools["p"]
    assert compiled.strained(pool, [replica(state) for state in states]) is expected
