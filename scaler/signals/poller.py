"""Asks one source again and again, beside the ticks, and keeps its latest answer.

A tick never waits for a signal: it takes what is there. So a source that is slow delays neither
the start of a first replica nor any other pool, and its latest value is at most one interval and
one answer's time old, or as old as the configuration lets it become, or lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from fleet.clock import Clock
from fleet.config.schema import Signal
from scaler.signals.answers import NOT_READ_YET, Answers
from scaler.signals.loss import Loss
from scaler.signals.source import LARGEST, SignalLostError, Source
from scaler.signals.standing import Measured

__all__ = ["NOT_READ_YET", "Poller"]

_log = structlog.get_logger("scaler")


class Poller:
    """One source. `on_event(kind, message)` hears when it is lost and when it is back."""

    def __init__(
        self,
        source: Source,
        signal: Signal,
        clock: Clock,
        interval: float,
        on_event: Callable[[str, str], None],
    ) -> None:
        self.source = source
        self.signal = signal
        self._answers = Answers()
        self._loss = Loss(source.name, on_event)
        # A flag besides the cancellation: `asyncio.wait_for`, used inside clients, may swallow a
        # cancellation that meets its result (until Python 3.12).
        self._over = False
        self._clock = clock
        self._interval = interval

    def __repr__(self) -> str:
        return f"<Poller {self.source.name} {self.error or self._answers.value}>"

    @property
    def error(self) -> str | None:
        """Why there is no value now; None: there is one."""
        return self._answers.lost(
            self._clock.monotonic(),
            stale=self.signal.stale,
            failures=self.signal.failures,
            interval=self._interval,
        )

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
        """Ask once. Whatever goes wrong is a failed read, never an answer."""
        try:
            value = await self.source.read()
            if value is not None and not abs(value) <= LARGEST:
                raise SignalLostError(f"no load is as large as {value:.6g}")
        except SignalLostError as error:
            self._answers = self._answers.failed(str(error))
        except Exception as error:
            _log.exception("signal failed", signal=self.source.name)
            self._answers = self._answers.failed(f"{type(error).__name__}: {error}")
        else:
            self._answers = self._answers.found(value, self._clock.monotonic())
        self._loss.note(self.error, self._answers.value, self._clock.monotonic())

    def measured(self) -> Measured:
        """The latest value, and why it does not count if it does not."""
        return Measured(
            name=self.source.name,
            value=self._answers.value,
            target=self.source.per_replica,
            ratio=self.source.ratio,
            error=self.error,
            excused=self._answers.excused(self.signal.failures),
        )
