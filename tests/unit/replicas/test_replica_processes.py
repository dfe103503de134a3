"""The pure parts of the process driver: specs, lines, `/proc`, survivors, files, ports."""

from __future__ import annotations

import socket
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.config.schema import ProcessDriver, StaticDriver
from fleet.errors import HeadraceError
from scaler.drivers.free_ports import FreePorts, taken
from scaler.drivers.output import CUT, LINE_LIMIT, LineSplitter
from scaler.drivers.process import Exit
from scaler.drivers.procfs import Family, Process, parse_marks, parse_stat
from scaler.drivers.spec import Identity, LaunchSpec, arguments, environment, launch_spec
from scaler.drivers.state_files import Record, StateDirInUseError, StateFiles
from scaler.drivers.static import Endpoint, named_endpoints
from scaler.drivers.survivors import Condemned, sort_survivors

WHO = Identity(name="chat-v1-3", pool="chat", version="v1")


def spec(*command: str, routed: bool = True, **settings: object) -> LaunchSpec:
    process = ProcessDriver.model_validate({"command": list(command), **settings})
    return launch_spec(process, config_dir=Path("/etc/h"), routed=routed, redis_url="redis://r")


ARGUMENTS = {
    "each placeholder": ("--{port} {name}", "--8001 chat-v1-3"),
    "several in one": ("{pool}/{version}:{port}", "chat/v1:8001"),
    "other braces survive": ('{"a": {}} {x} {{port}}', '{"a": {}} {x} {8001}'),
    "none": ("plain", "plain"),
}


