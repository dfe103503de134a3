"""`headrace simulate` as users and CI see it: table, JSON, picture, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.app import create_cli

CONFIG = """
pools:
  support:
    driver: {process: {command: [agent]}}
    concurrency: 2
    scale: {min: 1, max: 10}
"""
FIGURES = {
    "miss_ratio",
    "wait_p50_s",
    "wait_p95_s",
    "wait_p99_s",
    "replica_hours",
    "cost",
    "starts",
    "flips_300s",
    "cut",
}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    config, trace = tmp_path / "agents.yml", tmp_path / "trace.csv"
    config.write_text(CONFIG)
    trace.write_text("5\n" * 60 + "60\n" * 60)
    return ["--config", str(config), "--trace", str(trace), "--service", "exponential:300ms"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(create_cli(), ["simulate", *arguments])


def test_json_has_the_documented_shape(files: list[str]) -> None:
    result = run(*files, "--json", "--seeds", "2", "--seed", "7", "--policy", "target")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert set(found) == {
        "pool", "trace", "seeds", "slo_s", "cold_start", "span_s", "arrived", "left_out",
        "policies",
    }  # fmt: skip
    assert (found["pool"], found["seeds"], found["slo_s"]) == ("support", [7, 8], 1.0)
    assert (found["span_s"], found["arrived"]) == (120.0, 3900)
    assert set(found["policies"]) == {"target"}
    figures = found["policies"]["target"]
    assert set(figures) == FIGURES
    assert 0 < figures["miss_ratio"] < 1
    assert 0 <= figures["wait_p50_s"] <= figures["wait_p95_s"] <= figures["wait_p99_s"]


def test_the_documentation_shows_the_json_and_names_every_figure(files: list[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulation.md").read_text()
    (block,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown, found = json.loads(block), json.loads(run(*files, "--json", "--policy", "target").stdout)
    assert list(shown) == list(found)
    assert list(shown["policies"]["target"]) == list(found["policies"]["target"])
    assert set(re.findall(r"^\| `([a-z0-9_]+)` \|", page, re.MULTILINE)) >= FIGURES


def test_a_table_has_a_row_for_each_policy(files: list[str]) -> None:
    result = run(*files, "--policy", "all", "--price", "2")
    assert result.exit_code == 0
    head, columns, *rows = result.stdout.splitlines()
    assert head == (
        "pool support: 3900 requests in 2m, a miss waits over 1s, replicas start in 10s"
    )
    assert columns.split() == [
        "POLICY", "MISSES", "P50", "P95", "P99", "REPLICA-HOURS", "COST", "STARTS", "FLIPS",
    ]  # fmt: skip
    assert "target" in [row.split()[0] for row in rows]


@pytest.mark.parametrize(
    ("budget", "code", "message"),
    [
        (("--max-miss", "100%"), 0, ""),
        (("--max-cost", "100"), 0, ""),
        (("--max-miss", "0.01%"), 4, "target: misses"),
        (("--max-cost", "0.001"), 4, "target: cost"),
    ],
)
def test_a_budget_that_is_exceeded_fails_the_command(
    files: list[str], budget: tuple[str, str], code: int, message: str
) -> None:
    result = run(*files, "--policy", "target", *budget)
    assert result.exit_code == code
    assert message in result.stderr
    assert "POLICY" in result.stdout


def test_the_picture_is_svg_with_a_line_for_each_policy(files: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    assert run(*files, "--policy", "target", "--plot", str(path)).exit_code == 0
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 1 + 1 + 2 + 1
    assert all(line.get("points") for line in lines)


def test_the_figures_are_not_lost_with_a_picture_that_cannot_be_written(
    files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run.svg").mkdir()
    result = run(*files, "--json", "--plot", str(tmp_path / "run.svg"))
    assert result.exit_code == 1
    assert result.stderr.startswith("headrace: cannot write ")
    assert set(json.loads(result.stdout)["policies"]) == {"slo"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--policy", "none"), 1, "there is no policy 'none'; known are"),
        (("--pool", "none"), 1, "there is no pool 'none'; the configuration has support"),
        (("--slo", "1"), 2, "a duration such as 500ms"),
        (("--max-miss", "2"), 2, "not a share such as 1%"),
        (("--scale", "inf"), 2, "less than or equal to"),
        (("--speed", "nan"), 2, "or equal to"),
        (("--price", "inf"), 2, "less than or equal to"),
        (("--for", "0s"), 1, "it ends at 120s, and the run is from 0s for 0s"),
        (("--cold-start", "slow"), 2, "a duration such as 500ms"),
        (("--trace-format", "none"), 1, "'none' is no trace format"),
        (("--plot", "/nowhere/at/all.svg"), 1, "cannot write /nowhere/at/all.svg"),
        (("--plot", "run.png"), 1, "pictures are SVG: name it run.svg, not run.png"),
        (("--begin", "noon"), 2, "'noon' is no time: write 2026-01-31T12:00:00Z or Unix seconds"),
    ],
)
def test_what_cannot_be_done_is_said(
    files: list[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run(*files, *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("begin", "misses"),
    [("2026-01-05T08:00:00+01:00", False), ("1767596400", False), ("2026-01-05T12:00", True)],
)
def test_a_schedule_goes_by_the_clock_at_which_the_trace_begins(
    tmp_path: Path, begin: str, misses: bool
) -> None:
    config, trace = tmp_path / "agents.yml", tmp_path / "trace.csv"
    schedule = '{start: "30 7 * * 1-5", end: "0 9 * * *", timezone: Europe/Berlin, replicas: 10}'
    config.write_text(CONFIG.replace("max: 10", f"max: 10, schedule: [{schedule}]"))
    trace.write_text("0\n" * 20 + "40\n" * 20)
    files = "--config", str(config), "--trace", str(trace), "--service", "300ms"
    result = run(*files, "--begin", begin, "--json")
    assert result.exit_code == 0, result.output
    assert (json.loads(result.stdout)["policies"]["slo"]["miss_ratio"] > 0) == misses


def test_what_is_not_as_in_the_daemon_is_said(files: list[str], tmp_path: Path) -> None:
    config = tmp_path / "agents.yml"
    config.write_text("""
budgets: {gpu: {replicas: 3}}
pools:
  support:
    versions:
      v1: {weight: 90, concurrency: auto}
      v2: {weight: 10, driver: {static: {endpoints: ["http://127.0.0.1:1", "http://127.0.0.1:2"]}}}
    driver: {process: {command: [agent]}}
    scale:
      max: 4
      dry_run: true
      budget: gpu
      pack: always
      signals:
        - router: {latency: 2s}
        - redis: {list: jobs}
""")
    said = [
        "signals (redis, router.latency): the pool is scaled on its requests alone",
        "version v1: `concurrency: auto` is 100 slots",
        "version v2: static endpoints (2) stay as they are",
        "budget gpu: the pool takes what it wants",
        "dry_run: what is decided is carried out",
        "pack: requests are spread",
    ]
    assert json.loads(run(*files, "--json").stdout)["left_out"] == said
    result = run(*files)
    lines = result.stderr.splitlines()
    assert lines == ["headrace: not as in the daemon:", *(f"  {one}" for one in said)]


def test_a_bad_trace_is_named_with_its_line(files: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("time\n1\nx\n")
    result = run(*files, "--trace", str(bad))
    assert result.exit_code == 1
    assert result.stderr == (
        f"headrace: {bad}:3: column time: expected seconds or a date and time, found 'x'\n"
    )
