"""A closed loop by wrk: each connection sends its next request once it has a reply."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import pinned
from bench.traffic import PATH, body

_SCRIPT = """\
wrk.method = "POST"
wrk.path = "{path}"
wrk.headers["Content-Type"] = "application/json"
{header}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"microseconds":%d,"errors":%d,"p50":%f,"p99":%f}}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""


class LoadError(Exception):
    """The load met errors, so the figures mean nothing."""


@dataclass(frozen=True)
class Loop:
    """What came of a closed loop. Latencies in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


def closed_loop(
    port: int,
    seconds: int,
    directory: Path,
    cpus: Sequence[int],
    *,
    connections: int = 64,
    size: int = 300,
    reconnect: bool = False,
    tls: bool = False,
) -> Loop:
    """Run it. Raises LoadError when more than one request in a thousand fails."""
    payload = directory / f"body-{size}"
    payload.write_bytes(body(size))
    script = directory / f"wrk-{size}-{reconnect:d}.lua"
    header = 'wrk.headers["Connection"] = "close"' if reconnect else ""
    script.write_text(_SCRIPT.format(path=PATH, header=header, body=payload))
    arguments = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script)]
    command = pinned(["wrk", *arguments, f"{'https' if tls else 'http'}://127.0.0.1:{port}"], cpus)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["requests"] == 0 or found["errors"] * 1000 > found["requests"]:
        raise LoadError(f"{found['errors']} errors in {found['requests']} requests")
    return Loop(found["requests"], found["microseconds"] / 1e6, found["p50"], found["p99"])
