"""Tells that a signal is lost, and that it is back: each once."""

from __future__ import annotations

from collections.abc import Callable


class Loss:
    """Of one signal. `on_event(kind, message)` hears of it; times are monotonic seconds."""

    def __init__(self, name: str, on_event: Callable[[str, str], None]) -> None:
        self._name = name
        self._on_event = on_event
        self._since: float | None = None
        """When it was lost; None: it is not."""
        self._told = False

    def note(
        self, error: str | None, value: float | None, now: float, *, after: float = 0.0
    ) -> None:
        """It stands so now. A loss is told once it has lasted `after` seconds."""
        if error is None:
            if self._since is not None and self._told:
                away = now - self._since
                shown = "there" if value is None else f"{value:.6g}"
                self._on_event(
                    "signal.recovered", f"{self._name} is {shown} again, after {away:.0f}s"
                )
            self._since, self._told = None, False
            return
        if self._since is None:
            self._since = now
        if not self._told and now - self._since >= after:
            self._told = True
            self._on_event("signal.lost", f"{self._name} has no value: {error}")
