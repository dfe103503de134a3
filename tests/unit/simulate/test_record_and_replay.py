"""The gateway's own traffic as a trace, and its own decisions decided again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from fleet.config.schema import Scale
from fleet.model import Decision, Observation, Reading
from headrace.cli.app import create_cli
from headrace.cli.record import patience
from scaler.decide import decide_pool
from scaler.simulate.recording import Recording
from scaler.simulate.replay import replay
from scaler.simulate.traces import Requests, read_trace
from scaler.state import PoolState

CONFIG = "pools: {support: {scale: {max: 9, policy: target}, driver: {process: {command: [x]}}}}"


def line(at: str, **changes: object) -> bytes:
    fields = {
        "time": f"2026-01-01T00:00:{at}Z",
        "pool": "support",
        "version": "v1",
        "replica": "support-v1-1",
        "status": 200,
        "duration_ms": 1500.0,
        "wait_ms": 500.0,
        **changes,
    }
    return json.dumps(fields).encode() + b"\n"


def run(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(create_cli(), list(arguments), input=given)


@pytest.mark.parametrize(
    ("written", "row"),
    [
        (line("10.000"), "1767225608.500,support,v1,0.5,1\n"),
        (line("10.000", wait_ms=0.0), "1767225608.500,support,v1,0,1.5\n"),
        (
            line("10.000", replica="", duration_ms=2.0, wait_ms=0.0),
            "1767225609.998,support,v1,0,\n",
        ),
        (line("10.000", pool=""), None),
        (line("10.000", pool="other"), None),
        (b'{"time":"2026-01-01T00:00:10.000Z","status":400}\n', None),
        (b'{"time":"later","pool":"support"}\n', None),
        (b"started\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_a_line_of_the_access_log_is_a_row_or_nothing(written: bytes, row: str | None) -> None:
    assert Recording("support").row(written) == row


def test_a_refused_request_gets_the_mean_service_time_of_its_version() -> None:
    recording = Recording()
    recording.row(line("10.000"))
    recording.row(line("11.000", duration_ms=3500.0))
    refused = recording.row(line("12.000", replica="", duration_ms=0.0, wait_ms=0.0))
    assert refused == "1767225612.000,support,v1,0,2\n"
    other = recording.row(line("12.000", version="v2", replica="", duration_ms=0.0, wait_ms=0.0))
    assert other == "1767225612.000,support,v2,0,\n"


def test_a_recording_is_a_trace(tmp_path: Path) -> None:
    log, trace = tmp_path / "access.log", tmp_path / "trace.csv"
    log.write_bytes(line("12.000") + b"noise\n" + line("10.000", duration_ms=500.0))
    result = run("record", str(log), "--output", str(trace))
    assert (result.exit_code, result.stderr) == (0, "headrace: 2 requests recorded\n")
    found = read_trace(trace)
    assert isinstance(found, Requests)
    assert list(found.arrivals) == [0.0, 1.0]
    assert list(found.services or ()) == [0.0, 1.0]


def test_a_recording_ends_at_its_limit() -> None:
    result = run("record", "--limit", "100B", given=line("10.000") * 5)
    assert result.exit_code == 0
    assert len(result.stdout.encode()) <= 100
    assert result.stdout.count("\n") == 3
    assert result.stderr == "headrace: 2 requests recorded, up to 100B\n"


def test_the_first_interrupt_is_left_to_the_gateway_that_drains() -> None:
    before = signal.getsignal(signal.SIGINT)
    with patience():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("record", "/nowhere"), 1, "/nowhere: No such file or directory"),
        (("record", "--output", "/dev/full"), 1, "/dev/full: No space left on device"),
        (("record", "--limit", "much"), 2, "a size such as 512, 64KiB or 1.5MB"),
        (("replay", "/nowhere", "--config", "/none"), 1, "/nowhere: No such file or directory"),
        (("replay", "-", "--config", "{}", "--pool", "x"), 1, "has no pool 'x'; it has support"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    config = tmp_path / "agents.yml"
    config.write_text(CONFIG)
    result = run(*(one.format(config) for one in arguments), given=b"[]")
    assert result.exit_code == code
    assert message in result.stderr


def seen(at: float, load: float, desired: int) -> Observation:
    reading = Reading(signal="router.in_flight", value=load, target=2.0)
    return Observation(
        pool="support",
        version="v1",
        at=at,
        monotonic=at - 1e9,
        weight=100,
        desired=desired,
        ready=desired,
        starting=0,
        in_flight=int(load),
        queued=0,
        slots=4,
        readings=(reading,),
    )


def decided(loads: list[float], settings: Scale) -> list[Decision]:
    state, size, found = PoolState(), 1, []
    for tick, load in enumerate(loads):
        decisions, state = decide_pool([seen(1e9 + tick, load, size)], settings, None, state)
        size = decisions[0].desired
        found += decisions
    return found


def test_the_same_settings_decide_the_same_again() -> None:
    settings = Scale(min=1, max=9, policy="target")
    journal = decided([2, 6, 9, 12, 3, 3, 8], settings)
    found = replay(reversed(journal), {"support": settings})
    assert [one.would for one in found] == [one.was for one in found]
    assert [one.was for one in found] == [decision.desired for decision in journal]


def test_other_settings_go_on_from_their_own_size() -> None:
    journal = decided([2, 6, 12, 12], Scale(min=1, max=9, policy="target"))
    found = replay(journal, {"support": Scale(min=1, max=4, policy="target")})
    assert [(one.was, one.would) for one in found] == [(1, 1), (3, 3), (5, 4), (5, 4)]
    assert "the pool has at most 4" in found[-1].reason


def decided_together(loads: list[tuple[float, float]], settings: Scale) -> list[Decision]:
    """Two versions; the clock moves a little between their observations, as in the daemon."""
    state, sizes, found = PoolState(), {"v1": 1, "v2": 1}, []
    for tick, pair in enumerate(loads):
        both = [
            msgspec.structs.replace(seen(1e9 + tick + 1e-5 * n, load, sizes[name]), version=name)
            for n, (name, load) in enumerate(zip(sizes, pair, strict=True))
        ]
        decisions, state = decide_pool(both, settings, None, state)
        sizes = {decision.version: decision.desired for decision in decisions}
        found += decisions
    return found


def test_the_versions_of_a_pool_are_decided_together_again() -> None:
    settings = Scale(min=3, max=9, policy="target")
    journal = decided_together([(0, 0), (6, 0), (9, 4), (3, 30), (20, 20)], settings)
    found = replay(reversed(journal), {"support": settings})
    assert [(one.version, one.would) for one in found] == [(d.version, d.desired) for d in journal]


def test_what_was_decided_in_a_dry_run_is_decided_in_one_again() -> None:
    settings = Scale(min=1, max=20, policy="target", dry_run=True)
    state, journal = PoolState(), []
    for tick, load in enumerate([10.0, 40.0, 20.0, 80.0]):
        decisions, state = decide_pool([seen(1e9 + 20 * tick, load, 1)], settings, None, state)
        journal += decisions
    assert [d.desired for d in journal] == [5, 5, 5, 5]
    again = replay(journal, {"support": Scale(min=1, max=20, policy="target")})
    assert [one.would for one in again] == [one.was for one in again]


def test_a_dry_run_is_carried_out_here() -> None:
    loads = [10.0, 40.0, 20.0, 80.0, 5.0]
    settings = {"max": 20, "policy": "target", "stabilization": "0s"}
    journal = decided(loads, Scale.model_validate(settings))
    dry = {"support": Scale.model_validate({**settings, "dry_run": True})}
    again = replay(journal, dry)
    assert [one.would for one in again] == [one.was for one in again]


def test_what_was_kept_without_its_observation_is_left_out() -> None:
    (journal,) = decided([2], Scale(max=9))
    old = msgspec.structs.replace(journal, seen=None)
    assert replay([old], {"support": Scale()}) == []
    assert replay([journal], {"other": Scale()}) == []


def test_the_verb_shows_both_and_counts_what_differs(tmp_path: Path) -> None:
    config, journal = tmp_path / "agents.yml", tmp_path / "journal.json"
    config.write_text(CONFIG.replace("max: 9", "max: 4"))
    decisions = decided([2, 6, 12, 12], Scale(min=1, max=9, policy="target"))
    journal.write_bytes(msgspec.json.encode(decisions[::-1]))
    result = run("replay", str(journal), "--config", str(config))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "2 of 4 decisions differ"
    as_json = run("replay", "-", "--config", str(config), "--json", given=journal.read_bytes())
    assert [one["would"] for one in json.loads(as_json.stdout)] == [1, 3, 4, 4]
    refused = run("replay", "-", "--config", str(config), given=b"{}")
    assert refused.exit_code == 1
    assert "is no journal of decisions" in refused.stderr
    empty = run("replay", "-", "--config", str(config), given=b"[]")
    assert empty.exit_code == 1
