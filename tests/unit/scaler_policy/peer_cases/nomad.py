"""Nomad's target-value strategy."""

from __future__ import annotations

from typing import Any

from fleet.config.policies import Nomad
from scaler.policies import nomad


def target_value(case: dict[str, Any]) -> None:
    settings = Nomad(
        threshold=case["threshold"],
        max_scale_up=case.get("max_scale_up"),
        max_scale_down=case.get("max_scale_down"),
    )
    assert nomad.scale(case["value"], case["target"], case["count"], settings) == case["expect"]
