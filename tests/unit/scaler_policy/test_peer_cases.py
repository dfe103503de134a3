"""Facts about other autoscalers, restated from their own tests in one schema.

Every file of the folder is read, and every case of the kinds below is run by name, so that more
files of the same schema run too. The folder is `../shared/cases` beside the repository, or what
HEADRACE_CASES names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from peer_cases import aibrix, erlang, hpa, keda, kpa, nomad, ray

from fleet.config.schema import Scale

DEFAULT: Final = Path(__file__).resolve().parents[4] / "shared" / "cases"
FOLDER: Final = Path(os.environ.get("HEADRACE_CASES", DEFAULT))

Check = Callable[[dict[str, Any]], None]
CHECKS: Final[Mapping[str, Check]] = {
    "aggregate": ray.aggregate,
    "aibrix_apa": aibrix.apa,
    "aibrix_kpa": aibrix.kpa,
    "avg_window": kpa.avg_window,
    "cron": keda.cron,
    "decay_coefficient": kpa.decay_coefficient,
    "decide": kpa.decide,
    "erlang_c": erlang.erlang_c,
    "events": hpa.events,
    "fallback": keda.fallback,
    "formula": keda.formula,
    "gang": ray.gang,
    "halfin_whitt": erlang.halfin_whitt,
    "max_time_window": kpa.max_time_window,
    "max_window": kpa.max_window,
    "min_servers": erlang.min_servers,
    "multi_metric": hpa.multi_metric,
    "nomad_target_value": nomad.target_value,
    "policy": ray.policy,
    "prometheus": keda.prometheus,
    "rate_limits": hpa.rate_limits,
    "redis_list_derived": keda.redis_list,
    "replica_calc": hpa.replica_calc,
    "scale_limits": hpa.scale_limits,
    "scale_to_zero": kpa.scale_to_zero,
    "scaling_factors": ray.scaling_factors,
    "stabilization": hpa.stabilization,
    "stabilization_legacy": hpa.stabilization_legacy,
    "start_state": kpa.start_state,
    "target": kpa.target,
    "target_average": keda.average,
    "zero_one": keda.zero_one_case,
}
"""By the kind of case."""
ELSEWHERE: Final = {
    "defaults": "checked as a whole",
    "job_min": "there are no jobs",
    "job_strategies": "there are no jobs",
    "multi_trigger": "there are no jobs",
}
"""Kinds of which Headrace has nothing, and why."""


def _cases() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.json")):
        for kind, cases in json.loads(file.read_text()).items():
            if kind == "_doc" or not isinstance(cases, list):
                continue
            for number, case in enumerate(cases):
                name = f"{file.stem}/{kind}/{case.get('name', number)}"
                marks = []
                if kind in ELSEWHERE:
                    marks = [pytest.mark.skip(reason=f"{kind}: {ELSEWHERE[kind]}")]
                yield pytest.param(kind, case, id=name, marks=marks)


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no folder of cases at {FOLDER}")
@pytest.mark.parametrize(("kind", "case"), list(_cases()))
def test_case(kind: str, case: dict[str, Any]) -> None:
    CHECKS[kind](case)


DEFAULTS: Final = {
    "kpa": {
        "stable_window_s": ("kpa", "stable_window"),
        "panic_window_pct": ("kpa", "panic_window_percentage"),
        "panic_threshold_pct": ("kpa", "panic_threshold_percentage"),
        "max_scale_up_rate": ("kpa", "max_scale_up_rate"),
        "max_scale_down_rate": ("kpa", "max_scale_down_rate"),
        "scale_to_zero_grace_s": ("kpa", "scale_to_zero_grace_period"),
        "scale_down_delay_s": ("kpa", "scale_down_delay"),
        "tick_s": ("kpa", "tick"),
    },
    "keda": {
        "polling_interval_s": ("keda", "polling_interval"),
        "cooldown_s": ("keda", "cooldown_period"),
        "activation": ("keda", "activation"),
    },
    "ray": {
        "target_ongoing_requests": ("ray", "target_ongoing_requests"),
        "look_back_period_s": ("ray", "look_back_period"),
        "upscale_delay_s": ("ray", "upscale_delay"),
        "downscale_delay_s": ("ray", "downscale_delay"),
        "upscaling_factor": ("ray", "upscaling_factor"),
        "downscaling_factor": ("ray", "downscaling_factor"),
    },
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no folder of cases at {FOLDER}")
@pytest.mark.parametrize("peer", DEFAULTS)
def test_defaults_are_the_originals(peer: str) -> None:
    original = json.loads((FOLDER / f"{peer}.json").read_text())["defaults"]
    settings = Scale()
    for key, (block, name) in DEFAULTS[peer].items():
        assert getattr(getattr(settings, block), name) == original[key], key
