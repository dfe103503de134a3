from __future__ import annotations

import pytest

from bench.balance.outcome import Reply, figures


def good(latency: float, agent: str = "steady", priority: str = "") -> Reply:
    return Reply(latency, 200, agent, priority)


def test_latencies_are_of_good_replies_only() -> None:
    replies = [good(n / 100) for n in range(1, 101)] + [Reply(0.001, 500, "failing", "")] * 25

    found = figures(replies, 10.0)

    assert (found["p50"], found["p99"], found["p999"]) == (0.5, 0.99, 1.0)
    assert found["error_rate"] == pytest.approx(0.2)
    assert found["goodput"] == 10.0
    assert (found["share_failing"], found["share_steady"]) == (0.2, 0.8)


def test_refusals_are_of_the_gateway_and_reach_no_agent() -> None:
    found = figures([good(0.1), Reply(0.002, 503, "", ""), Reply(0.004, 429, "", "")], 1.0)

    assert found["shed_rate"] == pytest.approx(2 / 3)
    assert found["shed_p99"] == 0.004
    assert found["share_steady"] == 1.0


def test_priorities_have_figures_of_their_own() -> None:
    replies = [good(0.1, priority="high"), good(0.9, priority="low"), Reply(1, 503, "", "low")]

    found = figures(replies, 1.0)

    assert (found["p99_high"], found["served_high"]) == (0.1, 1.0)
    assert (found["p99_low"], found["served_low"]) == (0.9, 0.5)


def test_no_answer_is_an_error() -> None:
    assert figures([Reply(10.0, 0, "", "")], 1.0)["error_rate"] == 1.0


def test_nothing_at_all_has_no_latency() -> None:
    assert figures([], 1.0) == {
        "requests": 0.0,
        "error_rate": 0.0,
        "goodput": 0.0,
        "shed_rate": 0.0,
    }
