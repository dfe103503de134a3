"""docs/operations.md is kept in step with the code, and its examples are run."""

from __future__ import annotations

import doctest
import http.client
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import msgspec
import pytest
import typer.main
from typer.testing import CliRunner

from headrace.admin.routes import ROUTES
from headrace.cli.app import VERBS, create_cli
from headrace.operations import PoolStatus, ReloadResult, Status
from tests.unit.headrace.fakes import NOW, FakeOperations

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "operations.md").read_text()
HEADINGS = re.findall(r"^### `(.+)`$", TEXT, re.MULTILINE)
DOCUMENTED_ADDRESS = "http://127.0.0.1:9900"

GOOD = """
routes: [{match: {path: /v1/support}, pool: support}]
pools:
  support:
    versions: {v1: {weight: 95}, v2: {weight: 5}}
    driver: {static: {endpoints: ["http://127.0.0.1:9"]}}
"""
BROKEN = """\
routes:
  - match: {path: /v1/support}
    pool: suport
pools:
  support:
    versions:
      v1: {wieght: 95}
    driver:
      static: {endpoints: ["http://10.0.0.5:8000"]}
    queue: {timeout: 10}
"""


def section(heading: str) -> str:
    return TEXT.partition(f"### `{heading}`\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def examples() -> list[tuple[str, str]]:
    """Each command of a console block, and the output shown under it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


EXAMPLES = examples()


def test_every_route_has_a_section() -> None:
    documented = [heading for heading in HEADINGS if not heading.startswith("headrace ")]
    assert documented == [f"{route.method} {route.path}" for route in ROUTES]


def test_every_verb_has_a_section() -> None:
    documented = [h.removeprefix("headrace ") for h in HEADINGS if h.startswith("headrace ")]
    assert documented == list(VERBS) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_named(verb: str) -> None:
    command = typer.main.get_command(create_cli())
    shared = {"--admin", "--token-file", "--help"}
    for parameter in command.commands[verb].params:  # type: ignore[attr-defined]
        for name in parameter.opts:
            if name.startswith("-") and name not in shared:
                assert f"`{name}`" in section(f"headrace {verb}"), name
    assert all(f"`{name}`" in TEXT for name in shared - {"--help"})


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_answers(verb: str) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(create_cli(), [*verb.split(), flag])
        assert result.exit_code == 0
        assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("type_", "heading"), [(Status, "GET /v1/status"), (PoolStatus, "GET /v1/pools/{pool}")]
)
def test_every_field_is_shown(type_: type[msgspec.Struct], heading: str) -> None:
    for field in msgspec.structs.fields(type_):
        assert f'"{field.name}"' in section(heading)


def test_every_field_of_a_reload_is_shown() -> None:
    for field in msgspec.structs.fields(ReloadResult):
        assert f'"{field.name}"' in section("POST /v1/reload")


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[c for c, _ in EXAMPLES])
def test_example(
    command: str,
    output: str,
    operations: FakeOperations,
    start_daemon: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "agents.yml").write_text(GOOD)
    (tmp_path / "broken.yml").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    clock = SimpleNamespace(time=lambda: NOW, monotonic=time.monotonic)
    monkeypatch.setattr("headrace.cli.status.time", clock)
    address = start_daemon(operations)
    monkeypatch.setenv("HEADRACE_ADMIN", address)
    program, *arguments = shlex.split(command)
    if program == "headrace":
        shown = CliRunner().invoke(create_cli(), arguments).output
    else:
        assert program == "curl"
        shown = curl(arguments, address)
    assert matches(output, shown), shown


def curl(arguments: list[str], address: str) -> str:
    """The request that a curl with such arguments makes, to `address` instead of the shown one."""
    method, body, headers = "GET", None, {}
    words = iter(arguments)
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-d":
                body = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case url:
                path = url.removeprefix(DOCUMENTED_ADDRESS)
                assert path != url
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def matches(want: str, got: str) -> bool:
    """Equal but for white space, where `...` stands for anything."""
    squeezed = ["".join(text.split()) for text in (want, got)]
    return doctest.OutputChecker().check_output(squeezed[0], squeezed[1], doctest.ELLIPSIS)