@pytest.mark.parametrize(("given_", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(given_: str, expected: str) -> None:
    assert arguments(spec("run", given_), WHO, 8001) == ["run", expected]


def test_environment_puts_configured_over_inherited_and_its_own_over_both() -> None:
    env = environment(
        spec("run", env={"MODEL": "next", "PORT": "1"}),
        WHO,
        8001,
        base={"MODEL": "inherited", "HOME": "/h", "HEADRACE_REPLICA": "outer"},
        state_dir="/s",
    )
    assert env == {
        "HOME": "/h",
        "MODEL": "next",
        "PORT": "8001",
        "HEADRACE_POOL": "chat",
        "HEADRACE_VERSION": "v1",
        "HEADRACE_REPLICA": "chat-v1-3",
        "HEADRACE_STATE_DIR": "/s",
        "HEADRACE_REDIS_URL": "redis://r",
    }


ENDPOINTS = {
    "a route leads to it": ((("run",), True), True),
    "no route, but its command takes a port": ((("run", "--port={port}"), False), True),
    "a queue worker": ((("run",), False), False),
}


@pytest.mark.parametrize(("made_of", "endpoint"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_who_has_an_endpoint(made_of: tuple[tuple[str, ...], bool], endpoint: bool) -> None:
    command, routed = made_of
    worker = spec(*command, routed=routed)
    assert worker.endpoint is endpoint
    assert ("PORT" in environment(worker, WHO, 0, base={}, state_dir="/s")) is endpoint


CHANGES = {
    "the command": spec("run", "-v"),
    "the environment": spec("run", env={"A": "1"}),
    "the directory": spec("run", cwd="sub"),
    "whether it listens": spec("run", routed=False),
}


def test_a_replica_is_told_the_address_it_is_to_listen_on_where_it_is_not_loopback() -> None:
    there = msgspec.structs.replace(spec("run", "{host}:{port}"), host="10.0.0.7")
    assert arguments(there, WHO, 8001) == ["run", "10.0.0.7:8001"]
    assert environment(there, WHO, 8001, base={}, state_dir="/s")["HOST"] == "10.0.0.7"
    here = spec("run", "{host}:{port}")
    assert arguments(here, WHO, 8001) == ["run", "127.0.0.1:8001"]
    assert "HOST" not in environment(here, WHO, 8001, base={}, state_dir="/s")
    assert there.digest() != here.digest()


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_the_digest_changes_with(changed: LaunchSpec) -> None:
    assert changed.digest() != spec("run").digest()


def test_the_digest_does_not_change_with_timeouts_or_order() -> None:
    one = spec("run", env={"A": "1", "B": "2"}, stop_timeout="1s")
    two = spec("run", env={"B": "2", "A": "1"}, stop_timeout="2s")
    assert one.digest() == two.digest()


def test_the_working_directory_is_relative_to_the_configuration() -> None:
    assert spec("run").cwd == "/etc/h"
    assert spec("run", cwd="sub").cwd == "/etc/h/sub"
    assert spec("run", cwd="/abs").cwd == "/abs"


LINES = {
    "two lines": (b"a\nb\n", ["a", "b"]),
    "a last line without an end": (b"a\nb", ["a", "b"]),
    "an empty line": (b"\n", [""]),
    "carriage returns go": (b"a\r\n", ["a"]),
    "bytes that are no text": (b"\xff\xfe\n", ["\ufffd\ufffd"]),
    "control characters are shown, tabs kept": (b"\x1b[2Ja\tb\0\n", ["\\x1b[2Ja\tb\\x00"]),
    "a line of exactly the limit": (b"x" * LINE_LIMIT + b"\n", ["x" * LINE_LIMIT]),
    "a longer one is cut": (b"x" * (LINE_LIMIT + 1) + b"\ny\n", ["x" * LINE_LIMIT + CUT, "y"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["by bytes", "by sevens", "whole"])
@pytest.mark.parametrize(("data", "lines"), LINES.values(), ids=LINES)
def test_lines(data: bytes, lines: list[str], size: int) -> None:
    splitter = LineSplitter()
    found = []
    for at in range(0, len(data), size):
        found += splitter.feed(data[at : at + size])
    assert found + splitter.finish() == lines


@given(st.binary(max_size=200))
def test_whatever_is_written_no_line_holds_a_control_character(data: bytes) -> None:
    splitter = LineSplitter()
    text = "".join(splitter.feed(data) + splitter.finish())
    assert {unicodedata.category(letter) for letter in text.replace("\t", "")}.isdisjoint(
        {"Cc", "Zl", "Zp"}
    )


def test_stat_with_a_command_that_looks_like_fields() -> None:
    rest = " ".join(str(n) for n in range(6, 22))
    process = parse_stat(f"42 (a) Z 1 (b)) S 1 40 41 {rest} 777 0 0")
    assert (process.pid, process.group, process.session) == (42, 40, 41)
    assert not process.zombie
    assert process.started == 21


def test_marks_are_found_among_other_variables() -> None:
    environ = b"A=1\0HEADRACE_REPLICA=chat-v1-3\0HEADRACE_STATE_DIR=/s=x\0\0\xff"
    assert parse_marks(environ) == ("/s=x", "chat-v1-3")
    assert parse_marks(b"") == ("", "")


def proc(pid: int, *, started: int = 5, session: int = 0, **more: object) -> Process:
    settings: dict[str, object] = {"group": session, "session": session, "zombie": False, **more}
    return Process(pid=pid, started=started, **settings)  # type: ignore[arg-type]


FAMILIES = {
    "its leader": (proc(7, session=7), True),
    "a child that left the group": (proc(8, session=7, group=8), True),
    "one that left the session but kept the mark": (proc(9, session=9, replica="chat-v1-3"), True),
    "a stranger": (proc(10, session=10), False),
    "another replica's": (proc(11, session=11, replica="chat-v1-4"), False),
}


@pytest.mark.parametrize(("process", "belongs"), FAMILIES.values(), ids=FAMILIES)
def test_family(process: Process, belongs: bool) -> None:
    assert Family(name="chat-v1-3", pid=7).includes(process) is belongs


def record(name: str = "chat-v1-3", pid: int = 7, **more: object) -> Record:
    settings: dict[str, object] = {
        "pool": "chat",
        "version": "v1",
        "started": 5,
        "boot": "b",
        "port": 8001,
        "spec": "s",
        "stop_timeout": 10.0,
        **more,
    }
    return Record(name=name, pid=pid, **settings)  # type: ignore[arg-type]


def doomed(pid: int | None, reason: str) -> Condemned:
    return Condemned(family=Family(name="chat-v1-3", pid=pid), reason=reason)


MARKED = proc(7, session=7, replica="chat-v1-3")
SURVIVORS = {
    "unchanged and alive: adopted": (record(), [MARKED], [record()], []),
    "alive with its marks overwritten: adopted": (
        record(),
        [proc(7, session=7)],
        [record()],
        [],
    ),
    "its settings changed: ended": (
        record(spec="other"),
        [MARKED],
        [],
        [doomed(7, "its settings changed")],
    ),
    "its version is gone: ended": (
        record(version="v9"),
        [MARKED],
        [],
        [doomed(7, "its version is gone")],
    ),
    "it ended meanwhile: nothing": (record(), [], [], []),
    "it is a zombie: nothing": (record(), [proc(7, session=7, zombie=True)], [], []),
    "its pid is another's now: that one is left alone": (
        record(),
        [proc(7, session=7, started=6)],
        [],
        [],
    ),
    "the machine was booted since: nothing of it can live": (
        record(boot="a"),
        [proc(7, session=7)],
        [],
        [],
    ),
    "its leader ended but a marked child lives: ended": (
        record(),
        [proc(8, session=7, replica="chat-v1-3")],
        [],
        [doomed(None, "left behind without a leader on record")],
    ),
    "marked but never recorded: ended": (
        None,
        [MARKED],
        [],
        [doomed(None, "left behind without a leader on record")],
    ),
}


@pytest.mark.parametrize(
    ("recorded", "processes", "adopt", "reap"), SURVIVORS.values(), ids=SURVIVORS
)
def test_survivors(
    recorded: Record | None,
    processes: list[Process],
    adopt: list[Record],
    reap: list[Condemned],
) -> None:
    left = sort_survivors(
        [recorded] if recorded else [], processes, specs={("chat", "v1"): "s"}, boot="b"
    )
    assert list(left.adopt) == adopt
    assert list(left.reap) == reap


def test_names_are_never_given_twice_even_after_a_restart(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.open()
    assert [files.new_name("chat", "v1"), files.new_name("chat", "v1")] == [
        "chat-v1-1",
        "chat-v1-2",
    ]
    files.close()
    again = StateFiles(tmp_path)
    again.open()
    assert again.new_name("chat", "v1") == "chat-v1-3"
    assert again.new_name("chat", "v2") == "chat-v2-1"
    again.close()


def test_pool_and_version_that_read_alike_share_their_numbers(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.open()
    assert files.new_name("a-b", "c") == "a-b-c-1"
    assert files.new_name("a", "b-c") == "a-b-c-2"
    files.close()


def test_a_state_directory_has_one_daemon_at_a_time(tmp_path: Path) -> None:
    first, second = StateFiles(tmp_path), StateFiles(tmp_path)
    first.open()
    with pytest.raises(StateDirInUseError, match=r"is in use by another headrace daemon"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_records_come_back_and_damaged_ones_count_as_none(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.open()
    files.new_name("chat", "v1")
    files.save(record())
    (tmp_path / "replicas" / "chat-v1-9.json").write_text("{")
    assert files.records() == [record()]
    assert files.names() == {"chat-v1-3", "chat-v1-9"}
    files.remove("chat-v1-3")
    assert files.records() == []
    files.close()


def test_damaged_numbers_are_refused_and_the_directory_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "replicas").mkdir()
    names = tmp_path / "replicas" / "names.json"
    names.write_text("?")
    files = StateFiles(tmp_path)
    with pytest.raises(HeadraceError, match=r"names\.json is damaged"):
        files.open()
    names.unlink()
    files.open()
    files.close()


def test_a_state_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadraceError, match="Not a directory"):
        StateFiles(tmp_path / "file").open()


def test_a_port_is_not_given_twice_while_held() -> None:
    ports = FreePorts()
    given_ = [ports.reserve() for _ in range(200)]
    assert len(set(given_)) == 200


def test_a_port_is_taken_while_someone_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert taken("127.0.0.1", port)
    assert not taken("127.0.0.1", port)


EXITS = {
    "exit code 3": Exit(status=3),
    "killed by SIGKILL": Exit(status=-9),
    "killed by signal 99": Exit(status=-99),
    "ended": Exit(status=None),
}


@pytest.mark.parametrize(("text", "end"), EXITS.items(), ids=EXITS)
def test_an_exit_reads(text: str, end: Exit) -> None:
    assert str(end) == text


def test_static_names_depend_on_the_endpoint_alone() -> None:
    urls = ("http://10.0.0.5:8000", "http://[::1]:8001", "http://gpu-1.local:80")
    assert named_endpoints("chat", "v1", StaticDriver(endpoints=urls)) == {
        "chat-v1-10.0.0.5-8000": Endpoint(host="10.0.0.5", port=8000),
        "chat-v1-__1-8001": Endpoint(host="::1", port=8001),
        "chat-v1-gpu-1.local-80": Endpoint(host="gpu-1.local", port=80),
    }
