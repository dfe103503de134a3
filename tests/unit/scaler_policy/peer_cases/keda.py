"""KEDA: activation, Prometheus answers, Redis lists, cron."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.config.floors import Schedule
from fleet.config.formula import FormulaError, parse
from fleet.config.schema import Scale, Signal
from scaler.decide import paused
from scaler.policies.hpa_replicas import Tolerance, from_total_per_replica
from scaler.policies.keda import fallback_size, is_active, zero_one
from scaler.schedule import floor
from scaler.signals.answers import Answers
from scaler.signals.formula import target_average
from scaler.signals.prometheus import parse_answer
from scaler.signals.source import SignalLostError
from scaler.signals.standing import Measured, Situation, reading_of

from .forms import UnknownFormError, checked

CONDITION = "conditions of a Kubernetes object; Headrace tells lost signals in its journal"
EVEN_HOURS = "active (10) in even hours, else 0"


def zero_one_case(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "replicas", ready=CONDITION)
    current = case["current"]
    found = zero_one(
        current,
        least=case["min"],
        idle=case["idle"],
        active=case["active"] or case["force_activation"],
        failing=case["error"],
        fallback=case.get("fallback_replicas") or 0,
        cooled=True,
    )
    size = current if found is None else found
    directions = {(True, True): "both", (True, False): "in", (False, True): "out"}
    pause = directions.get((case["pause_in"], case["pause_out"]))
    size = paused(current, size, Scale(pause=pause))
    assert size == expect["replicas"]


def redis_list(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "active", "desired")
    active = is_active([case["list_length"]], case["activation"])
    assert active == expect["active"]
    if expect["desired"] is not None:
        found = from_total_per_replica(
            case["list_length"], case["target"], case["current"], Tolerance(up=0.1, down=0.1)
        )
        assert found.replicas == expect["desired"]


def prometheus(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "error", "value")
    status, body = case["http_status"], case["body"].encode()
    ignore = case["ignore_null_values"]
    if expect.get("error"):
        with pytest.raises(SignalLostError):
            parse_answer(status, body, ignore_null_values=ignore)
        return
    assert parse_answer(status, body, ignore_null_values=ignore) == expect["value"]


def cron(case: dict[str, Any]) -> None:
    for wrong in case.get("invalid", ()):
        with pytest.raises(ValidationError):
            Schedule.model_validate({k: v for k, v in wrong.items() if k != "why"})
    if "start" not in case:
        return
    if case.get("rule") != EVEN_HOURS:
        raise UnknownFormError(f"the rule {case.get('rule')}")
    schedule = Schedule(
        start=case["start"],
        end=case["end"],
        timezone=case["timezone"],
        replicas=case["desired"],
    )
    for hour in range(24):
        at = datetime(2026, 3, 1, hour, 30, tzinfo=UTC).timestamp()
        assert floor([schedule], at) == (0 if hour % 2 else case["desired"])


def fallback(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "error", "implied_replicas", "metric")
    given = case["fallback"] or {"failure_threshold": 0, "replicas": None}
    behavior = re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", given.get("behavior", "static"))
    behavior = behavior.replace("_replicas", "")
    settings: dict[str, Any] = {"failures": given["failure_threshold"], "redis": {"list": "a"}}
    if given["replicas"] is not None:
        settings["fallback"] = {"replicas": given["replicas"], "behavior": behavior}
    if given["failure_threshold"] < 0 or (given["replicas"] or 0) < 0:
        assert expect.get("error")
        with pytest.raises(ValidationError):
            Signal.model_validate(settings)
        return
    signal = Signal.model_validate(settings)
    answers = Answers(failures=case.get("failures_before") or 0)
    value, target = case["scaler_value"], case["target_average"]
    answers = answers.failed("gone") if value is None else answers.found(value, 0.0)
    assert answers.failures == case.get("failures_after", answers.failures)
    error = answers.lost(0.0, stale=0.0, failures=signal.failures, interval=1.0)
    assert error == {None: error, "Happy": None, "Failing": "gone"}[case.get("status")]
    measured = Measured(
        name="a",
        value=answers.value,
        target=target,
        error=error,
        excused=answers.excused(signal.failures),
    )
    now = Situation(desired=case.get("current_replicas") or 0, busy=0, per_replica=1.0)
    reading = reading_of(measured, signal, 1.0, now)
    if expect.get("error"):
        assert reading.value is None
        assert reading.error is not None
        return
    assert reading.value == expect["metric"]
    if "implied_replicas" in expect:
        assert fallback_size([reading]) == expect["implied_replicas"]


def formula(case: dict[str, Any]) -> None:
    if "formula" in case and case["expect"] is None:
        with pytest.raises(FormulaError):
            parse(case["formula"]).value(case["values"])
        return
    if "formula" in case:
        assert parse(case["formula"]).value(case["values"]) == case["expect"]
        return
    answers = Answers().found(case["metric"], 0.0)
    for _ in range(case["failures"] or 0):
        answers = answers.failed("gone")
    lost = answers.lost(0.0, stale=0.0, failures=case["failure_threshold"], interval=1.0)
    assert (answers.value if lost is None else None) == case["expect"]


def average(case: dict[str, Any]) -> None:
    assert target_average(case["targets"]) == pytest.approx(case["expect"])


def multi_trigger(case: dict[str, Any]) -> None:
    """What a ScaledJob calculates over several triggers is a formula over signals here."""
    expect = checked(case["expect"], "active", "max_value", "queue")
    active = {f"t{n}": one for n, one in enumerate(case["triggers"]) if one["active"]}
    assert bool(active) == expect["active"]
    if not active:
        assert (expect["queue"], expect["max_value"]) == (0, 0)
        return
    queues = {name: one["queue"] for name, one in active.items()}
    sizes = {
        name: f"min({name} / {one['target']}, {case['max_replicas']})"
        for name, one in active.items()
    }
    match case["calculation"]:
        case "avg":
            queue, size = _called("mean", active), _called("mean", sizes.values())
        case "sum":
            queue, size = _called("sum", active), _called("sum", sizes.values())
        case "max" | "min" as extreme:
            queue = _called(extreme, active)
            sign = ">=" if extreme == "max" else "<="
            *rest, size = sizes.values()
            for name, one in reversed([*zip(active, rest, strict=False)]):
                best = " && ".join(f"{name} {sign} {other}" for other in active)
                size = f"({best}) ? {one} : {size}"
        case other:
            raise UnknownFormError(f"the calculation {other}")
    assert math.ceil(parse(queue).value(queues)) == expect["queue"]
    found = from_total_per_replica(parse(size).value(queues), 1.0, 0, Tolerance(up=0.1, down=0.1))
    assert min(case["max_replicas"], found.replicas) == expect["max_value"]


def _called(function: str, arguments: Iterable[str]) -> str:
    return f"{function}({', '.join(arguments)})"
