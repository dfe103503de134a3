"""What a replica writes, line by line into the daemon's log.

Each of stdout and stderr is a named FIFO that the replica itself holds open for reading too:
when the daemon dies the replica gets no SIGPIPE, and the next daemon reads on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

LINE_LIMIT: Final = 8192
CUT: Final = " [cut]"

_CHUNK: Final = 65536
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LineSplitter:
    """Bytes in, lines out: decoded, cut at LINE_LIMIT bytes, control characters made visible."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._over = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        lines = []
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._append(part)
            lines.append(self._take())
        self._append(rest)
        return lines

    def finish(self) -> list[str]:
        """The last line, when it had no end."""
        return [self._take()] if self._pending else []

    def _append(self, part: bytes) -> None:
        room = LINE_LIMIT - len(self._pending)
        self._over = self._over or len(part) > room
        self._pending += part[:room]

    def _take(self) -> str:
        text = self._pending.removesuffix(b"\r").decode("utf-8", "replace")
        line = _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
        if self._over:
            line += CUT
        self._pending.clear()
        self._over = False
        return line


class OutputReader:
    """Reads one FIFO as it fills, from the event loop; closes at end of file or `close`."""

    def __init__(self, path: Path, emit: Callable[[str], None]) -> None:
        """Open the read end. OSError when it cannot be opened."""
        self._loop = asyncio.get_running_loop()
        self._emit = emit
        self._lines = LineSplitter()
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def start(self) -> None:
        """Begin to read; the replica must hold the FIFO by now, or it reads as ended."""
        self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        """Read what is there, then close. Call it when the writers are gone."""
        while self._fd >= 0 and self._read():
            pass
        self._close()

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        for line in self._lines.feed(data):
            self._emit(line)
        if not data:
            self._close()
        return bool(data)

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            for line in self._lines.finish():
                self._emit(line)


def make_fifo(path: Path) -> int:
    """Create a fresh FIFO and open it for a child: both ends, blocking. OSError on failure."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
