"""Searching parameters: what is drawn, what is chosen, what is printed."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.config.load import load_text
from fleet.config.schema import Scale
from headrace.cli.app import create_cli
from scaler.policies import POLICIES
from scaler.simulate.edit import UneditableError
from scaler.simulate.knobs import KNOBS, candidates, near, value_of, with_setting
from scaler.simulate.session import with_policy
from scaler.simulate.summary import Summary
from scaler.simulate.tuning import Score, best, diff_of, edits, frontier, relative, scores

DRIVER = "    driver: {process: {command: [agent]}}"


def summary(misses: float, hours: float) -> Summary:
    return Summary(
        miss_ratio=misses,
        wait_p50_s=0.0,
        wait_p95_s=0.0,
        wait_p99_s=0.0,
        replica_hours=hours,
        cost=hours,
        starts=0,
        flips_300s=0,
        cut=0,
    )


def score(misses: float, cost: float) -> Score:
    return Score(setting={"tolerance": misses}, miss_ratio=misses, cost=cost)


def test_every_policy_can_be_tuned() -> None:
    assert list(KNOBS) == list(POLICIES)


@pytest.mark.parametrize("policy", KNOBS)
def test_every_knob_turns_its_own_key_in_the_file(policy: str) -> None:
    text = f"pools:\n  a:\n{DRIVER}\n    scale: {{max: 9, policy: {policy}}}\n"
    settings = load_text(text, Path("a.yml"), {}).pools["a"].scale
    for knob in KNOBS[policy]:
        for value in knob.values:
            wanted = with_setting(settings, {knob.path: value})
            assert value_of(wanted, knob) == value
            changes = edits("a", settings, settings, {knob.path: value})
            if changes:
                assert diff_of(text, Path("a.yml"), "a", changes, wanted)
            else:
                assert value_of(settings, knob) == value


def test_a_turned_knob_leaves_the_other_settings() -> None:
    before = Scale(max=9)
    after = with_setting(before, {"router.utilization": 0.5, "stabilization": 30.0})
    assert after.model_copy(update={"signals": (), "stabilization": None}) == before


def test_candidates_are_drawn_once_each_and_by_seed() -> None:
    drawn = candidates("target", 30, 1)
    assert len({tuple(one.values()) for one in drawn}) == 30
    assert drawn == candidates("target", 30, 1) != candidates("target", 30, 2)
    assert len(candidates("slo", 1000, 1)) == 25


def test_settings_near_another_lie_between_the_values_beside_its_own() -> None:
    beside = {"router.utilization": 0.72, "stabilization": 600.0, "tolerance": 0.05}
    drawn = near(with_policy(Scale(), "target"), [beside], 30, 1)
    assert len({tuple(one.values()) for one in drawn}) == 30
    for one in drawn:
        assert 0.6 <= float(one["router.utilization"]) <= 0.8
        assert 300.0 <= float(one["stabilization"]) <= 600.0
        assert 0.0 <= float(one["tolerance"]) <= 0.1
    assert drawn == near(with_policy(Scale(), "target"), [beside], 30, 1)


def test_what_is_not_turned_is_near_what_the_configuration_says() -> None:
    settings = with_setting(with_policy(Scale(), "apa"), {"apa.target_utilization": 0.4})
    drawn = near(settings, [{}], 20, 1)
    assert all(0.3 <= float(one["apa.target_utilization"]) <= 0.5 for one in drawn)


def test_texts_are_taken_from_their_neighbours() -> None:
    drawn = near(Scale(), [{"slo": "p95 wait 500ms"}], 20, 1)
    assert {one["slo"] for one in drawn} == {
        f"p95 wait {wait}" for wait in ("250ms", "500ms", "1s")
    }


def test_a_long_trace_counts_no_more_than_a_short_one() -> None:
    results = [[summary(0.1, 100.0), summary(0.0, 150.0)], [summary(0.3, 1.0), summary(0.1, 0.5)]]
    base, other = scores([{}, {"tolerance": 0.0}], results)
    assert (base.miss_ratio, base.cost) == (pytest.approx(0.2), 1.0)
    assert (other.miss_ratio, other.cost) == (pytest.approx(0.05), 1.0)


def test_the_cheapest_within_the_limit_is_best_and_else_the_fewest_misses() -> None:
    found = [score(0.05, 1.0), score(0.009, 1.4), score(0.001, 1.6), score(0.01, 1.3)]
    assert best(found, 0.01).cost == 1.3
    assert best(found, 0.0001).cost == 1.6


def test_the_frontier_has_no_point_that_another_beats_in_both() -> None:
    found = [score(0.05, 1.0), score(0.06, 1.1), score(0.01, 1.3), score(0.02, 1.3)]
    assert [(s.miss_ratio, s.cost) for s in frontier(found)] == [(0.05, 1.0), (0.01, 1.3)]


CONFIG = """\
pools:
  llm:
    driver: {process: {command: [agent]}}
    # as few as will do
    scale:
      max: 9
      signals:
        - redis: {list: jobs}
