"""What the kernel says of processes and of the machine: CPU time, memory, strangers' work."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cpu:
    """CPU seconds of a group of processes, all threads, ended children not included."""

    user: float = 0.0
    system: float = 0.0

    @property
    def total(self) -> float:
        """User and system."""
        return self.user + self.system

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.user + other.user, self.system + other.system)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.user - other.user, self.system - other.system)


def _stat(pid: int) -> list[str]:
    """Fields of proc(5) stat from the third on; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu(pids: Iterable[int]) -> Cpu:
    """CPU time so far."""
    total = Cpu()
    for pid in pids:
        if fields := _stat(pid):
            total += Cpu(int(fields[11]) * TICK, int(fields[12]) * TICK)
    return total


def rss(pids: Iterable[int]) -> int:
    """Resident bytes, summed; pages shared between the processes count for each."""
    return sum(int(fields[21]) * PAGE for pid in pids if (fields := _stat(pid)))


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def command_line(pid: int) -> str:
    """Program and arguments, empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Strangers:
    """CPU seconds spent since the last call by processes that are not ours, and stolen by the
    host of a virtual machine.
    """

    def __init__(self) -> None:
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = cpu(tree(os.getpid())).total + ended.ru_utime + ended.ru_stime
        busy = (user + nice + system + irq + softirq) * TICK
        return busy - ours, steal * TICK

    def since(self) -> tuple[float, float]:
        """Strangers' and stolen seconds since the last call."""
        before, self._last = self._last, self._now()
        return max(0.0, self._last[0] - before[0]), max(0.0, self._last[1] - before[1])


def machine() -> dict[str, str | int]:
    """What a reader must know to compare."""
    model = "unknown"
    memory = 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = int(line.split()[1]) * 1024
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
