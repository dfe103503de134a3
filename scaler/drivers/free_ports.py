"""Free TCP ports on loopback, each handed to one replica at a time."""

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

    def reserve(self) -> int:
        """Choose a port and hold it. OSError when the kernel has none."""
        refused: list[socket.socket] = []
        try:
            while True:
                candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                refused.append(candidate)
                candidate.bind((LOOPBACK, 0))
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


def taken(port: int) -> bool:
    """Whether someone listens on `port` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
