"""What a replica writes, line by line into the daemon's log.

Each of stdout and stderr is a named FIFO that the replica itself holds open for reading too:
when the daemon dies the replica gets no SIGPIPE, and the next daemon reads on.

Writing a line to the log takes some 20 microseconds and a system call, in which nothing else
happens here: three replicas that ran `yes` were not found healthy for 30 s. So each stream has a
budget, as journald gives each unit (journald.conf(5), RateLimitBurst); what is above is read,
counted and dropped, since a pipe that nobody empties would stop the replica instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

LINE_LIMIT: Final = 8192
CUT: Final = " [cut]"
BURST: Final = 500
"""Lines of one stream that are passed on in a second."""

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

    def skip(self, data: bytes) -> int:
        """Let lines go unread; how many `data` completes. Goes on with the one it begins."""
        count = data.count(b"\n")
        if count:
            self._pending.clear()
            self._over = False
        self._append(data[data.rfind(b"\n") + 1 :])
        return count

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


class LineBudget:
    """BURST lines in each second, and a count of those above."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._left = 0
        self._dropped = 0

    def split(self, data: bytes, now: float) -> tuple[bytes, bytes]:
        """`data` up to the last line that may be passed on at monotonic time `now`, and the rest.

        Once the budget is spent even a line's beginning belongs to the rest.
        """
        if now >= self._until:
            self._until, self._left = now + 1.0, BURST
        if self._left == 0:
            return b"", data
        lines = data.split(b"\n", self._left)
        self._left -= len(lines) - 1
        if self._left:
            return data, b""
        rest = lines.pop()
        return data[: len(data) - len(rest)], rest

    def drop(self, count: int) -> None:
        """Count lines as dropped."""
        self._dropped += count

    def take_notice(self, now: float) -> str | None:
        """What to tell of dropped lines, once lines may pass again at monotonic time `now`."""
        if self._dropped == 0 or now < self._until:
            return None
        notice = f"[{self._dropped} lines dropped: more than {BURST} in a second]"
        self._dropped = 0
        return notice


class OutputReader:
    """Reads one FIFO as it fills, from the event loop; closes at end of file or `close`."""

    def __init__(self, path: Path, emit: Callable[[str], None]) -> None:
        """Open the read end. OSError when it cannot be opened."""
        self._loop = asyncio.get_running_loop()
        self._emit = emit
        self._lines = LineSplitter()
        self._budget = LineBudget()
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
        now = self._loop.time()
        self._tell_dropped(now)
        passed, rest = self._budget.split(data, now)
        for line in self._lines.feed(passed):
            self._emit(line)
        self._budget.drop(self._lines.skip(rest))
        if not data:
            self._close()
        return bool(data)

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._tell_dropped(math.inf)
            for line in self._lines.finish():
                self._emit(line)

    def _tell_dropped(self, now: float) -> None:
        if (notice := self._budget.take_notice(now)) is not None:
            self._emit(notice)


def make_fifo(path: Path) -> int:
    """Create a fresh FIFO and open it for a child: both ends, blocking. OSError on failure."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
