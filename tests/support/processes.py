"""Processes under test, with their output at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.support.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[2]


class Spawned:
    """A running process; standard output and standard error are gathered as one list of lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def line(self, pattern: str, timeout: float = DEADLINE) -> re.Match[str]:
        """The first line that `pattern` is found in; AssertionError when none comes in time."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        try:
            async with asyncio.timeout(timeout), self._more:
                await self._more.wait_for(lambda: found() is not None or self._reader.done())
        except TimeoutError:
            pass
        match = found()
        assert match is not None, f"no line has {pattern!r} in:\n{self.output}"
        return match

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()

    async def exit_code(self, timeout: float = DEADLINE) -> int:
        """The exit code, once it has ended by itself; AssertionError when it does not."""
        try:
            async with asyncio.timeout(timeout):
                code = await self.process.wait()
                await self._reader
        except TimeoutError:
            raise AssertionError(f"still runs after {timeout:g} s:\n{self.output}") from None
        return code

    async def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._more:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()


@contextlib.asynccontextmanager
async def spawned(
    *command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> AsyncIterator[Spawned]:
    """Run `command` with `env` added to the environment; killed at the end if still there."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        cwd=cwd,
    )
    running = Spawned(process)
    try:
        yield running
    finally:
        await running.close()
