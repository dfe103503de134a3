"""The sockets clients connect to. Control opens them once and keeps them, so that neither a
reload nor the death of a worker ever refuses a connection.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from fleet.config.addresses import split_address
from fleet.errors import HeadraceError

BACKLOG = 4096


class ListenError(HeadraceError):
    """An address cannot be listened on."""


class Listeners:
    """Open sockets by the address as configured."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses as configured."""
        return tuple(self._sockets)

    def bound(self) -> tuple[str, ...]:
        """Addresses as bound: with the port the system chose where 0 was configured."""
        return tuple(_name(sock) for sock in self._sockets.values())

    def socket(self, address: str) -> socket.socket:
        """The open socket of a configured address."""
        return self._sockets[address]

    def open(self, addresses: Sequence[str]) -> list[str]:
        """Open what is not open yet; gives those addresses. All or none: raises ListenError."""
        new: dict[str, socket.socket] = {}
        try:
            for address in addresses:
                if address not in self._sockets:
                    new[address] = _bind(address)
        except OSError as error:
            for sock in new.values():
                sock.close()
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._sockets.update(new)
        return list(new)

    def close_others(self, addresses: Sequence[str]) -> None:
        """Close what is not in `addresses`."""
        for address in self._sockets.keys() - set(addresses):
            self._sockets.pop(address).close()


def _bind(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
