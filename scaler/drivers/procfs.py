"""What `/proc` says of processes: identity, kin, and the marks Headrace puts in an environment.

A pid alone may be reused; a pid with its start time is unique until the next boot (proc(5)).
Everything that kills checks both, through a pidfd, so that no stranger is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

STATE_DIR_MARK: Final = "HEADRACE_STATE_DIR"
REPLICA_MARK: Final = "HEADRACE_REPLICA"

_PROC: Final = Path("/proc")
_KILL_WAIT: Final = 2.0
_KILL_ROUNDS: Final = 10


class Process(Struct, frozen=True, kw_only=True):
    """One process as `/proc` shows it."""

    pid: int
    group: int
    session: int
    started: int
    """Clock ticks from boot to its start: field 22 of stat."""
    zombie: bool
    replica: str = ""
    """Its REPLICA_MARK, if its STATE_DIR_MARK is the directory asked about; else empty."""


class Family(Struct, frozen=True, kw_only=True):
    """The processes of one replica: its session, and whatever left that but kept the marks."""

    name: str
    pid: int | None
    """Leader of the session; None when only the marks are to be trusted."""

    def includes(self, process: Process) -> bool:
        """Whether a process, as `scan` of the family's state directory shows it, belongs."""
        kin = self.pid is not None and self.pid in (process.group, process.session)
        return kin or process.replica == self.name


def parse_stat(text: str) -> Process:
    """Read the content of `/proc/PID/stat`; the command may hold blanks and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(
        pid=int(head.split(" ", 1)[0]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
        zombie=fields[0] in ("Z", "X"),
    )


def parse_marks(environ: bytes) -> tuple[str, str]:
    """The state directory and replica named in the content of `/proc/PID/environ`, or empty."""
    marks = {STATE_DIR_MARK: "", REPLICA_MARK: ""}
    for entry in environ.split(b"\0"):
        key, _, value = os.fsdecode(entry).partition("=")
        if key in marks:
            marks[key] = value
    return marks[STATE_DIR_MARK], marks[REPLICA_MARK]


def look(pid: int) -> Process | None:
    """The process `pid`, without its marks; None when there is none."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def scan(state_dir: str) -> list[Process]:
    """Every process of this host, with the replica named by those marked with `state_dir`."""
    found = []
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal() or (process := look(int(entry.name))) is None:
            continue
        try:
            marks = parse_marks(Path(entry.path, "environ").read_bytes())
        except OSError:
            marks = ("", "")
        found.append(replace(process, replica=marks[1]) if marks[0] == state_dir else process)
    return found


def boot_id() -> str:
    """Identity of the running boot; start times compare only within one."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def end_families(families: Sequence[Family], state_dir: str, grace: float) -> int:
    """End every process of `families`: SIGTERM, up to `grace` seconds, then SIGKILL.

    With `grace` 0 it starts with SIGKILL. Rounds repeat until a scan finds none, since a process
    may fork while it is being killed. Blocks: call it in a thread. Returns how many are left,
    0 unless the kernel itself cannot end them.
    """

    def members() -> list[Process]:
        return [
            process
            for process in scan(state_dir)
            if not process.zombie
            and process.pid != os.getpid()
            and any(family.includes(process) for family in families)
        ]

    if grace > 0:
        _signal_and_wait(members(), signal.SIGTERM, grace)
    for _ in range(_KILL_ROUNDS):
        left = members()
        if not left:
            return 0
        _signal_and_wait(left, signal.SIGKILL, _KILL_WAIT)
    return len(members())


def _signal_and_wait(
    processes: Iterable[Process],
    signum: signal.Signals,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Signal each process and return when all have ended or `seconds` have passed."""
    poller = select.poll()
    waiting: set[int] = set()
    try:
        for process in processes:
            try:
                fd = os.pidfd_open(process.pid)
            except ProcessLookupError:
                continue
            waiting.add(fd)
            poller.register(fd, select.POLLIN)
            now = look(process.pid)
            if now is None or now.started != process.started:
                _forget(poller, waiting, fd)
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(fd, signum)
        deadline = monotonic() + seconds
        while waiting and (rest := deadline - monotonic()) > 0:
            for fd, _ in poller.poll(rest * 1000):
                _forget(poller, waiting, fd)
    finally:
        for fd in waiting:
            os.close(fd)


def _forget(poller: select.poll, waiting: set[int], fd: int) -> None:
    poller.unregister(fd)
    waiting.discard(fd)
    os.close(fd)
