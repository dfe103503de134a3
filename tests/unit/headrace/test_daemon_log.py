"""The daemon's own log, line by line."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest
import structlog

from headrace.logging import configure_logging

pytestmark = pytest.mark.usefixtures("logging_as_before")

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console_line(event: str, **fields: Any) -> str:
    stream = io.StringIO()
    configure_logging("debug", "console", stream)
    structlog.get_logger("pool").info(event, **fields)
    return TIME.sub("", stream.getvalue())


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, ""),
    "a word": ({"replica": "a-1"}, " replica=a-1"),
    "numbers": ({"code": -9, "after": 0.5}, " code=-9 after=0.5"),
    "words": ({"reason": "no answer"}, ' reason="no answer"'),
    "nothing": ({"reason": ""}, ' reason=""'),
    "a quote": ({"reason": 'say "x"'}, ' reason="say \\"x\\""'),
    "a line break cannot forge a line": ({"reason": "a\nb"}, ' reason="a\\nb"'),
    "nor can an escape sequence colour it": ({"reason": "\x1b[2J"}, ' reason="\\u001b[2J"'),
}


@pytest.mark.parametrize(("fields", "text"), FIELDS.values(), ids=FIELDS)
def test_console_fields(fields: dict[str, Any], text: str) -> None:
    assert console_line("ready", **fields) == f"INFO    pool: ready{text}\n"


def test_console_event_stays_on_its_line() -> None:
    assert console_line("two\nlines") == "INFO    pool: two\\nlines\n"


def test_times_are_iso_in_utc() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    structlog.get_logger("pool").info("ready")
    assert TIME.match(stream.getvalue())


def test_json() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    structlog.get_logger("pool").warning("lost", replica="a-1", reason="no\nanswer")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "pool",
        "message": "lost",
        "replica": "a-1",
        "reason": "no\nanswer",
    }


@pytest.mark.parametrize("form", ["console", "json"])
def test_other_libraries_write_the_same_lines(form: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", form, stream)
    logging.getLogger("asyncio").warning("task %s was never awaited", 7)
    logging.getLogger("asyncio").debug("not shown")
    (line,) = stream.getvalue().splitlines()
    if form == "json":
        assert json.loads(line)["message"] == "task 7 was never awaited"
    else:
        assert TIME.sub("", line) == "WARNING asyncio: task 7 was never awaited"


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_is_written_without_the_values_of_variables(form: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", form, stream)
    try:
        password = "hunter" + "2"
        raise RuntimeError(str(len(password)))
    except RuntimeError:
        structlog.get_logger("pool").exception("failed")
    text = stream.getvalue()
    assert "RuntimeError: 7" in text
    assert "hunter2" not in text


def test_levels_change_at_a_later_call() -> None:
    log = structlog.get_logger("pool")
    first, second = io.StringIO(), io.StringIO()
    configure_logging("warning", "console", first)
    log.info("quiet")
    log.warning("loud")
    configure_logging("debug", "json", second)
    log.debug("seen")
    assert [TIME.sub("", line) for line in first.getvalue().splitlines()] == ["WARNING pool: loud"]
    assert json.loads(second.getvalue())["message"] == "seen"


@pytest.mark.parametrize(
    ("no_color", "coloured"), [("", True), ("1", False)], ids=["a terminal", "NO_COLOR is set"]
)
def test_colour(monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    configure_logging("info", "console", stream)
    structlog.get_logger("pool").info("ready")
    assert ("\x1b[" in stream.getvalue()) is coloured
