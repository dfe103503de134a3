"""deploy/headrace.service is a unit that systemd accepts, and agrees with the code."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.config.schema import Config, ProcessDriver

UNIT = Path(__file__).parents[3] / "deploy" / "headrace.service"


def test_systemd_accepts_it(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    lines = UNIT.read_text().splitlines()
    copy.write_text("\n".join("ExecStart=/bin/true" if "ExecStart=" in x else x for x in lines))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    complaints = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert complaints == []


def test_it_waits_longer_than_a_stop_takes_by_default() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    longest = Config().drain_timeout + ProcessDriver().stop_timeout
    assert float(unit["Service"]["TimeoutStopSec"]) > longest
