"""Telling systemd how the daemon fares: sd_notify(3), without libsystemd.

Does nothing when the daemon was not started by a service manager.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping

import structlog

from fleet.clock import Clock, SystemClock

SEND_TIMEOUT = 0.2
"""Seconds a full notification socket may hold up the daemon."""

_log = structlog.get_logger("notify")


class Notifier:
    """Sends state changes to the service manager. A failed send is logged, never raised."""

    def __init__(
        self,
        address: str | None,
        watchdog_interval: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`address`: a path, or `@name` for an abstract socket; None: every call does nothing."""
        self._clock = clock or SystemClock()
        self.watchdog_interval = watchdog_interval
        """Seconds between two signs of life; None when the manager wants none."""
        self._address = "\0" + address[1:] if address and address[0] == "@" else address

    @classmethod
    def from_environment(
        cls, environ: MutableMapping[str, str] | None = None, pid: int | None = None
    ) -> Notifier:
        """Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of `environ`.

        They are removed so that workers and replicas, which inherit the environment, do not
        speak for the daemon. `environ` and `pid` are by default those of this process.
        """
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", None)
        period = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        own = str(os.getpid() if pid is None else pid)
        interval = None
        if address and period.isdecimal() and int(period) > 0 and watched in ("", own):
            interval = int(period) / 1e6 / 2
        return cls(address or None, interval)

    def ready(self, status: str = "") -> bool:
        """The daemon serves; also ends a reload."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def stopping(self, status: str = "") -> bool:
        """The daemon drains and then ends."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    async def watchdog(self, stop: asyncio.Event) -> None:
        """Give a sign of life at each half of the watchdog's period, until `stop`."""
        if self.watchdog_interval is None:
            return
        while not stop.is_set():
            self._send("WATCHDOG=1")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.watchdog_interval):
                    await stop.wait()

    def _send(self, *lines: str) -> bool:
        """True when the manager has been told."""
        if self._address is None or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(SEND_TIMEOUT)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("cannot notify the service manager", error=str(error))
            return False
        return True


def _status(text: str) -> list[str]:
    return ["STATUS=" + " ".join(text.split())] if text else []
