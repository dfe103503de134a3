"""The verbs that ask a running daemon, against a real port."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from headrace.cli.app import create_cli
from headrace.cli.explain import parse_moment
from headrace.operations import ReloadResult, Status
from tests.unit.headrace.fakes import NOW, STATUS, SUPPORT, FakeOperations

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADRACE_ADMIN", "HEADRACE_TOKEN", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(
    operations: FakeOperations,
    start_daemon: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.setenv("HEADRACE_ADMIN", start_daemon(operations))
    return lambda *arguments: CliRunner().invoke(create_cli(), list(arguments))


CHANGES: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "weights": (
        "weights support v1=90 v2=10",
        ("set_weights", "support", {"v1": 90, "v2": 10}),
        "support: v1=90 v2=10, set by hand\n",
    ),
    "the file's weights": (
        "weights support --reset",
        ("set_weights", "support", None),
        "support: v1=95 v2=5, as in the file\n",
    ),
    "a size": (
        "scale support 3",
        ("scale", "support", 3, None),
        "support: held at 3 replicas until reset\n",
    ),
    "a size for a while": (
        "scale support 0 --for 10m",
        ("scale", "support", 0, 600.0),
        "support: held at 0 replicas until 2026-01-01T12:10:00Z\n",
    ),
    "the scaler's size": (
        "scale support --auto",
        ("scale", "support", None, None),
        "support: the scaler decides, 1 to 10 replicas\n",
    ),
    "drain": (
        "drain support-v1-1",
        ("drain", "support-v1-1"),
        "support-v1-1 is draining\n",
    ),
    "reload": ("reload", ("reload",), "generation 4 is in force\n"),
}


@pytest.mark.parametrize(("line", "call", "output"), CHANGES.values(), ids=CHANGES)
def test_change(
    run: Run, operations: FakeOperations, line: str, call: tuple[Any, ...], output: str
) -> None:
    result = run(*line.split())
    assert (result.exit_code, result.stdout, result.stderr) == (0, output, "")
    assert operations.calls == [call]


def test_names_are_quoted_on_the_way(run: Run, operations: FakeOperations) -> None:
    result = run("drain", "a/b ?ü")
    assert operations.calls == [("drain", "a/b ?ü")]
    assert (result.exit_code, result.stderr) == (1, "headrace: there is no replica a/b ?ü\n")


def test_reload_notes(run: Run, operations: FakeOperations) -> None:
    note = "workers takes effect at the next start"
    operations.reload_result = ReloadResult(applied=True, generation=4, notes=(note,))
    assert run("reload").stdout == f"generation 4 is in force\n  {note}\n"


def test_a_rejected_reload_names_every_problem(run: Run, operations: FakeOperations) -> None:
    operations.reload_result = ReloadResult(
        applied=False, generation=3, errors=("a.yml:1:1: x", "a.yml:2:1: \x1b[2Jy")
    )
    result = run("reload")
    assert result.exit_code == 1
    assert result.stderr == (
        "headrace: the configuration was rejected; generation 3 runs on\n"
        "  a.yml:1:1: x\n"
        "  a.yml:2:1: \N{REPLACEMENT CHARACTER}[2Jy\n"
    )


def test_decisions(run: Run, operations: FakeOperations) -> None:
    lines = run("decisions", "support", "-n", "7").stdout.splitlines()
    assert operations.calls == [("decisions", "support", 7)]
    assert [" ".join(line.split()) for line in lines] == [
        "TIME POOL VERSION REPLICAS REASON",
        "2026-01-01T11:59:51Z support v2 1 -> 1 all signals within tolerance",
        "2026-01-01T11:59:55Z support v1 1 -> 2 "
        "router.in_flight 5 of 4 wanted per replica: 2 replicas",
    ]


def test_explain(run: Run, operations: FakeOperations) -> None:
    lines = run("explain", "support", "--version", "v1").stdout.splitlines()
    assert operations.calls == [("explain", "support", "v1", None)]
    assert [" ".join(line.split()) for line in lines] == [
        "support/v1 at 2026-01-01T11:59:55Z",
        "up 1 -> 2: queue 20 needs 4 replicas at 5 each, limited by max (the pool has at most 2)",
        "",
        "wanted 4 by the policy, before the guardrails",
        "limited by max (the pool has at most 2)",
        "replicas 1 asked for, 1 ready, 0 starting",
        "requests 4 in flight, 16 queued, 4 slots each",
        "weight 95",
        "queue 20, target 5",
        "load lost: no answer",
        "SIGNAL PROPOSES BECAUSE",
        "queue 4 queue 20 needs 4 replicas at 5 each",
        "load - load lost: no answer",
        "TAKEN OUT AT BECAUSE",
        "support-v1-1 2026-01-01T11:58:25Z 1 wanted; the least costly of 2: 0 in flight, "
        "3 sessions, 12m old",
    ]


MOMENTS = {
    "Unix seconds": ("1767268800.5", 1767268800.5),
    "a whole Unix second is its end": ("1767268800", 1767268800.999999),
    "ISO 8601": ("2026-01-01T12:00:00.000Z", NOW),
    "a whole second is its end, as decisions print it": ("2026-01-01T12:00:00Z", NOW + 0.999999),
    "without a zone it is UTC": ("2026-01-01T12:00", NOW),
    "another zone": ("2026-01-01T14:00+02:00", NOW),
    "another zone and a second": ("2026-01-01T14:00:00+02:00", NOW + 0.999999),
    "how long ago": ("10m", NOW - 600),
}


@pytest.mark.parametrize(("text", "at"), MOMENTS.values(), ids=MOMENTS)
def test_a_moment(text: str, at: float) -> None:
    assert parse_moment(text, NOW) == at


def test_explain_at_a_time_of_which_nothing_is_kept(run: Run, operations: FakeOperations) -> None:
    assert run("explain", "support", "--at", "2025-01-01T00:00Z").stdout == (
        "no decision is kept of that time\n"
    )
    assert operations.calls == [("explain", "support", None, 1735689600.0)]


def test_events(run: Run, operations: FakeOperations) -> None:
    lines = run("events").stdout.splitlines()
    assert operations.calls == [("events", 20)]
    assert [" ".join(line.split()) for line in lines] == [
        "TIME EVENT OF MESSAGE",
        "2026-01-01T10:00:00Z config.applied generation 1",
        "2026-01-01T11:59:00Z replica.ready support-v1-2 healthy after 0.4s",
    ]


JSONS = {
    "status": ("status --json", STATUS),
    "one pool": ("status support --json", SUPPORT),
}


@pytest.mark.parametrize(("line", "value"), JSONS.values(), ids=JSONS)
def test_json(run: Run, line: str, value: Any) -> None:
    result = run(*line.split())
    assert msgspec.json.decode(result.stdout, type=type(value)) == value
    assert "\n  " in result.stdout


@pytest.mark.parametrize(("verb", "count"), [("decisions", 2), ("events", 2)])
def test_journal_as_json(run: Run, verb: str, count: int) -> None:
    assert len(json.loads(run(verb, "--json").stdout)) == count


def test_status(run: Run) -> None:
    lines = [" ".join(line.split()) for line in run("status").stdout.splitlines()]
    assert lines[0].startswith(
        "headrace 0.1.0 ready | generation 3 of /etc/headrace/headrace.yml | up "
    )
    assert lines[1:] == [
        "cluster prod: gw1 leads (this daemon); members gw1, gw2",
        "",
        "POOL VERSION WEIGHT READY IN FLIGHT QUEUED SESSIONS REQUESTS P95 ERRORS LAST DECISION",
        "support v1 95 2/2 5/8 3 31 1000 375ms 4 (0.4%) "
        "router.in_flight 5 of 4 wanted per replica: 2 replicas",
        "support v2 5 (now 0) 0/1 0/0 0 0 0 - 0 all signals within tolerance",
    ]
    assert "\x1b" not in "".join(lines)


def test_status_of_one_pool(run: Run, operations: FakeOperations) -> None:
    held = replace(SUPPORT, scale_override=3, lost_signals=("redis:jobs: no answer",))
    operations.current = replace(STATUS, pools=(held,))
    lines = run("status", "support").stdout.splitlines()
    assert lines[:2] == [
        "support: size is held at 3 by hand, until reset",
        "support: signal lost: redis:jobs: no answer",
    ]
    assert len(lines) == 5


WRONG = {
    "no verb": ("", "Usage"),
    "an unknown verb": ("stauts", "Did you mean 'status'"),
    "an unknown option": ("status --wath", "No such option"),
    "neither weights nor reset": ("weights support", "or --reset"),
    "weights and reset": ("weights support v1=1 --reset", "or --reset"),
    "a weight without a version": ("weights support =1", "not VERSION=WEIGHT"),
    "a weight that is no number": ("weights support v1=much", "not VERSION=WEIGHT"),
    "a negative weight": ("weights support v1=-1", "not VERSION=WEIGHT"),
    "a weight twice": ("weights support v1=1 v1=2", "v1 is given twice"),
    "neither size nor auto": ("scale support", "or --auto"),
    "size and auto": ("scale support 3 --auto", "or --auto"),
    "auto for a while": ("scale support --auto --for 1m", "or --auto"),
    "a negative size": ("scale support -- -1", "Invalid value for 'N'"),
    "a time without a unit": ("scale support 3 --for 10", "expected a duration"),
    "no time at all": ("scale support 3 --for 0s", "expected a duration above 0"),
    "an empty time": ("scale support 3 --for=", "expected a duration"),
    "watching as JSON": ("status -w --json", "exclude each other"),
    "a time that is none": ("explain support --at noon", "is no time"),
    "a limit of zero": ("events -n 0", "Invalid value for '--limit'"),
}


@pytest.mark.parametrize(("line", "message"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_two(run: Run, operations: FakeOperations, line: str, message: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2
    assert message in result.output
    assert operations.calls == []


REFUSED = {
    "an unknown pool": ("status x", "there is no pool x"),
    "a weight too large": (
        "weights support v1=1000001",
        "the body is not as expected: Expected `int` <= 1000000 - at `$[...]`",
    ),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_is_one(run: Run, line: str, message: str) -> None:
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"headrace: {message}\n"


def test_no_daemon_is_three(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(create_cli(), ["status", "--admin", address])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"headrace: no daemon answers at {address} (Connection refused); start one with "
        "`headrace run CONFIG`, or name its address with --admin\n"
    )


ADDRESSES = {
    "a path": ("http://127.0.0.1:9900/x", "is not an address such as"),
    "another scheme": ("ftp://127.0.0.1:9900", "is not an address such as"),
    "a port that is no number": ("127.0.0.1:http", "is not an address"),
    "nothing": ("", "is not an address such as"),
}


@pytest.mark.parametrize(("address", "message"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_is_none(address: str, message: str) -> None:
    result = CliRunner().invoke(create_cli(), ["status", "--admin", address])
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


TOKENS = {
    "from the environment": ({"HEADRACE_TOKEN": "s3cret"}, None, 0),
    "from a file": ({}, "s3cret\n", 0),
    "the file goes before": ({"HEADRACE_TOKEN": "wrong"}, "s3cret", 0),
    "a wrong one": ({"HEADRACE_TOKEN": "wrong"}, None, 1),
    "none": ({}, None, 1),
    "an empty file": ({"HEADRACE_TOKEN": "s3cret"}, "\n", 1),
    "one that no header can carry": ({"HEADRACE_TOKEN": "a\nb"}, None, 1),
}


@pytest.mark.parametrize(("environment", "file", "code"), TOKENS.values(), ids=TOKENS)
def test_token(
    operations: FakeOperations,
    start_daemon: Callable[..., str],
    tmp_path: Path,
    environment: dict[str, str],
    file: str | None,
    code: int,
) -> None:
    arguments = ["status", "--admin", start_daemon(operations, "s3cret")]
    if file is not None:
        (tmp_path / "token").write_text(file)
        arguments += ["--token-file", str(tmp_path / "token")]
    result = CliRunner().invoke(create_cli(), arguments, env=environment)
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == code
    assert "s3cret" not in result.output


def test_a_token_file_that_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(create_cli(), ["reload", "--token-file", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr.startswith("headrace: cannot read the token file ")


def test_another_server_at_the_address(
    operations: FakeOperations, start_daemon: Callable[..., str]
) -> None:
    address = start_daemon(operations)
    operations.current = {"some": "thing"}  # type: ignore[assignment]
    result = CliRunner().invoke(create_cli(), ["status", "--admin", address])
    assert result.exit_code == 1
    assert "not as this release of headrace does" in result.stderr


def test_the_daemon_goes_while_it_is_watched(
    operations: FakeOperations, start_daemon: Callable[..., str]
) -> None:
    address = start_daemon(operations)
    operations.failure = RuntimeError("gone")
    result = CliRunner().invoke(create_cli(), ["status", "--watch", "--admin", address])
    assert result.exit_code == 1
    assert result.stderr == "headrace: an error in the daemon; see its log\n"


def test_later_fields_of_a_newer_daemon_are_passed_over() -> None:
    newer = msgspec.to_builtins(STATUS) | {"later": 1}
    assert msgspec.convert(newer, type=Status) == STATUS
