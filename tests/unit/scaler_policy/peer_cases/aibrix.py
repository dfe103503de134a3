"""AIBrix' two pod autoscalers."""

from __future__ import annotations

import math
from typing import Any

from fleet.config.policies import Apa
from scaler.policies import apa as policy
from scaler.policies.kpa import KpaPast, KpaSpec, scale


def apa(case: dict[str, Any]) -> None:
    settings = Apa(
        up_fluctuation_tolerance=case["tol_up"],
        down_fluctuation_tolerance=case["tol_down"],
        max_scale_up_rate=case["max_up"],
        max_scale_down_rate=case["max_down"],
    )
    found = policy.scale(case["per_pod"], case["target"], case["current"], settings)
    assert found == case["expect"]


def kpa(case: dict[str, Any]) -> None:
    """Whether there is panic is decided elsewhere in AIBrix; from none, one is the most."""
    spec = KpaSpec(
        target=case["target"],
        max_up_rate=case["max_up"] if case["current"] else 1.0,
        max_down_rate=case["max_down"],
        activation_scale=case["activation"],
        panic_threshold=math.inf,
    )
    panic = 0.0 if case["in_panic"] else None
    past = KpaPast(panic_since=panic, max_panic=case["max_panic"])
    found, _ = scale(spec, past, 1.0, case["current"], case["stable"], case["panic"])
    assert found == case["expect"]
