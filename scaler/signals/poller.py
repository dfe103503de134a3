"""Asks one source again and again, beside the ticks, and keeps its latest answer.

A tick never waits for a signal: it takes what is there. So a source that is slow delays neither
the start of a first replica nor any other pool, and its latest value is at most one interval and
one answer's time old, or lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from fleet.clock import Clock
from fleet.model import Reading
from scaler.signals.source import SignalLostError, Source

NOT_READ_YET = "not read yet"

_log = structlog.get_logger("scaler")


class Poller:
    """One source. `on_event(kind, message)` hears when it is lost and when it is back."""

    def __init__(
        self, source: Source, clock: Clock, interval: float, on_event: Callable[[str, str], None]
    ) -> None:
        self.source = source
        self.error: str | None = NOT_READ_YET
        """Why there is no value now; None: there is one."""
        self._value = 0.0
        self._lost_since: float | None = None
        # A flag besides the cancellation: `asyncio.wait_for`, used inside clients, may swallow a
        # cancellation that meets its result (until Python 3.12).
        self._over = False
        self._clock = clock
        self._interval = interval
        self._on_event = on_event

    def __repr__(self) -> str:
        return f"<Poller {self.source.name} {self.error or f'{self._value:g}'}>"

    async def run(self) -> None:
        """Ask every interval (seconds, from start to start) until cancelled, after `end`."""
        while True:
            asked = self._clock.monotonic()
            await self.ask()
            if self._over:
                return
            rest = self._interval - (self._clock.monotonic() - asked)
            await asyncio.sleep(max(0.0, rest))

    def end(self) -> None:
        """Ask no more."""
        self._over = True

    async def ask(self) -> None:
        """Ask once. Whatever goes wrong is a lost signal, never an old value kept."""
        try:
            value = await self.source.read()
        except SignalLostError as error:
            self._lose(str(error))
        except Exception as error:
            _log.exception("signal failed", signal=self.source.name)
            self._lose(f"{type(error).__name__}: {error}")
        else:
            self._find(value)

    def reading(self, share: float) -> Reading:
        """The latest value, of it the `share` (0..1) of one version."""
        name, target = self.source.name, self.source.per_replica
        if self.error is not None:
            return Reading(signal=name, value=None, target=target, error=self.error)
        value = self._value * share
        detail = "" if share == 1 else f"{share:.3g} of {self._value:.6g} = {value:.6g}"
        return Reading(signal=name, value=value, target=target, detail=detail)

    def _lose(self, error: str) -> None:
        self.error = error
        if self._lost_since is None:
            self._lost_since = self._clock.monotonic()
            self._on_event("signal.lost", f"{self.source.name} has no value: {error}")

    def _find(self, value: float) -> None:
        self._value, self.error = value, None
        if self._lost_since is not None:
            away = self._clock.monotonic() - self._lost_since
            self._lost_since = None
            self._on_event(
                "signal.recovered", f"{self.source.name} is {value:.6g} again, after {away:.0f}s"
            )
