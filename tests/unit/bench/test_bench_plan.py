from __future__ import annotations

from dataclasses import asdict

import pytest

from bench import publish
from bench.balance import plan as balance_plan
from bench.balance import report as balance_report
from bench.plan import FULL, QUICK
from bench.report import TABLES
from bench.works import NOT_QUICK, WORKS
from bench.works.soak import Memory


@pytest.mark.parametrize(
    ("quick", "full"),
    [
        pytest.param(QUICK, FULL, id="make bench"),
        pytest.param(balance_plan.QUICK, balance_plan.FULL, id="make bench-balance"),
    ],
)
def test_nothing_of_a_quick_run_takes_longer(quick: object, full: object) -> None:
    for name, value in asdict(quick).items():  # type: ignore[call-overload]
        most = asdict(full)[name]  # type: ignore[call-overload]
        assert len(value) <= len(most) if isinstance(value, tuple) else value <= most, name


def test_every_work_has_its_table() -> None:
    assert {table.work for table in TABLES} == set(WORKS)
    assert set(WORKS) > NOT_QUICK


def test_the_works_of_the_two_pages_have_different_names() -> None:
    assert not set(WORKS) & {table.work for table in balance_report.TABLES}
    assert publish.BALANCING.reference != publish.PERFORMANCE.reference


def test_memory_is_judged_after_its_warm_up() -> None:
    memory = Memory()
    for at in range(300):
        memory.times.append(float(at))
        memory.worker.append(min(at, 100) * 1000.0)
        memory.control.append(5000.0 + 20.0 * at)

    figures = memory.figures()

    assert figures["slope_worker"] == pytest.approx(0.0)
    assert figures["slope_control"] == pytest.approx(20.0)
    assert figures["rss_worker"] == 100_000.0
