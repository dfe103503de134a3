"""The verbs that need no daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

import headrace
from fleet.errors import HeadraceError
from headrace.cli.app import create_cli

GOOD = """
pools:
  a: {driver: {static: {endpoints: ["http://127.0.0.1:9"]}}}
  b: {driver: {static: {endpoints: ["http://127.0.0.1:9"]}}}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(create_cli(), list(arguments))


def test_check_counts_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "agents.yml"
    path.write_text(GOOD)
    result = run("check", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{path} is valid: 0 routes, 2 pools, 2 versions\n"


def test_check_names_every_error_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "agents.yml"
    path.write_text(GOOD + "wokers: 1\nroutes: [{pool: c}]\n")
    result = run("check", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{path}:5:1: wokers: ")
    assert second.startswith(f"{path}:6:")


def test_check_of_a_file_that_is_missing(tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none.yml"))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "none.yml" in line


def test_schema_is_json() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["pools"]


def test_version() -> None:
    assert run("version").stdout.startswith("headrace ")


@pytest.mark.parametrize("code", [0, 1])
def test_run_ends_as_the_daemon_does(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    ran = []

    def daemon(path: Path) -> int:
        ran.append(path)
        return code

    stub = SimpleNamespace(run=daemon)
    monkeypatch.setitem(sys.modules, "headrace.daemon", stub)
    monkeypatch.setattr(headrace, "daemon", stub, raising=False)
    assert run("run", "agents.yml").exit_code == code
    assert ran == [Path("agents.yml")]


def test_a_failure_to_run_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def daemon(path: Path) -> int:
        raise HeadraceError(f"{path} is held by another daemon")

    stub = SimpleNamespace(run=daemon)
    monkeypatch.setitem(sys.modules, "headrace.daemon", stub)
    monkeypatch.setattr(headrace, "daemon", stub, raising=False)
    result = run("run", "agents.yml")
    assert (result.exit_code, result.stderr) == (
        1,
        "headrace: agents.yml is held by another daemon\n",
    )


HEAVY = ("aiohttp", "pydantic", "redis", "uvloop", "yaml")


def test_a_verb_that_asks_the_daemon_loads_nothing_heavy() -> None:
    program = (
        "import sys, headrace.cli.app as a; a.create_cli();"
        f"print(*(m for m in {HEAVY!r} if m in sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == []


def test_the_module_is_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "headrace", "version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("headrace ")
