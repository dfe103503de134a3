"""Kubernetes' HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Any

from fleet.config.policies import HpaDirection
from scaler.policies import hpa_replicas as rules
from scaler.policies.hpa_replicas import Pod
from scaler.windows import Change, Wish, changed_within

NOW = 10_000.0
TOLERANCE = 0.1


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


def _pods(case: dict[str, Any]) -> list[Pod]:
    ignored = {"pending"} if case["kind"] == "pod_average" else {"pending", "unready", "warming"}
    return [
        Pod(value=pod["value"], ignored=pod["state"] in ignored)
        for pod in case["pods"]
        if pod["state"] not in ("failed", "deleting")
    ]


def _calculated(case: dict[str, Any]) -> int:
    current, tolerance = case["current"], case.get("tolerance", TOLERANCE)
    match case["kind"]:
        case "utilization":
            requests = [p["request"] for p in case["pods"] if p["value"] is not None]
            request = sum(requests) / len(requests)
            wanted = case["target_pct"] / 100 * request
            return rules.from_pods(_pods(case), wanted, request, current, tolerance)
        case "pod_average":
            target = case["target"]
            return rules.from_pods(_pods(case), target, target, current, tolerance)
        case "total_value":
            ready = case["ready_pods"]
            return rules.from_total(case["total"], case["target"], current, ready, tolerance)
        case _:
            return rules.from_total_per_replica(case["total"], case["target"], current, tolerance)


def replica_calc(case: dict[str, Any]) -> None:
    assert _calculated(case) == case["expect"]["replicas"]


def rate_limits(case: dict[str, Any]) -> None:
    current, replicas = case["current"], case["desired"]
    condition = "DesiredWithinRange"
    if replicas > current:
        most = rules.up_limit(current, _rule(case["scale_up"]), _changes(case["up_events"]), NOW)
        if replicas > most:
            replicas, condition = most, "ScaleUpLimit"
    elif replicas < current:
        downs = _changes(case["down_events"])
        least = rules.down_limit(current, _rule(case["scale_down"]), downs, NOW)
        if replicas < least:
            replicas, condition = least, "ScaleDownLimit"
    if replicas > case["max"]:
        replicas, condition = case["max"], "TooManyReplicas"
    if replicas < case["min"]:
        replicas, condition = case["min"], "TooFewReplicas"
    assert (replicas, condition) == (case["expect"]["replicas"], case["expect"]["condition"])


def scale_limits(case: dict[str, Any]) -> None:
    limit = rules.up_limit if case["direction"] == "up" else rules.down_limit
    changes = _changes(case.get("events", []))
    assert limit(case["current"], _rule(case), changes, NOW) == case["expect_limit"]


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
        if "error" in metric:
            proposals.append(None)
            continue
        pods = [
            {"value": value, "state": "ready", "request": metric["request"]}
            for value in metric["values"]
        ]
        proposals.append(_calculated({**metric, "current": case["current"], "pods": pods}))
    found = rules.largest(proposals, case["current"])
    assert min(case["max"], max(case["min"], found)) == case["expect"]


def events(case: dict[str, Any]) -> None:
    found = changed_within(_changes(case["events"]), case["period_s"], NOW)
    assert found == case["expect_change_in_period"]
