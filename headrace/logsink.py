"""Standard output for access log lines and standard error for the daemon's own, each written by a
thread so that a stopped terminal or a slow pipe holds up nothing else. What does not fit the
backlog is dropped and counted.
"""

from __future__ import annotations

import io
import os
import queue
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDOUT = 1
STDERR = 2

MAX_BACKLOG = 8 * 1024 * 1024


class LogSink:
    """Writes blocks of whole lines to a file descriptor, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._backlog = 0
        self._lock = threading.Lock()
        self.dropped = 0
        """Lines."""
        self._thread = threading.Thread(target=self._run, name=f"log to {fd}", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Queue whole lines. Never blocks."""
        with self._lock:
            if self._backlog + len(lines) > MAX_BACKLOG:
                self.dropped += lines.count(b"\n")
                return
            self._backlog += len(lines)
        self._queue.put(lines)

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (lines := self._queue.get()) is not None:
            view = memoryview(lines)
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                self.dropped += bytes(view).count(b"\n")
            with self._lock:
                self._backlog -= len(lines)


def text_stream(sink: LogSink, *, terminal: bool) -> TextIO:
    """A stream whose every write goes to `sink` at once. Writing to it never blocks or fails."""
    return io.TextIOWrapper(_File(sink, terminal), "utf-8", "backslashreplace", write_through=True)


class _File(io.BufferedIOBase):
    name = "log"

    def __init__(self, sink: LogSink, terminal: bool) -> None:
        super().__init__()
        self._sink = sink
        self._terminal = terminal

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._terminal

    def write(self, data: Buffer) -> int:
        lines = bytes(data)
        self._sink.write(lines)
        return len(lines)
