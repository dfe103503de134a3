"""Which replica goes when a pool shrinks, on a real daemon with real agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from tests.support.daemon import agent, daemon

QUESTION = {"question": "What is a headrace?"}
SESSIONS = [f"user-{number}" for number in range(60)]


def sticky(workers: int) -> dict[str, Any]:
    """Three replicas, picked by the session."""
    pool = {
        "driver": agent(),
        "health": {"interval": "200ms"},
        "affinity": {"header": "X-Session", "replica": True},
        "scale": {"min": 3, "max": 3},
    }
    routes = [{"match": {"path": "/v1"}, "pool": "support"}]
    return {"workers": workers, "routes": routes, "pools": {"support": pool}}


async def test_the_replica_with_the_fewest_sessions_goes_and_the_journal_says_why(
    tmp_path: Path,
) -> None:
    """Over two workers, by connections that both of them take."""
    async with daemon(tmp_path, sticky(2)) as running, aiohttp.ClientSession() as client:
        await running.until_ready("support", 3)
        url = f"{running.url}/v1/support"
        for session in SESSIONS * 2:
            headers = {"X-Session": session, "Connection": "close"}
            async with client.post(url, json=QUESTION, headers=headers) as reply:
                assert reply.status == 200
        pool = await running.pool("support")
        metrics = await running.metrics()
        sessions = pool["sessions"]
        fewest = min(sessions, key=lambda name: sessions[name])
        api = f"{running.admin}/v1/pools/support"
        async with client.put(f"{api}/scale", json={"replicas": 2}) as reply:
            assert reply.status == 200

        await running.until_ready("support", 2)
        async with client.get(f"{api}/explain") as reply:
            (latest,) = await reply.json()
        (victim,) = latest["taken_out"]
        async with client.get(f"{api}/explain?at={victim['at']}") as reply:
            (then,) = await reply.json()
    assert 57 <= sum(sessions.values()) <= 63, "each session counts once, whoever took it"
    assert pool["versions"][0]["sessions"] == sum(sessions.values())
    assert f'headrace_sessions{{pool="support",version="v1"}} {sum(sessions.values())}.0' in metrics
    assert fewest != "support-v1-3", "the youngest would have gone without them"
    assert victim["replica"] == fewest
    reason = f"2 wanted; the least costly of 3: 0 in flight, {sessions[fewest]} sessions, "
    assert victim["message"].startswith(reason)
    assert then["taken_out"] == latest["taken_out"]
    assert then["desired"] == 2
