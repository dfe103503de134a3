"""KEDA: activation, Prometheus answers, Redis lists, cron."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.config.floors import Schedule
from fleet.config.schema import Scale
from scaler.decide import paused
from scaler.policies.hpa_replicas import from_total_per_replica
from scaler.policies.keda import is_active, zero_one
from scaler.schedule import floor
from scaler.signals.prometheus import parse_answer
from scaler.signals.source import SignalLostError


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
    """What KEDA reads as zero by default is lost here, on purpose; what it refuses is too."""
    try:
        value = parse_answer(case["http_status"], case["body"].encode())
    except SignalLostError:
        assert case["expect"].get("error") or case["ignore_null_values"]
    else:
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
