"""Events go to the log as well as to the store."""

from __future__ import annotations

import structlog

from fleet.model import Decision, Event
from fleet.ports import Recorder

_WARNINGS = frozenset(
    {
        "alone",
        "backoff",
        "died",
        "ejected",
        "exited",
        "fenced",
        "killed",
        "lost",
        "rejected",
        "unhealthy",
    }
)

_log = structlog.get_logger("event")


class LoggedRecorder:
    """A `fleet.ports.Recorder` that logs events on their way to another."""

    def __init__(self, inner: Recorder) -> None:
        self._inner = inner

    def decision(self, decision: Decision) -> None:
        """See `fleet.ports.Recorder`. The scaler logs its decisions itself."""
        self._inner.decision(decision)

    def event(self, event: Event) -> None:
        """See `fleet.ports.Recorder`."""
        fields = {
            name: value
            for name in ("pool", "version", "replica")
            if (value := getattr(event, name))
        }
        serious = event.kind.rpartition(".")[2] in _WARNINGS
        log = _log.warning if serious else _log.info
        log(event.message, kind=event.kind, **fields)
        self._inner.event(event)
