"""Starting, awaiting and ending the processes of a run. Each is ended by its own process group."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.traffic import MARK, request

START_DEADLINE = 40.0
STOP_DEADLINE = 10.0


class StartError(Exception):
    """A process ended, or did not serve in time; says what it wrote last."""


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def pinned(command: Sequence[str], cpus: Sequence[int]) -> list[str]:
    """`command`, on these cores only; on any when there are none or no taskset."""
    taskset = shutil.which("taskset")
    if not cpus or taskset is None:
        return list(command)
    return [taskset, "-c", ",".join(map(str, cpus)), *command]


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start in a session of its own, output to `log`."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )


@contextlib.contextmanager
def load(command: Sequence[str], limit: float) -> Iterator[subprocess.Popen[str]]:
    """A program that makes load, killed when the block is left or after `limit` seconds."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    watchdog = threading.Timer(limit, process.kill)
    watchdog.start()
    try:
        with process:
            yield process
            process.kill()
    finally:
        watchdog.cancel()


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to what is left of the group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_served(
    process: subprocess.Popen[bytes], port: int, log: Path, *, tls: bool = False
) -> None:
    """Return once a small POST is answered whole. Raises StartError."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _served(port, tls):
            return
        time.sleep(0.005)
    tail = log.read_text(errors="replace")[-600:]
    raise StartError(f"does not serve: {tail.strip()}")


def trusting(*alpn: str) -> ssl.SSLContext:
    """A client that takes any certificate, and offers these protocols."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    return context


def negotiated(port: int, *alpn: str) -> str | None:
    """The protocol a TLS server on 127.0.0.1 chooses of these. Raises OSError."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        trusting(*alpn).wrap_socket(plain) as sock,
    ):
        return sock.selected_alpn_protocol()


def _served(port: int, tls: bool) -> bool:
    try:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            if tls:
                sock = stack.enter_context(trusting("http/1.1").wrap_socket(sock))
            sock.sendall(request(port))
            reply = b""
            while MARK not in reply:
                piece = sock.recv(65536)
                if not piece:
                    return False
                reply += piece
            return reply.startswith(b"HTTP/1.1 200")
    except OSError:
        return False
