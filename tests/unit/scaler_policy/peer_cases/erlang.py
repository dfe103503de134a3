"""Golden values of queueing theory."""

from __future__ import annotations

from typing import Any

import pytest

from scaler import queueing


def erlang_c(case: dict[str, Any]) -> None:
    servers, offered = case["servers"], case["offered"]
    assert queueing.erlang_c(servers, offered) == pytest.approx(case["erlang_c"], rel=1e-9)
    late = queueing.wait_exceeds(servers, offered, 1.0)
    assert late == pytest.approx(case["p_wait_gt_1_service"], rel=1e-9)


def min_servers(case: dict[str, Any]) -> None:
    found = queueing.servers_for(case["offered"], case["wait_in_service_times"], case["eps"])
    assert found == case["min_servers"]


def halfin_whitt(case: dict[str, Any]) -> None:
    assert queueing.halfin_whitt(case["beta"]) == pytest.approx(case["p_delay"], rel=1e-9)
