"""Golden values of queueing theory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from scaler import queueing


def erlang_c(case: dict[str, Any]) -> None:
    servers, offered = case["servers"], case["offered"]
    waits = queueing.erlang_c(servers, offered)
    assert waits == pytest.approx(case["erlang_c"], rel=1e-9)
    if "mean_wait_over_service" in case:
        assert waits / (servers - offered) == pytest.approx(case["mean_wait_over_service"])
    if "p_wait_gt_1_service" in case:
        late = queueing.wait_exceeds(servers, offered, 1.0)
        assert late == pytest.approx(case["p_wait_gt_1_service"], rel=1e-9)


def min_servers(case: dict[str, Any]) -> None:
    offered = case["offered"]
    found = queueing.servers_for(offered, case["wait_in_service_times"], case["eps"])
    assert found == case["min_servers"]
    if "sqrt_rule_beta" in case:
        assert (found - offered) / math.sqrt(offered) == pytest.approx(case["sqrt_rule_beta"])


def halfin_whitt(case: dict[str, Any]) -> None:
    """Erlang C comes to this limit as the load grows, the nearer the more servers there are."""
    servers = 200_000
    beta = case["beta"]
    spare = (math.sqrt(beta**2 + 4 * servers) - beta) / 2
    waits = queueing.erlang_c(servers, spare * spare)
    assert waits == pytest.approx(case["p_delay"], rel=(1 + beta**2) / math.sqrt(servers))
