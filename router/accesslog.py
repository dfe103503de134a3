"""The access log: one JSON line a request, batched towards control, which writes it.

Never blocks: when control does not keep up, lines are dropped and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.json import Encoder

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from router.errors import SHED_CODES, Refusal

if TYPE_CHECKING:
    from router.http.exchange import Exchange

FLUSH_AFTER = 0.05
FLUSH_SIZE = 65_536
MAX_BACKLOG = 8 * 1024 * 1024

PROTOCOLS = {b"1.0": "HTTP/1.0", b"1.1": "HTTP/1.1", b"2.0": "HTTP/2"}
"""Names of the versions of HTTP, by how `Via` has them."""

_encode = Encoder().encode


class AccessLog:
    """`send(lines)` hands a batch over, `backlog()` tells how many bytes have not left yet."""

    def __init__(
        self, send: Callable[[bytes], None], backlog: Callable[[], int], row: memoryview
    ) -> None:
        self._send = send
        self._backlog = backlog
        self._row = row
        self._lines: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._due = 0.0
        self.sample = 1.0
        """Share of requests written; 0 with `enabled` False writes nothing at all."""
        self.enabled = True

    def exchange(self, exchange: Exchange, client: str, now: float, outcome: str) -> None:
        """One line for a finished exchange, if it is sampled or failed. Those there was no room for
        are only sampled: under overload a line each would cost more than refusing them.
        """
        if not self.enabled:
            return
        self._due += self.sample
        if self._due >= 1.0:
            self._due -= 1.0
        elif exchange.status < 500 or outcome in SHED_CODES:
            return
        head = exchange.head
        replica = exchange.replica
        first_byte = exchange.first_byte_at - exchange.sent_at if exchange.first_byte_at else None
        self._write(
            {
                "time": _iso(time.time()),
                "id": exchange.request_id.decode("latin-1"),
                "client": client,
                "method": head.method.decode("latin-1"),
                "host": head.host.decode("latin-1"),
                "path": head.path.decode("latin-1"),
                "protocol": PROTOCOLS[head.protocol],
                "status": exchange.status,
                "pool": exchange.pool,
                "version": exchange.version,
                "class": exchange.priority,
                "replica": replica.name if replica else "",
                "bytes_in": exchange.bytes_in,
                "bytes_out": exchange.bytes_out,
                "duration_ms": _ms(now - exchange.started),
                "wait_ms": _ms(exchange.wait),
                "first_byte_ms": None if first_byte is None else _ms(first_byte),
                "retries": exchange.retries,
                "retry_cause": exchange.retry_cause,
                "hedge": exchange.hedge,
                "outcome": outcome,
            }
        )

    def refusal(self, refusal: Refusal, request_id: bytes, client: str) -> None:
        """One line for bytes that never became an exchange."""
        if self.enabled:
            self._write(
                {
                    "time": _iso(time.time()),
                    "id": request_id.decode("latin-1"),
                    "client": client,
                    "status": refusal.status,
                    "outcome": refusal.code,
                    "message": refusal.message,
                }
            )

    def flush(self) -> None:
        """Hand over what is batched."""
        self._scheduled = False
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        if self._backlog() > MAX_BACKLOG:
            self._row[worker_at() + words.LOG_LINES_DROPPED] += len(lines)
            return
        self._send(b"".join(lines))

    def _write(self, fields: dict[str, object]) -> None:
        line = _encode(fields) + b"\n"
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_SIZE:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_AFTER, self.flush)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _iso(at: float) -> str:
    whole = int(at)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{int((at - whole) * 1000):03d}Z"