"""


def test_the_diff_is_one_of_the_file_and_names_the_policy_that_was_tuned() -> None:
    configured = load_text(CONFIG, Path("a.yml"), {}).pools["llm"].scale
    settings = with_policy(configured, "hpa")
    setting = {"router.utilization": 0.5, "hpa.sync_period": 5.0, "hpa.tolerance": 0.1}
    changes = edits("llm", configured, settings, setting)
    diff = diff_of(CONFIG, Path("a.yml"), "llm", changes, with_setting(settings, setting))
    assert diff.splitlines() == [
        "--- a.yml",
        "+++ a.yml",
        "@@ -3,6 +3,10 @@",
        "     driver: {process: {command: [agent]}}",
        "     # as few as will do",
        "     scale:",
        "+      hpa:",
        "+        sync_period: 5s",
        "+      policy: hpa",
        "       max: 9",
        "       signals:",
        "+        - router: {utilization: 0.5}",
        "         - redis: {list: jobs}",
    ]
    assert edits("llm", configured, configured, {}) == []


def test_the_diff_has_the_line_ends_and_the_byte_order_mark_of_the_file() -> None:
    text = "\ufeff" + CONFIG.replace("\n", "\r\n")
    settings = load_text(CONFIG, Path("a.yml"), {}).pools["llm"].scale
    setting = {"tolerance": 0.2}
    changes = edits("llm", settings, with_policy(settings, "target"), setting)
    wanted = with_setting(with_policy(settings, "target"), setting)
    diff = diff_of(text, Path("a.yml"), "llm", changes, wanted)
    assert diff == diff_of(CONFIG, Path("a.yml"), "llm", changes, wanted).replace(
        "\n", "\r\n"
    ).replace("a.yml\r\n", "a.yml\n").replace("@@\r\n", "@@\n")


def test_no_diff_is_made_where_it_would_change_more() -> None:
    text = "pools:\n  a: &a {driver: {process: {command: [x]}}, scale: {max: 9}}\n  b: *a\n"
    settings = load_text(text, Path("a.yml"), {}).pools["a"].scale
    setting = {"tolerance": 0.5}
    changes = edits("a", settings, with_policy(settings, "target"), setting)
    with pytest.raises(UneditableError, match="other values would change with it"):
        diff_of(text, Path("a.yml"), "a", changes, with_setting(settings, setting))


def test_no_replicas_at_all_cost_as_much_as_none() -> None:
    assert [relative(2.0, 1.0), relative(0.0, 0.0), relative(1.0, 0.0)] == [2.0, 1.0, math.inf]


@pytest.mark.slow
def test_the_verb_searches_on_some_traces_and_judges_on_others(tmp_path: Path) -> None:
    config, learn, other = (tmp_path / name for name in ("a.yml", "learn.csv", "other.csv"))
    config.write_text(
        "pools: {a: {concurrency: 2, scale: {max: 20}, driver: {process: {command: [x]}}}}"
    )
    learn.write_text("5\n" * 60 + "30\n" * 60)
    other.write_text("9\n" * 90)
    picture = tmp_path / "tune.svg"
    result = CliRunner().invoke(
        create_cli(),
        [
            "tune", "--config", str(config), "--trace", str(learn), "--holdout", str(other),
            "--service", "exponential:300ms", "--points", "2", "--jobs", "1", "--policy", "target",
            "--plot", str(picture), "--json",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"policy", "present", "chosen", "frontier", "holdout"}
    assert found["present"]["cost"] == 1.0
    assert set(found["holdout"][str(other)]) == {"present", "chosen"}
    assert picture.read_text().count("<circle") == 5


@pytest.mark.slow
def test_the_verb_prints_a_diff_of_the_file_and_says_when_no_setting_will_do(
    tmp_path: Path,
) -> None:
    config, learn = tmp_path / "a.yml", tmp_path / "learn.csv"
    config.write_text(CONFIG.replace("- redis: {list: jobs}", "- router: {utilization: 0.9}"))
    learn.write_text("1\n" * 30 + "40\n" * 30)
    options = [
        "tune", "--config", str(config), "--trace", str(learn), "--service", "1s", "--jobs", "1",
        "--points", "4", "--policy", "target",
    ]  # fmt: skip
    result = CliRunner().invoke(create_cli(), options)
    assert result.exit_code == 0, result.output
    assert result.stderr == "headrace: none of 5 settings has misses within 1%\n"
    assert f"--- {config}\n+++ {config}\n@@" in result.stdout
    assert "+      policy: target\n" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_the_search_and_its_processes(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    config, trace = tmp_path / "a.yml", tmp_path / "learn.csv"
    config.write_text(CONFIG)
    trace.write_text("50\n" * 20_000)
    command = [
        sys.executable, "-m", "headrace", "tune", "--config", str(config), "--trace", str(trace),
        "--service", "100ms", "--policy", "target", "--points", "20", "--jobs", "1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tuning:
        found = at_work(tuning.pid)
        tuning.send_signal(sent)
        out, _ = tuning.communicate(timeout=15)
    assert (tuning.returncode, out) == (code, b"")
    assert not workers(" ".join(found))


def at_work(pid: int) -> list[str]:
    """The processes of a search, once they all have the thread that watches their parent."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 15
    while True:
        found = workers(children.read_text())
        if found and all(len(list(Path(f"/proc/{one}/task").iterdir())) > 1 for one in found):
            return found
        assert time.monotonic() < deadline, "the search does not begin"
        time.sleep(0.01)


def workers(pids: str) -> list[str]:
    """Those of `pids` that work, not that which keeps track of resources."""
    found = []
    for pid in pids.split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_trace_that_is_searched_on_is_no_holdout_by_any_name(tmp_path: Path) -> None:
    config, trace, link = (tmp_path / name for name in ("a.yml", "learn.csv", "other.csv"))
    config.write_text(CONFIG)
    trace.write_text("5\n")
    link.symlink_to(trace)
    for holdout in (trace, link):
        options = ["tune", "--config", str(config), "--trace", str(trace)]
        result = CliRunner().invoke(create_cli(), [*options, "--holdout", str(holdout)])
        assert result.exit_code == 1
        assert result.stderr == (
            f"headrace: {holdout} is searched on: give another trace as --holdout\n"
        )
