"""Replicas as child processes: start, adopt, watch for the end, stop without leaving anything.

Theory of operation. A replica leads its own session, so its process group can be signalled as a
whole and the daemon's own signals do not reach it. Its end is an event: a pidfd that becomes
readable, for our child as for an adopted process. While an ended child is still a zombie its pid
cannot be reused, so its group is killed first and the child reaped last; then a sweep of `/proc`
ends what left the group but kept the session or the marks. Only then is the replica over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from msgspec import Struct

from fleet.errors import HeadraceError
from scaler.drivers.free_ports import FreePorts, taken
from scaler.drivers.output import OutputReader, make_fifo
from scaler.drivers.procfs import Family, boot_id, look
from scaler.drivers.spec import Identity, LaunchSpec, arguments, environment
from scaler.drivers.state_files import Record, StateFiles
from scaler.drivers.sweeper import Sweeper

_STREAMS = {"err": "stderr", "out": "stdout"}

_log = structlog.get_logger("replicas")
_output_log = structlog.get_logger("replica")


class LaunchError(HeadraceError):
    """A replica could not be started; says why in words for the operator."""


class Exit(Struct, frozen=True, kw_only=True):
    """How a process ended."""

    status: int | None
    """Exit code; negative: the signal that killed it; None: unknown (an adopted process)."""
    port_taken: bool = False
    """Another program listens on the port it was given."""

    def __str__(self) -> str:
        if self.status is None:
            return "ended"
        if self.status >= 0:
            return f"exit code {self.status}"
        try:
            return f"killed by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"killed by signal {-self.status}"


class RunningProcess:
    """One process of a replica, from its start or adoption until nothing of it is left."""

    def __init__(
        self,
        record: Record,
        *,
        child: subprocess.Popen[bytes] | None,
        readers: list[OutputReader],
        sweeper: Sweeper,
        release: Callable[[], None],
    ) -> None:
        """Watch `record.pid`. OSError when it cannot be watched; the process is left alone."""
        self.record = record
        self._child = child
        self._readers = readers
        self._sweeper = sweeper
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Exit] = self._loop.create_future()
        self._finishing: asyncio.Task[None] | None = None
        self._patience = float("inf")
        self._stopping: asyncio.Timeout | None = None
        self._pidfd = os.pidfd_open(record.pid)
        self._loop.add_reader(self._pidfd, self._leader_ended)

    def __repr__(self) -> str:
        state = f"over: {self._over.result()}" if self._over.done() else "running"
        return f"<RunningProcess {self.record.name} pid={self.record.pid} {state}>"

    @property
    def host(self) -> str:
        """Address it listens on; empty for one without an endpoint."""
        return self.record.host if self.record.port else ""

    async def wait(self) -> Exit:
        """Return once the process and all it started are gone."""
        return await asyncio.shield(self._over)

    async def stop(self, timeout: float) -> bool:
        """SIGTERM to the group, up to `timeout` seconds, SIGKILL. True: it had to be killed."""
        self._signal_group(signal.SIGTERM)
        try:
            async with asyncio.timeout(min(timeout, self._patience)) as self._stopping:
                await self.wait()
        except TimeoutError:
            self._signal_group(signal.SIGKILL)
            await self.wait()
            return True
        finally:
            self._stopping = None
        return False

    def hurry(self, timeout: float) -> None:
        """Let it have no more than `timeout` seconds from SIGTERM, or from now, to SIGKILL."""
        self._patience = timeout
        stopping, end = self._stopping, self._loop.time() + timeout
        if stopping is None or stopping.expired():
            return
        before = stopping.when()
        if before is None or before > end:
            stopping.reschedule(end)

    def _signal_group(self, signum: signal.Signals) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.record.pid, signum)

    def _leader_ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if self._child is not None:
            self._signal_group(signal.SIGKILL)
        os.close(self._pidfd)
        self._pidfd = -1
        self._finishing = self._loop.create_task(self._finish(), name=f"end {self.record.name}")

    async def _finish(self) -> None:
        status = None
        port_taken = False
        try:
            await self._sweeper.clear(Family(name=self.record.name, pid=self.record.pid))
            if self._child is not None:
                status = self._child.wait()
            for reader in self._readers:
                reader.close()
            port_taken = self.record.port > 0 and taken(self.record.host, self.record.port)
            self._release()
        except OSError as error:
            _log.error("cleaning up a replica", replica=self.record.name, error=str(error))
        finally:
            self._over.set_result(Exit(status=status, port_taken=port_taken))


class ProcessHost:
    """Starts and adopts the replicas of one state directory."""

    def __init__(self, files: StateFiles, environ: Mapping[str, str]) -> None:
        self._files = files
        self._environ = environ
        self._boot = boot_id()
        self._ports = FreePorts()
        self.sweeper = Sweeper(str(files.state_dir))

    def launch(self, who: Identity, spec: LaunchSpec, stop_timeout: float) -> RunningProcess:
        """Start a replica. LaunchError when that fails; then nothing is left of the attempt.

        Blocks for the few milliseconds between vfork and exec, so that no cancellation can fall
        between a started process and its record.
        """
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as ours:
            try:
                port = self._ports.reserve(spec.host) if spec.endpoint else 0
                undo.callback(self._forget, who.name, port)
                ends = {}
                for suffix in _STREAMS:
                    ends[suffix] = make_fifo(self._files.fifo(who.name, suffix))
                    ours.callback(os.close, ends[suffix])
                readers = self._open_readers(who.name, undo)
                child = subprocess.Popen(
                    arguments(spec, who, port),
                    stdin=subprocess.DEVNULL,
                    stdout=ends["out"],
                    stderr=ends["err"],
                    cwd=spec.cwd,
                    env=environment(
                        spec, who, port, base=self._environ, state_dir=str(self._files.state_dir)
                    ),
                    start_new_session=True,
                )
                undo.callback(_kill, child)
                record = Record(
                    name=who.name,
                    pool=who.pool,
                    version=who.version,
                    pid=child.pid,
                    started=_start_time(child.pid),
                    boot=self._boot,
                    port=port,
                    host=spec.host,
                    spec=spec.digest(),
                    stop_timeout=stop_timeout,
                )
                self._files.save(record)
                running = self._watch(record, child, readers)
            except (OSError, ValueError) as error:
                raise LaunchError(_why(error, spec)) from error
            undo.pop_all()
        return running

    def adopt(self, record: Record) -> RunningProcess:
        """Watch a replica that a former daemon started. OSError when it cannot be watched."""
        with contextlib.ExitStack() as undo:
            running = self._watch(record, None, self._open_readers(record.name, undo))
            undo.pop_all()
        self._ports.hold(record.port)
        return running

    def _open_readers(self, name: str, undo: contextlib.ExitStack) -> list[OutputReader]:
        """Open before the start: a FIFO that nobody holds for a moment loses what is in it."""
        readers = []
        for suffix, stream in _STREAMS.items():
            emit = partial(_output_log.info, replica=name, stream=stream)
            reader = OutputReader(self._files.fifo(name, suffix), emit)
            undo.callback(reader.close)
            readers.append(reader)
        return readers

    def _watch(
        self,
        record: Record,
        child: subprocess.Popen[bytes] | None,
        readers: list[OutputReader],
    ) -> RunningProcess:
        running = RunningProcess(
            record,
            child=child,
            readers=readers,
            sweeper=self.sweeper,
            release=partial(self._forget, record.name, record.port),
        )
        for reader in readers:
            reader.start()
        return running

    def _forget(self, name: str, port: int) -> None:
        self._ports.release(port)
        self._files.remove(name)


def _start_time(child: int) -> int:
    process = look(child)
    assert process is not None, "a child that is not reaped is always in /proc"
    return process.started


def _kill(child: subprocess.Popen[bytes]) -> None:
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _why(error: OSError | ValueError, spec: LaunchSpec) -> str:
    """Tell a missing directory from a missing command, as `Popen` reports both alike."""
    if isinstance(error, OSError):
        if error.filename == spec.cwd:
            return f"working directory {spec.cwd}: {error.strerror}"
        if isinstance(error, FileNotFoundError) and error.filename == spec.command[0]:
            return f"command not found: {spec.command[0]}"
        if error.filename == spec.command[0]:
            return f"command {spec.command[0]}: {error.strerror}"
    return str(error)
