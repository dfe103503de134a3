"""Facts about other autoscalers, restated from their own tests in one schema.

Every file of the folder is read, and every case of it is run by name, so that more cases and files
of the same schema run too; what is of no known form fails. The folder is `../shared/cases` beside
the repository, or what HEADRACE_CASES names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from peer_cases import aibrix, erlang, hpa, keda, kpa, nomad, ray, target
from peer_cases.defaults import DEFAULTS, ELSEWHERE_SET
from peer_cases.forms import UnknownFormError

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
    "multi_trigger": keda.multi_trigger,
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
_NO_JOBS: Final = (
    "a ScaledJob starts jobs that end by themselves, a replica serves until it is stopped"
)
ELSEWHERE: Final = {"job_min": _NO_JOBS, "job_strategies": _NO_JOBS}
"""Kinds of which Headrace has nothing, and why."""


def _sections() -> Iterator[tuple[str, str, Any]]:
    """Every file and section of the folder; a file that cannot be read is a section of its own."""
    for file in sorted(FOLDER.glob("*.json")):
        try:
            content = json.loads(file.read_text())
        except ValueError:
            content = None
        if not isinstance(content, dict):
            content = {"a file that is no mapping in JSON": {}}
        for section, given in content.items():
            yield file.stem, section, given


def _cases() -> Iterator[Any]:
    for file, kind, cases in _sections():
        if kind in ("_doc", "defaults"):
            continue
        for number, case in enumerate(cases if isinstance(cases, list) else [cases]):
            given = case.get("name", number) if isinstance(case, dict) else number
            marks = []
            if kind in ELSEWHERE:
                marks = [pytest.mark.skip(reason=f"{kind}: {ELSEWHERE[kind]}")]
            yield pytest.param(kind, case, id=f"{file}/{kind}/{given}", marks=marks)


def check(kind: str, case: dict[str, Any]) -> None:
    """Check one case. Raises UnknownFormError for one that is not understood."""
    if kind not in CHECKS:
        raise UnknownFormError(f"nothing checks {kind}")
    try:
        CHECKS[kind](case)
    except KeyError as missing:
        raise UnknownFormError(f"a case of the kind {kind} without {missing}") from missing


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no folder of cases at {FOLDER}")
@pytest.mark.parametrize(("kind", "case"), list(_cases()))
def test_case(kind: str, case: dict[str, Any]) -> None:
    check(kind, case)


@pytest.mark.parametrize(
    ("kind", "case"), [one for one in _cases() if target.expressible(*one.values)]
)
def test_target_and_the_guardrails_follow_hpa(kind: str, case: dict[str, Any]) -> None:
    target.check(kind, case)


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param("tea", {}, id="a kind that is not known"),
        pytest.param("events", {"events": []}, id="a case without what its kind has"),
        pytest.param(
            "replica_calc",
            {"kind": "tea", "current": 1, "expect": {"replicas": 1}},
            id="a metric of a kind that is not known",
        ),
        pytest.param(
            "prometheus",
            {"http_status": 200, "body": "{}", "ignore_null_values": True, "expect": {"tea": 1}},
            id="an expectation that nothing compares",
        ),
        pytest.param("cron", {"start": "0 1 * * *", "rule": "tea"}, id="a rule in other words"),
    ],
)
def test_what_is_of_no_known_form_fails(kind: str, case: dict[str, Any]) -> None:
    with pytest.raises(UnknownFormError):
        check(kind, case)


def _defaults() -> Iterator[Any]:
    for file, section, defaults in _sections():
        if section != "defaults":
            continue
        peer = file.partition("_")[0]
        for key, value in defaults.items():
            if key not in ELSEWHERE_SET.get(peer, {}):
                yield pytest.param(peer, key, value, id=f"{file}/{key}")


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no folder of cases at {FOLDER}")
@pytest.mark.parametrize(("peer", "key", "original"), list(_defaults()))
def test_a_default_is_the_originals(peer: str, key: str, original: Any) -> None:
    if (peer, key) not in DEFAULTS:
        raise UnknownFormError(f"a default of {peer} called {key}")
    assert DEFAULTS[peer, key](Scale()) == original
