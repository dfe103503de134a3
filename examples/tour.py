"""Waits until the quickstart serves, then says what to try.

python examples/tour.py [ADMIN_URL]
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 60.0

TOUR = """
Headrace is running. In another terminal, from this directory:

  curl -i localhost:8080/v1/support -d '{"question": "What is a slot?"}'
  curl -N localhost:8080/v1/chat/completions \\
       -d '{"messages": [{"role": "user", "content": "What is a pool?"}], "stream": true}'

  .venv/bin/headrace status --watch                     the live table; keep it open
  .venv/bin/python examples/load.py --url http://127.0.0.1:8080/v1/support --requests 10000
                                                        split 95/5, replicas come and go
  .venv/bin/python examples/enqueue.py --count 100      jobs for the queue workers

  edit configs/quickstart.yaml, a weight for instance   takes effect as you save
  .venv/bin/headrace weights support v1=50 v2=50        or without the file
  .venv/bin/headrace decisions support                  why it did that

Ctrl-C here drains and stops everything.
"""


def ready(admin: str) -> bool:
    """Whether the daemon and a replica of each pool that keeps any are ready."""
    try:
        with urllib.request.urlopen(f"{admin}/v1/status", timeout=1) as reply:
            status = json.load(reply)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return bool(status["ready"]) and all(
        any(version["ready"] for version in pool["versions"])
        for pool in status["pools"]
        if pool["min"] > 0
    )


def main(admin: str) -> int:
    """Print the tour once the daemon is ready; 1 when it is not within PATIENCE seconds."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if ready(admin):
            print(TOUR, flush=True)
            return 0
        time.sleep(0.1)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9900"))
