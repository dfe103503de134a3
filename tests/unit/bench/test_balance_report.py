from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import publish, targets
from bench.balance import report
from bench.balance.chart import chart


def sample(work: str, peer: str, number: int, **figures: float) -> dict[str, Any]:
    return {
        "work": work, "peer": peer, "round": number, "figures": figures,
        "strangers": 0.0, "stolen": 0.0,
    }  # fmt: skip


def run(*samples: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2026-01-01T00:00:00+00:00",
        "seconds": 60,
        "machine": {"cores": 2, "cpu": "A CPU", "memory": 2**30, "kernel": "6", "python": "3.11"},
        "versions": {"haproxy": "HAProxy 2.6"},
        "absent": {},
        "failures": {},
        "samples": list(samples),
    }


P99 = {
    "haproxy leastconn": 0.25,
    "headrace peak_ewma": 0.3,
    "headrace prequal": 0.2,
    "headrace round_robin": 2.0,
    "nginx least_conn": 0.4,
}


@pytest.fixture
def result() -> dict[str, Any]:
    live = [
        sample("live", name, number, p99=p99 * (number + 1), share_failing=0.01, error_rate=0.01)
        for number in range(3)
        for name, p99 in P99.items()
    ]
    overload = sample(
        "overload", "headrace", 0,
        goodput=90.0, capacity=100.0, p99_high=0.2, unloaded_p99_high=0.1, shed_p99=0.004,
    )  # fmt: skip
    return run(*live, overload)


def test_targets_take_the_better_policy_and_the_best_peer(result: dict[str, Any]) -> None:
    lines = list(targets.lines(result, report.TARGETS))

    assert [line.split("|")[3:5] for line in lines[2:]] == [
        [" 0.10 × ", " reached "],
        [" 0.80 × ", " reached "],
        [" 1.00 % ", " reached "],
        [" 1.11 × ", " **missed** "],
        [" 2.00 × ", " **missed** "],
        [" 4.00 ms ", " reached "],
    ]


def test_without_a_learning_policy_its_targets_are_not_measured() -> None:
    lines = list(targets.lines(run(sample("live", "nginx least_conn", 0, p99=1.0)), report.TARGETS))

    assert all(line.endswith("not measured |") for line in lines[2:])


def test_gateways_are_sorted_and_compared_to_round_robin(result: dict[str, Any]) -> None:
    rows = [line for line in report.text(result).splitlines() if line.startswith(("| h", "| n"))]

    assert rows[0].startswith("| headrace prequal | 400 (200 to 600) |")
    assert rows[0].endswith("| 0.10 |")
    assert "| headrace round_robin | 4,000 (2,000 to 6,000) |" in rows[4]


def test_the_chart_is_well_formed_and_names_every_gateway(result: dict[str, Any]) -> None:
    drawn = "".join(ElementTree.fromstring(chart(result)).itertext())

    assert all(name in drawn for name in P99)


def test_a_run_goes_to_its_page(result: dict[str, Any]) -> None:
    assert publish.page_of(result) is publish.BALANCING
    assert publish.page_of(run(sample("small", "nginx", 0, cpu=1.0))) is publish.PERFORMANCE


@pytest.mark.parametrize("page", [publish.BALANCING, publish.PERFORMANCE], ids=lambda p: p.name)
def test_every_page_has_room_for_its_run(page: publish.Page, result: dict[str, Any]) -> None:
    text = (publish.DOCS / f"{page.name}.md").read_text()

    assert "Measured 2026-01-01 on 2 cores" in publish.rewritten(text, result, page)
