"""Kubernetes' HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Any

from fleet.config.policies import HpaDirection
from scaler.policies import hpa_replicas as rules
from scaler.policies.hpa_replicas import Pod, Sized, Tolerance
from scaler.windows import Change, Wish, changed_within

from .forms import UnknownFormError, checked

NOW = 10_000.0


def _rule(given: dict[str, Any]) -> HpaDirection:
    return HpaDirection.model_validate(
        {
            "stabilization_window": 0,
            "select_policy": given["select"].lower(),
            "policies": [
                {"type": p["type"].lower(), "value": p["value"], "period": f"{p['period_s']}s"}
                for p in given["policies"]
            ],
        }
    )


def _changes(events: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(Change(NOW - event["age_s"], event["change"]) for event in events)


def _wishes(case: dict[str, Any]) -> list[Wish]:
    return [Wish(NOW - wish["age_s"], wish["replicas"]) for wish in case["recommendations"]]


STATES = {
    "utilization": {"pending", "unready", "warming"},
    "pod_average": {"pending"},
}
"""States in which a pod is ignored, by the kind of metric."""
KNOWN = {"deleting", "failed", "pending", "ready", "unready", "warming"}


def _pods(case: dict[str, Any], target: float) -> list[Pod]:
    kind = case["kind"]
    pods = case.get("pods")
    if pods is None:
        shared = {"state": "ready", **{k: v for k, v in case.items() if k == "request"}}
        pods = [{"value": value, **shared} for value in case["values"]]
    if unknown := {pod["state"] for pod in pods} - KNOWN:
        raise UnknownFormError(f"a pod is {unknown}")
    kept = [pod for pod in pods if pod["state"] not in ("deleting", "failed")]
    if kind == "utilization":
        return [
            Pod(
                value=None if pod["value"] is None else 100 * pod["value"],
                full=100 * (pod["request"] or 0),
                weight=pod["request"] or 0,
                ignored=pod["state"] in STATES[kind],
            )
            for pod in kept
        ]
    return [
        Pod(value=pod["value"], full=target, ignored=pod["state"] in STATES[kind]) for pod in kept
    ]


def _tolerance(case: dict[str, Any]) -> Tolerance:
    given = case.get("tolerance", 0.1)
    if isinstance(given, dict):
        return Tolerance(up=given.get("up", 0.1), down=given.get("down", 0.1))
    return Tolerance(
        up=case.get("tolerance_up", given),
        down=case.get("tolerance_down", given),
    )


def _calculated(case: dict[str, Any]) -> Sized | None:
    current, tolerance = case["current"], _tolerance(case)
    match case["kind"]:
        case "utilization":
            target = case["target_pct"]
            return rules.from_pods(_pods(case, target), target, current, tolerance)
        case "pod_average":
            target = case["target"]
            return rules.from_pods(_pods(case, target), target, current, tolerance)
        case "total_value":
            ready = case.get("ready_pods", current)
            return rules.from_total(case["total"], case["target"], current, ready, tolerance)
        case "total_per_replica":
            return rules.from_total_per_replica(case["total"], case["target"], current, tolerance)
        case other:
            raise UnknownFormError(f"a metric of kind {other}")


def replica_calc(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "replicas", "observed", "error")
    found = _calculated(case)
    if expect.get("error"):
        assert found is None
        return
    assert found is not None
    assert found.replicas == expect["replicas"]
    assert found.observed == expect.get("observed", found.observed)


def rate_limits(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "replicas", "condition")
    current, replicas = case["current"], case["desired"]
    low, high = case["min"], case["max"]
    condition = "DesiredWithinRange"
    ups, downs = _changes(case.get("up_events", [])), _changes(case.get("down_events", []))
    if replicas > current:
        most = rules.up_limit(current, _rule(case["scale_up"]), ups, downs, NOW)
        if replicas > min(most, high):
            condition = "ScaleUpLimit" if high > most else "TooManyReplicas"
        replicas = min(replicas, most)
    elif replicas < current:
        least = rules.down_limit(current, _rule(case["scale_down"]), ups, downs, NOW)
        if replicas < max(least, low):
            condition = "ScaleDownLimit" if low < least else "TooFewReplicas"
        replicas = max(replicas, least)
    replicas = max(low, min(high, replicas))
    assert (replicas, condition) == (expect["replicas"], expect.get("condition", condition))


def scale_limits(case: dict[str, Any]) -> None:
    changes, current, rule = _changes(case.get("events", [])), case["current"], _rule(case)
    if case["direction"] == "up":
        limit = rules.up_limit(current, rule, changes, (), NOW)
    else:
        limit = rules.down_limit(current, rule, (), changes, NOW)
    assert limit == case["expect_limit"]


def stabilization(case: dict[str, Any]) -> None:
    up, down = case["up_window_s"], case["down_window_s"]
    found = rules.stabilized(case["desired"], case["current"], _wishes(case), up, down, NOW)
    assert found == case["expect"]


def stabilization_legacy(case: dict[str, Any]) -> None:
    window = case["window_s"]
    highest = max([case["desired"], *(w.replicas for w in _wishes(case) if w.at > NOW - window)])
    found = rules.stabilized(case["desired"], highest + 1, _wishes(case), 0, window, NOW)
    assert found == case["expect"]


def multi_metric(case: dict[str, Any]) -> None:
    proposals: list[int | None] = []
    for metric in case["metrics"]:
        sized = None
        if not metric.get("error"):
            sized = _calculated({**metric, "current": case["current"]})
        proposals.append(None if sized is None else sized.replicas)
    found = rules.largest(proposals, case["current"])
    assert min(case["max"], max(case["min"], found)) == case["expect"]


def events(case: dict[str, Any]) -> None:
    found = changed_within(_changes(case["events"]), case["period_s"], NOW)
    assert found == case["expect_change_in_period"]
