"""A closed loop over HTTP/2 by h2load: as many streams as it has room for, each its next request
once it has a reply.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.load.wrk import LoadError
from bench.processes import pinned
from bench.traffic import PATH, body

CONNECTIONS = 8
STREAMS = 8
"""At once on each connection: together the 64 of the HTTP/1.1 works."""

_COUNTS = re.compile(
    r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", re.M
)
_MEAN = re.compile(r"^time for request: +\S+ +\S+ +([0-9.]+)(us|ms|s) ", re.M)
_UNITS = {"ms": 1e-3, "s": 1.0, "us": 1e-6}


def found() -> bool:
    """Whether the program is there."""
    return shutil.which("h2load") is not None


def closed_loop(port: int, seconds: int, directory: Path, cpus: Sequence[int]) -> tuple[int, float]:
    """Requests answered, and their mean latency in seconds. Raises LoadError when more than one
    in a thousand fails.
    """
    payload = directory / "body-h2"
    payload.write_bytes(body(300))
    command = ["h2load", "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-D{seconds}"]
    command += ["-d", str(payload), "-H", "content-type: application/json"]
    command += [f"https://127.0.0.1:{port}{PATH}"]
    done = subprocess.run(
        pinned(command, cpus), capture_output=True, text=True, check=True, timeout=seconds + 30
    )
    return parsed(done.stdout)


def parsed(said: str) -> tuple[int, float]:
    """Requests answered and mean latency from what h2load prints. Raises LoadError."""
    counts, mean = _COUNTS.search(said), _MEAN.search(said)
    if "Application protocol: h2" not in said or counts is None or mean is None:
        raise LoadError(f"no HTTP/2: {said.strip().splitlines()[-1:]}")
    done, succeeded, failed, errored = map(int, counts.groups())
    # requests under way when the time is up are not done
    if not succeeded or (done - succeeded + failed + errored) * 1000 > done:
        raise LoadError(f"{done - succeeded + failed + errored} errors in {done} requests")
    return succeeded, float(mean[1]) * _UNITS[mean[2]]
