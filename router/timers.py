"""One coarse timer wheel for all deadlines of a worker.

A timer per request costs more than the request's own bookkeeping, so connections carry a
`deadline` attribute that costs one store to move, and the wheel looks at each connection when
its slot comes round. Moving a deadline later costs nothing: the wheel finds it in the future and
files the connection again. Moving it earlier than the slot it is filed under needs `file` again.
Deadlines fire up to one `tick` late, never early. (Varghese and Lauck, "Hashed and Hierarchical
Timing Wheels", SOSP 1987, scheme 6 without rounds.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

NEVER = float("inf")


class Timed(Protocol):
    """Something with a deadline."""

    deadline: float
    """Monotonic seconds; NEVER when nothing is due."""
    filed: float
    """Owned by the wheel: the time of the slot it is filed under; -1 when it is not filed."""

    def on_deadline(self, now: float) -> None:
        """`deadline` has passed. Must move it, or `forget` the object."""
        ...


class Alarm:
    """One call at a time: `call()` once `at` (monotonic seconds) has come, unless cancelled."""

    __slots__ = ("_call", "_wheel", "deadline", "filed")

    def __init__(self, wheel: TimerWheel, at: float, call: Callable[[], None]) -> None:
        self._wheel = wheel
        self._call = call
        self.deadline = at
        self.filed = -1.0
        wheel.file(self)

    def on_deadline(self, now: float) -> None:
        """Called by the wheel (`Timed`)."""
        self._wheel.forget(self)
        self._call()

    def cancel(self) -> None:
        """Do not call any more."""
        self._wheel.forget(self)


class TimerWheel:
    """`slots` slots of `tick` seconds. `advance(now)` is to be called about every `tick`, with the
    monotonic time.
    """

    def __init__(self, now: float, tick: float = 0.05, slots: int = 64) -> None:
        self.tick = tick
        self._slots: list[list[tuple[float, Timed]]] = [[] for _ in range(slots)]
        self._position = int(now / tick)
        self._horizon = (slots - 1) * tick

    def file(self, timed: Timed) -> None:
        """See to it that `timed` is looked at when its deadline has passed."""
        start = (self._position + 1) * self.tick
        at = min(max(timed.deadline, start), start + self._horizon - self.tick)
        if 0 <= timed.filed <= at:
            return
        timed.filed = at
        self._slots[self._slot(at)].append((at, timed))

    def forget(self, timed: Timed) -> None:
        """Drop `timed`; its entry goes when its slot comes round."""
        timed.deadline = NEVER
        timed.filed = -1.0

    def advance(self, now: float) -> None:
        """Look at every slot passed since the last call. Raises ExceptionGroup of what went wrong
        in those that were due, when all have had their turn.
        """
        faults: list[Exception] = []
        target = int(now / self.tick)
        steps = min(target - self._position, len(self._slots))
        if steps <= 0:
            return
        first = target - steps + 1
        self._position = target
        for position in range(first, target + 1):
            index = position % len(self._slots)
            due, self._slots[index] = self._slots[index], []
            for at, timed in due:
                if timed.filed != at:
                    continue
                timed.filed = -1.0
                if timed.deadline <= now:
                    try:
                        timed.on_deadline(now)
                    except Exception as fault:
                        self.forget(timed)
                        faults.append(fault)
                    if timed.filed < 0 and timed.deadline != NEVER:
                        self.file(timed)
                else:
                    self.file(timed)
        if faults:
            raise ExceptionGroup("deadlines", faults)

    def _slot(self, at: float) -> int:
        return -int(-at // self.tick) % len(self._slots)
