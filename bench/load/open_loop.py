"""An open loop: requests start on schedule whether or not earlier ones are answered.

    python -m bench.load.open_loop PORT RATE SECONDS

Latency counts from the scheduled time, so a stall is not left out of the figures ("coordinated
omission", G. Tene, "How NOT to Measure Latency", 2013). `select` because its time limit is in
microseconds; libuv's timers and epoll's are in milliseconds, which is what is to be measured.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque

from bench.stats import percentile
from bench.traffic import MARK, request

CONNECTIONS = 64
WARM_UP = 0.5


def run(port: int, rate: float, seconds: float) -> dict[str, float]:
    """Latencies in seconds. Raises OSError when a connection breaks."""
    message = request(port)
    free = []
    for _ in range(CONNECTIONS):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        free.append(sock)
    started: dict[socket.socket, float] = {}
    received: dict[socket.socket, bytes] = {}
    overdue: deque[float] = deque()
    latencies: list[float] = []
    now = time.perf_counter
    begin = now()
    measured_from = begin + WARM_UP
    total = int(rate * (seconds + WARM_UP))
    sent = 0
    while sent < total or started or overdue:
        at = begin + sent / rate
        time_now = now()
        while sent < total and at <= time_now:
            overdue.append(at)
            sent += 1
            at = begin + sent / rate
        while overdue and free:
            sock = free.pop()
            started[sock] = overdue.popleft()
            received[sock] = b""
            sock.sendall(message)
        wait = max(0.0, at - now()) if sent < total else 1.0
        for sock in select.select(started, (), (), wait)[0]:
            piece = sock.recv(65536)
            if not piece:
                raise OSError("connection closed")
            received[sock] += piece
            if MARK in received[sock]:
                scheduled = started.pop(sock)
                if scheduled >= measured_from:
                    latencies.append(now() - scheduled)
                free.append(sock)
    latencies.sort()
    return {
        "requests": len(latencies),
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "max": latencies[-1],
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))))
