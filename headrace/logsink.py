"""Standard output for access log lines, written by a thread so that a stopped terminal or a slow
pipe holds up nothing else. What does not fit the backlog is dropped and counted.
"""

from __future__ import annotations

import os
import queue
import threading

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
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
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
