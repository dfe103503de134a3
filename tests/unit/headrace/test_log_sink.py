"""Logs into a pipe that nobody reads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog

from headrace.logging import configure_logging
from headrace.logsink import MAX_BACKLOG, LogSink, text_stream

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)


def everything(read: int) -> bytes:
    pieces = []
    while piece := os.read(read, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def test_a_daemon_whose_log_nobody_takes_goes_on_and_counts_what_it_drops(
    pipe: tuple[int, int],
) -> None:
    read, write = pipe
    sink = LogSink(write)
    configure_logging("info", "json", text_stream(sink, terminal=False))
    log = structlog.get_logger("test")
    count, filler = 40, "x" * (MAX_BACKLOG // 32)
    for number in range(count):
        log.info("line", number=number, filler=filler)
    assert 5 <= sink.dropped < count
    sink.close(timeout=0)
    os.set_blocking(write, True)
    kept = 0
    pending = b""
    while kept < count - sink.dropped:
        pending += os.read(read, 1 << 20)
        *lines, pending = pending.split(b"\n")
        for line in lines:
            assert line.startswith(b"{") and line.endswith(b"}")
            kept += 1
    assert pending == b""
    sink.close()
    os.close(write)
    assert everything(read) == b""


def test_a_line_that_is_taken_comes_as_it_was_written(pipe: tuple[int, int]) -> None:
    read, write = pipe
    sink = LogSink(write)
    print("grün \ud800", file=text_stream(sink, terminal=False))
    sink.close()
    os.close(write)
    assert everything(read) == "grün \\ud800\n".encode()
    assert sink.dropped == 0
    assert text_stream(sink, terminal=True).isatty()
