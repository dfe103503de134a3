"""The `load` signal from end to end: agents say how busy they are, and the pool follows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon, daemon
from tests.support.waiting import wait_until

AGENT = """
import http.server, json, os, pathlib, sys

own, told = os.environ["HEADRACE_REPLICA"], pathlib.Path(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        loads = json.loads(told.read_text())
        lost = self.path == "/load" and loads is None
        body = b"" if lost else json.dumps({"load": (loads or {}).get(own, 0)}).encode()
        self.send_response(503 if lost else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Agents:
    """What the replicas answer; in a file, moved over the old one."""

    def __init__(self, directory: Path) -> None:
        self.script = directory / "agent.py"
        self.script.write_text(AGENT)
        self.told = directory / "loads.json"

    def say(self, loads: dict[str, float] | None) -> None:
        """Each replica says its number, or 0; None: all answer 503."""
        new = self.told.with_suffix(".new")
        new.write_text(json.dumps(loads))
        new.replace(self.told)

    @property
    def config(self) -> dict[str, Any]:
        """A replica should carry 10, by its own account."""
        command = [sys.executable, "-S", str(self.script), "{port}", str(self.told)]
        pool = {
            "driver": {"process": {"command": command, "stop_timeout": "5s"}},
            "health": {"interval": "200ms"},
            "balance": {"load": {"path": "/load", "interval": "300ms", "stale": "2s"}},
            "scale": {
                "min": 1,
                "max": 4,
                "tick": "100ms",
                "policy": "target",
                "stabilization": "1s",
                "signals": [{"load": {"per_replica": 10}}],
            },
        }
        routes = [{"match": {"path": "/v1"}, "pool": "support"}]
        return {"routes": routes, "pools": {"support": pool}}


async def _kinds(running: Daemon) -> list[str]:
    """Of what happened, the oldest first."""
    return [event["kind"] for event in reversed(await running.events())]


async def _reasons(running: Daemon) -> list[str]:
    return [decision["reason"] for decision in await running.decisions("support")]


async def test_a_pool_grows_by_what_its_replicas_report_and_holds_while_they_are_silent(
    tmp_path: Path,
) -> None:
    agents = Agents(tmp_path)
    agents.say({})
    async with daemon(tmp_path, agents.config) as running:
        await running.until_ready("support", 1)
        agents.say({"support-v1-1": 35.0})
        await running.until_ready("support", 4)
        grown = await _reasons(running)

        agents.say(None)
        await running.until(
            lambda status: "load" in " ".join(status["pools"][0]["lost_signals"]),
            "the signal is lost",
        )

        async def held() -> bool:
            return any("kept by lost" in reason for reason in await _reasons(running))

        await wait_until(held, "the size is held for want of the signal")
        version = await running.version("support")
        metrics = await running.metrics()

        agents.say({"support-v1-1": 12.0})
        await running.until_ready("support", 2)
        pool = await running.pool("support")
        shrunk = await _reasons(running)
        kinds = await _kinds(running)
    assert any("load 35 needs 4 replicas at 10 each" in reason for reason in grown)
    assert (version["desired"], version["ready"]) == (4, 4)
    assert 'headrace_signal_lost{pool="support"} 1.0' in metrics
    assert pool["lost_signals"] == []
    assert any("load 12 needs 2 replicas at 10 each" in reason for reason in shrunk)
    told = [kind for kind in kinds if kind.startswith("signal.")]
    assert told[:2] == ["signal.lost", "signal.recovered"]
