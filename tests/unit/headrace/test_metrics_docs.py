"""docs/metrics.md and the alert rules are kept in step with the metrics."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from headrace.metrics import METRICS
from headrace.metrics.exposition import create_registry
from headrace.metrics.replicas import STATES
from headrace.metrics.requests import CODES
from tests.support.servers import program
from tests.unit.headrace.fakes import FakeOperations

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
RULES = ROOT / "deploy" / "prometheus-rules.yml"
SUFFIXES = re.compile(r"_(?:bucket|sum|count)$")


def table() -> dict[str, list[str]]:
    rows = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if "| `headrace_" in line]
    return {row[0].strip("`"): row[1:] for row in rows}


def queries() -> list[str]:
    blocks = re.findall(r"^```promql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [row[-1].strip("`") for row in table().values()] + blocks


def unknown_metrics(text: str) -> set[str]:
    return {
        name
        for name in re.findall(r"headrace_[a-z0-9_]+", text)
        if name not in METRICS and SUFFIXES.sub("", name) not in METRICS
    }


def test_the_table_lists_the_metrics_in_order() -> None:
    assert list(table()) == list(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_row(name: str) -> None:
    metric = METRICS[name]
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    *described, query = table()[name]
    assert described == [metric.kind, labels, metric.unit, metric.help]
    assert name in query


def test_values_of_labels_are_named() -> None:
    for value in (*STATES, CODES[0], CODES[1], CODES[2], CODES[-1]):
        assert f"`{value}`" in PAGE


def test_the_number_of_series_is_as_said() -> None:
    lines = generate_latest(create_registry(FakeOperations())).decode().splitlines()
    count = sum('version="v1"' in line for line in lines)
    assert f": {count} for each version" in PAGE


def test_queries_and_alerts_name_only_metrics_that_exist() -> None:
    assert unknown_metrics("\n".join(queries())) == set()
    assert unknown_metrics(RULES.read_text()) - {"headrace_"} == set()


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"q:{i}", "expr": query} for i, query in enumerate(queries())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}))
    checked = subprocess.run(
        [program("promtool"), "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


ALERTS = {
    "one request in ten fails": (
        {
            'headrace_requests_total{pool="a", code="5xx"}': "0+6x20",
            'headrace_requests_total{pool="a", code="2xx"}': "0+54x20",
        },
        "HeadraceErrorRatio",
        {"pool": "a"},
    ),
    "a full queue refuses": (
        {
            'headrace_shed_total{pool="a", version="v1", class="low", reason="lag"}': "0+30x20",
            'headrace_queue_timeouts_total{pool="a", version="v1"}': "0x20",
        },
        "HeadraceQueueSaturated",
        {"pool": "a"},
    ),
    "no replica is ready": (
        {
            'headrace_replicas{pool="a", state="ready"}': "0x20",
            'headrace_replicas_desired{pool="a"}': "2x20",
        },
        "HeadraceNoReadyReplica",
        {"pool": "a"},
    ),
    "the file is rejected": (
        {"headrace_config_last_reload_successful": "0x20"},
        "HeadraceConfigRejected",
        {},
    ),
    "the store is lost": ({"headrace_store_connected": "0x20"}, "HeadraceStoreLost", {}),
    "nobody leads": (
        {
            'headrace_leader{job="a", instance="g:1"}': "0x20",
            'headrace_leader{job="a", instance="h:1"}': "0x20",
        },
        "HeadraceNoLeader",
        {"job": "a"},
    ),
    "a signal is lost": (
        {'headrace_signal_lost{pool="a"}': "1x20"},
        "HeadraceSignalLost",
        {"pool": "a"},
    ),
    "a worker keeps dying": (
        {'headrace_worker_restarts_total{worker="0"}': "0+1x20"},
        "HeadraceWorkerRestarts",
        {"worker": "0"},
    ),
    "the daemon is down": (
        {'up{job="headrace", instance="h:9900"}': "0x20"},
        "HeadraceDown",
        {"job": "headrace", "instance": "h:9900"},
    ),
}


QUIET = {
    'headrace_requests_total{pool="a", code="5xx"}': "0+1x20",
    'headrace_requests_total{pool="a", code="2xx"}': "0+59x20",
    'headrace_requests_total{pool="", code="5xx"}': "0+60x20",
    'headrace_shed_total{pool="a", version="v1", class="low", reason="lag"}': "7x20",
    'headrace_queue_timeouts_total{pool="a", version="v1"}': "7x20",
    'headrace_replicas{pool="a", state="ready"}': "1x20",
    'headrace_replicas_desired{pool="a"}': "1x20",
    'headrace_replicas{pool="asleep", state="ready"}': "0x20",
    'headrace_replicas_desired{pool="asleep"}': "0x20",
    "headrace_config_last_reload_successful": "1x20",
    "headrace_store_connected": "1x20",
    'headrace_leader{job="a", instance="g:1"}': "1x10 0x10",
    'headrace_leader{job="a", instance="h:1"}': "0x10 1x10",
    'headrace_signal_lost{pool="a"}': "0x20",
    'headrace_worker_restarts_total{worker="0"}': "0x10 1x10",
    'up{job="headrace"}': "1x20",
}


def rule_test(series: dict[str, str], firing: list[dict[str, str]]) -> dict[str, object]:
    """A promtool test: after 15 minutes of `series`, exactly the alerts `firing` fire."""
    samples = [
        {"labels": "ALERTS{" + ", ".join(f'{k}="{v}"' for k, v in f.items()) + "}", "value": 1}
        for f in firing
    ]
    expected = {
        "expr": 'ALERTS{alertstate="firing"}',
        "eval_time": "15m",
        "exp_samples": samples,
    }
    return {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in series.items()],
        "promql_expr_test": [expected],
    }


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    severities = {rule["alert"]: rule["labels"] for rule in groups[0]["rules"]}
    assert {alert for _, alert, _ in ALERTS.values()} == severities.keys()
    cases = [
        rule_test(
            series,
            [{"alertname": alert, "alertstate": "firing"} | severities[alert] | labels],
        )
        for series, alert, labels in ALERTS.values()
    ]
    path = tmp_path / "test.yml"
    tests = [*cases, rule_test(QUIET, [])]
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    tested = subprocess.run(
        [program("promtool"), "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
