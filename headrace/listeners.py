"""The sockets clients connect to. Control opens them once and keeps them, so that neither a
reload nor the death of a worker ever refuses a connection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from fleet.config.addresses import UNIX, join_address, split_address, unix_path
from fleet.config.schema import Listener
from fleet.errors import HeadraceError

BACKLOG = 4096


class ListenError(HeadraceError):
    """An address cannot be listened on."""


class Listeners:
    """Open sockets by the address as configured."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._files: dict[str, tuple[int, int]] = {}
        """Device and inode of each Unix socket made here."""

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

    def open(self, listeners: Sequence[Listener]) -> list[str]:
        """Open what is not open yet; gives those addresses. All or none: raises ListenError."""
        new: list[str] = []
        try:
            for listener in listeners:
                address = listener.address
                if address in self._sockets:
                    self._set_mode(listener)
                    continue
                path = unix_path(address)
                self._sockets[address] = (
                    _bind(address) if path is None else _bind_unix(Path(path), _mode(listener))
                )
                new.append(address)
                if path is not None:
                    self._files[address] = _identity(Path(path))
        except OSError as error:
            for opened in new:
                self._close(opened)
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
        return new

    def close_others(self, listeners: Sequence[Listener]) -> None:
        """Close what is not in `listeners`."""
        for address in self._sockets.keys() - {listener.address for listener in listeners}:
            self._close(address)

    def _close(self, address: str) -> None:
        self._sockets.pop(address).close()
        path = unix_path(address)
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._files.pop(address) == _identity(Path(path)):
                    Path(path).unlink()

    def _set_mode(self, listener: Listener) -> None:
        path = unix_path(listener.address)
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._files[listener.address] == _identity(Path(path)):
                    Path(path).chmod(_mode(listener))


def _mode(listener: Listener) -> int:
    return int(listener.mode, 8)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


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


def _bind_unix(path: Path, mode: int) -> socket.socket:
    """Bind in place of a socket that nobody listens on any more.

    Nobody can connect before `listen`, so the permissions are in force from the first connection.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        path.chmod(mode)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove what a dead process left. OSError when something else, or someone, is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # its backlog is full, so it lives
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _name(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{sock.getsockname()}"
    return join_address(*sock.getsockname()[:2])
