"""The files under `state_dir/replicas`: what must be known of replicas after a crash.

lock         held while a daemon uses the directory
names.json   the last number given to each `POOL-VERSION`
NAME.json    record of a running replica
NAME.out, NAME.err   its output FIFOs
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from fleet.errors import HeadraceError

_NAMES: Final = "names.json"
_LOCK: Final = "lock"
_SUFFIXES: Final = (".err", ".json", ".out")


class StateDirInUseError(HeadraceError):
    """Another daemon uses the state directory."""


class Record(Struct, frozen=True, kw_only=True):
    """What must be known to adopt a replica."""

    name: str
    pool: str
    version: str
    pid: int
    started: int
    """Clock ticks from boot, see `procfs.Process.started`."""
    boot: str
    port: int
    """0: it has no endpoint."""
    host: str = "127.0.0.1"
    """Address it listens on."""
    spec: str
    """Digest of its launch spec."""
    stop_timeout: float
    """Seconds."""


class StateFiles:
    """Reads and writes the directory; every write is atomic."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.resolve()
        self._dir = self.state_dir / "replicas"
        self._lock = -1
        self._numbers: dict[str, int] = {}

    def open(self) -> None:
        """Create the directory, lock it and read the numbers given so far.

        StateDirInUseError when another daemon holds it; HeadraceError when it cannot be used.
        """
        try:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HeadraceError(f"state directory {self.state_dir}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._numbers = self._read_numbers()
        except BlockingIOError as error:
            os.close(fd)
            raise StateDirInUseError(
                f"state directory {self.state_dir} is in use by another headrace daemon; "
                "stop it, or give this one its own state_dir"
            ) from error
        except BaseException:
            os.close(fd)
            raise
        self._lock = fd

    def close(self) -> None:
        """Let another daemon use the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def new_name(self, pool: str, version: str) -> str:
        """`POOL-VERSION-N`, with an N that this directory never gave before."""
        prefix = f"{pool}-{version}"
        number = self._numbers.get(prefix, 0) + 1
        self._numbers[prefix] = number
        self._write(_NAMES, msgspec.json.encode(self._numbers))
        return f"{prefix}-{number}"

    def fifo(self, name: str, stream: str) -> Path:
        """Where the FIFO of `stream` (`out` or `err`) is."""
        return self._dir / f"{name}.{stream}"

    def save(self, record: Record) -> None:
        """Write the record of a replica."""
        self._write(f"{record.name}.json", msgspec.json.encode(record))

    def records(self) -> list[Record]:
        """All records that can be read, by name; a damaged one counts as none."""
        found = []
        for path in sorted(self._dir.glob("*.json")):
            if path.name != _NAMES:
                with contextlib.suppress(msgspec.MsgspecError):
                    found.append(msgspec.json.decode(path.read_bytes(), type=Record))
        return found

    def remove(self, name: str) -> None:
        """Remove the files of a replica that is gone."""
        for suffix in _SUFFIXES:
            (self._dir / f"{name}{suffix}").unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Names of all replicas that have a file."""
        return {
            path.stem
            for path in self._dir.iterdir()
            if path.suffix in _SUFFIXES and path.name != _NAMES
        }

    def _read_numbers(self) -> dict[str, int]:
        path = self._dir / _NAMES
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise HeadraceError(f"{path} is damaged ({error}); remove it") from error

    def _write(self, name: str, data: bytes) -> None:
        scratch = self._dir / f".{name}.new"
        scratch.write_bytes(data)
        scratch.replace(self._dir / name)
