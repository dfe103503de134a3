"""KEDA: activation, Prometheus answers, Redis lists, cron."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.config.floors import Schedule
from fleet.config.formula import parse
from fleet.config.schema import Scale, Signal
from scaler.decide import paused
from scaler.policies.hpa_replicas import from_total_per_replica
from scaler.policies.keda import is_active, zero_one
from scaler.schedule import floor
from scaler.signals.answers import Answers
from scaler.signals.formula import target_average
from scaler.signals.prometheus import parse_answer
from scaler.signals.source import SignalLostError
from scaler.signals.standing import Measured, Situation, reading_of


def zero_one_case(case: dict[str, Any]) -> None:
    current = case["current"]
    found = zero_one(
        current,
        least=case["min"],
        idle=case["idle"],
        active=case["active"] or case["force_activation"],
        failing=case["error"],
        cooled=True,
    )
    size = current if found is None else found
    directions = {(True, True): "both", (True, False): "in", (False, True): "out"}
    pause = directions.get((case["pause_in"], case["pause_out"]))
    size = paused(current, size, Scale(pause=pause))
    assert size == case["expect"]["replicas"]


def redis_list(case: dict[str, Any]) -> None:
    active = is_active([case["list_length"]], case["activation"])
    assert active == case["expect"]["active"]
    if case["expect"]["desired"] is not None:
        found = from_total_per_replica(case["list_length"], case["target"], case["current"], 0.1)
        assert found == case["expect"]["desired"]


def prometheus(case: dict[str, Any]) -> None:
    """A case in which KEDA reads nothing as zero is told as an expected failure of its own."""
    status, body = case["http_status"], case["body"].encode()
    if case["expect"].get("error"):
        with pytest.raises(SignalLostError):
            parse_answer(status, body)
        return
    try:
        value = parse_answer(status, body)
    except SignalLostError as lost:
        if case["expect"]["value"] == 0 and case["ignore_null_values"]:
            pytest.xfail(f"KEDA reads this answer as 0; here it is lost, on purpose: {lost}")
        raise
    assert value == case["expect"]["value"]


def cron(case: dict[str, Any]) -> None:
    for wrong in case.get("invalid", ()):
        with pytest.raises(ValidationError):
            Schedule.model_validate({k: v for k, v in wrong.items() if k != "why"})
    if "start" in case:
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
    given = case["fallback"] or {"failure_threshold": 0, "replicas": None, "behavior": "static"}
    behavior = re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", given["behavior"])
    behavior = behavior.replace("_replicas", "")
    settings: dict[str, Any] = {"failures": given["failure_threshold"], "redis": {"list": "a"}}
    if given["replicas"] is not None:
        settings["fallback"] = {"replicas": given["replicas"], "behavior": behavior}
    if given["failure_threshold"] < 0:
        with pytest.raises(ValidationError):
            Signal.model_validate(settings)
        return
    signal = Signal.model_validate(settings)
    answers = Answers(failures=case["failures_before"] or 0)
    value = case["scaler_value"]
    answers = answers.failed("gone") if value is None else answers.found(value, 0.0)
    if "failures_after" in case:
        assert answers.failures == case["failures_after"]
    error = answers.lost(0.0, stale=0.0, failures=signal.failures, interval=1.0)
    if "status" in case:
        assert error == (None if case["status"] == "Happy" else "gone")
    target = case["target_average"]
    measured = Measured(name="a", value=answers.value, target=target, error=error)
    now = Situation(desired=case["current_replicas"] or 0, busy=0, per_replica=1.0)
    if answers.failures and answers.failures <= signal.failures:
        # nothing was ever read, so that no value counts while it is not lost yet
        signal = signal.model_copy(update={"fallback": None})
    reading = reading_of(measured, signal, 1.0, now)
    if case["expect"].get("error"):
        assert reading.value is None
        assert reading.error is not None
    else:
        assert reading.value == case["expect"]["metric"]


def formula(case: dict[str, Any]) -> None:
    if "formula" in case:
        assert parse(case["formula"]).value(case["values"]) == case["expect"]
        return
    answers = Answers().found(case["metric"], 0.0)
    for _ in range(case["failures"]):
        answers = answers.failed("gone")
    lost = answers.lost(0.0, stale=0.0, failures=case["failure_threshold"], interval=1.0)
    assert (answers.value if lost is None else None) == case["expect"]


def average(case: dict[str, Any]) -> None:
    assert target_average(case["targets"]) == pytest.approx(case["expect"])
