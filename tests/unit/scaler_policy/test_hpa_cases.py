"""Facts about the Kubernetes HPA, whose semantics totals, rates and stabilization follow.

The cases are restated from its own unit tests and lie beside the repository. Only those are run
that Headrace can express: one number and one percentage per direction, over the same period.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scaler_kit import scale, seen, total

from scaler.decide import decide_pool
from scaler.policies.target import decide
from scaler.state import PoolState, VersionState
from scaler.windows import Change, Wish

FILE = Path(__file__).resolve().parents[4] / "shared" / "cases" / "hpa.json"
CASES = json.loads(FILE.read_text()) if FILE.exists() else {}
NOW = 10_000.0

pytestmark = pytest.mark.skipif(
    not CASES, reason="the cases of peers are not beside the repository"
)


def cases(section: str, **wanted: Any) -> list[Any]:
    found = [
        case
        for case in CASES.get(section, ())
        if all(case.get(key) == value for key, value in wanted.items())
    ]
    return [pytest.param(case, id=case["name"]) for case in found]


def rate(policies: list[dict[str, Any]]) -> dict[str, Any]:
    (period,) = {policy["period_s"] for policy in policies}
    values = {policy["type"]: policy["value"] for policy in policies}
    return {
        "percent": values.get("Percent", 0),
        "replicas": values.get("Pods", 0),
        "period": f"{period}s",
    }


def changes(events: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(Change(NOW - event["age_s"], event["change"]) for event in events)


@pytest.mark.parametrize("case", cases("replica_calc", kind="total_per_replica"))
def test_a_total(case: dict[str, Any]) -> None:
    reading = total(case["total"], case["target"])
    want, _ = decide(
        seen(reading, desired=case["current"], ready=case["ready_pods"]), scale(), None
    )
    assert want.replicas == case["expect"]["replicas"]


@pytest.mark.parametrize("case", cases("rate_limits"))
def test_rates_and_bounds(case: dict[str, Any]) -> None:
    settings = scale(
        min=case["min"],
        max=case["max"],
        stabilization="0s",
        idle="0s",
        up=rate(case["scale_up"]["policies"]),
        down=rate(case["scale_down"]["policies"]),
    )
    before = VersionState(
        wishes=(Wish(0.0, 0),),
        ups=changes(case["up_events"]),
        downs=changes(case["down_events"]),
    )
    observation = seen(total(case["desired"], 1.0), desired=case["current"], now=NOW)
    (decision,), _ = decide_pool([observation], settings, None, PoolState({"v1": before}))
    assert decision.desired == case["expect"]["replicas"]


@pytest.mark.parametrize("case", cases("stabilization", up_window_s=0))
def test_stabilization(case: dict[str, Any]) -> None:
    free = {"percent": 100, "replicas": 1000}
    settings = scale(stabilization=f"{case['down_window_s']}s", up=free, down=free)
    wishes = tuple(Wish(NOW - wish["age_s"], wish["replicas"]) for wish in case["recommendations"])
    observation = seen(total(case["desired"], 1.0), desired=case["current"], now=NOW)
    state = PoolState({"v1": VersionState(wishes=wishes)})
    (decision,), _ = decide_pool([observation], settings, None, state)
    assert decision.desired == case["expect"]
