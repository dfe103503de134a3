"""Kubernetes' HorizontalPodAutoscaler again, as far as `target` and the guardrails follow it.

They have one number and one percentage per direction, over the same period, of which the larger
change counts; and no window for growth.
"""

from __future__ import annotations

from typing import Any

from scaler_kit import scale, seen, total

from scaler.decide import decide_pool
from scaler.policies.target import decide
from scaler.state import PoolState, VersionState
from scaler.windows import Change, Wish, remembered

NOW = 10_000.0


def expressible(kind: str, case: dict[str, Any]) -> bool:
    """Whether `target` and the guardrails can be set so; a case without all it needs cannot."""
    try:
        match kind:
            case "replica_calc":
                return case["kind"] == "total_per_replica" and "tolerance" not in case
            case "rate_limits":
                return all(_is_rate(case[way]) for way in ("scale_up", "scale_down"))
            case "stabilization":
                return case["up_window_s"] == 0 and all(
                    _holds(case, wish) for wish in case["recommendations"]
                )
            case _:
                return False
    except (KeyError, TypeError):
        return False


def check(kind: str, case: dict[str, Any]) -> None:
    """Check an expressible case."""
    match kind:
        case "replica_calc":
            reading = total(case["total"], case["target"])
            observation = seen(reading, desired=case["current"], ready=case["ready_pods"])
            want, _ = decide(observation, scale(), None)
            assert want.replicas == case["expect"]["replicas"]
        case "rate_limits":
            _rates(case)
        case _:
            _stabilized(case)


def _is_rate(given: dict[str, Any]) -> bool:
    types = [policy["type"] for policy in given["policies"]]
    periods = {policy["period_s"] for policy in given["policies"]}
    return given["select"] == "Max" and len(set(types)) == len(types) and len(periods) == 1


def _holds(case: dict[str, Any], wish: dict[str, Any]) -> bool:
    """A guardrail holds a size back and never raises one that shrinks."""
    return case["desired"] >= case["current"] or wish["replicas"] <= case["current"]


def _rate(given: dict[str, Any]) -> dict[str, Any]:
    values = {policy["type"]: policy["value"] for policy in given["policies"]}
    return {
        "percent": values.get("Percent", 0),
        "replicas": values.get("Pods", 0),
        "period": f"{given['policies'][0]['period_s']}s",
    }


def _changes(events: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(Change(NOW - event["age_s"], event["change"]) for event in events)


def _rates(case: dict[str, Any]) -> None:
    settings = scale(
        min=case["min"],
        max=case["max"],
        stabilization="0s",
        idle="0s",
        up=_rate(case["scale_up"]),
        down=_rate(case["scale_down"]),
    )
    before = VersionState(
        wishes=(Wish(0.0, 0),),
        ups=_changes(case.get("up_events", [])),
        downs=_changes(case.get("down_events", [])),
    )
    observation = seen(total(case["desired"], 1.0), desired=case["current"], now=NOW)
    (decision,), _ = decide_pool([observation], settings, None, PoolState({"v1": before}))
    assert decision.desired == case["expect"]["replicas"]


def _stabilized(case: dict[str, Any]) -> None:
    free = {"percent": 100, "replicas": 1000}
    settings = scale(stabilization=f"{case['down_window_s']}s", up=free, down=free)
    wishes: tuple[Wish, ...] = ()
    for wish in sorted(case["recommendations"], key=lambda one: -one["age_s"]):
        one = Wish(NOW - wish["age_s"], wish["replicas"])
        wishes = remembered(wishes, one, case["down_window_s"])
    observation = seen(total(case["desired"], 1.0), desired=case["current"], now=NOW)
    state = PoolState({"v1": VersionState(wishes=wishes)})
    (decision,), _ = decide_pool([observation], settings, None, state)
    assert decision.desired == case["expect"]
