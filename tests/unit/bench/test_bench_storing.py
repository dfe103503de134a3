"""How the benchmarks read their options, and what they leave behind."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest

from bench import storing
from bench.options import names
from bench.stand import Sample


def test_names_come_in_the_order_of_those_known() -> None:
    assert names(["live", "model", "overload"])("overload,live") == ["live", "overload"]


def test_an_unknown_name_is_told_with_those_known() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown: dead; known: live, model"):
        names(["live", "model"])("dead,model")


def test_a_run_is_stored_drawn_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = storing.result_of(
        [Sample("small", "nginx", 0, {"p99": 2.0}, 0.0, 0.0)],
        begin=time.monotonic() - 90,
        quick=True,
        versions={"nginx": "nginx 1.22"},
        absent={"envoy": "no wheel"},
        failures={},
        durations={"small": 1.5},
    )
    path = tmp_path / "new" / "run.json"
    storing.finish(path, result, lambda _: "its tables", lambda _: "<svg/>")
    kept = json.loads(path.read_text())
    assert kept["seconds"] >= 90
    assert kept["durations"] == {"small": 1.5}
    assert kept["samples"][0]["figures"] == {"p99": 2.0}
    assert (tmp_path / "new" / "run.svg").read_text() == "<svg/>"
    assert capsys.readouterr().out == (
        f"\nits tables\nstored in {path} and {path.with_suffix('.svg')}\n"
    )
