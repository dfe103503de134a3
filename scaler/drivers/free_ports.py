"""Free TCP ports, each handed to one replica at a time."""

from __future__ import annotations

import errno
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


class FreePorts:
    """Chooses ports the kernel calls free and no living replica holds.

    A chosen port is closed again before the replica binds it, so another program may take it in
    between; `taken` tells that case apart afterwards.
    """

    def __init__(self) -> None:
        self._held: set[int] = set()

    def reserve(self, host: str = LOOPBACK) -> int:
        """Choose a port of `host`, an address of this machine, and hold it. OSError when the
        kernel has none.
        """
        refused: list[socket.socket] = []
        try:
            while True:
                family, address = _address(host, 0)
                candidate = socket.socket(family, socket.SOCK_STREAM)
                refused.append(candidate)
                candidate.bind(address)
                port: int = candidate.getsockname()[1]
                if port not in self._held:
                    self._held.add(port)
                    return port
        finally:
            for candidate in refused:
                candidate.close()

    def hold(self, port: int) -> None:
        """Keep a port that a survivor already has."""
        self._held.add(port)

    def release(self, port: int) -> None:
        """Give a port back."""
        self._held.discard(port)


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if ":" in host:
        return socket.AF_INET6, (host, port)
    return socket.AF_INET, (host, port)


def taken(host: str, port: int) -> bool:
    """Whether someone listens on `port` of `host` now."""
    family, address = _address(host, port)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
