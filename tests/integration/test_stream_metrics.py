"""What the gateway measures of a real agent that streams."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import agent, daemon


async def test_the_time_between_an_agents_tokens_is_measured(tmp_path: Path) -> None:
    config = {
        "routes": [{"pool": "p"}],
        "pools": {"p": {"driver": agent("--latency", "800ms"), "health": {"interval": "200ms"}}},
    }
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("p", 1)
        body = {"question": "What is a headrace?", "stream": True}
        async with session.post(f"{running.url}/v1/support", json=body) as reply:
            tokens = (await reply.text()).count("data: ")
        text = await running.metrics()
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "headrace_chunk_gap_seconds"
        for sample in family.samples
        if "le" not in sample.labels
    }
    # what comes together is read together, so there are fewer gaps than tokens, and never more
    assert 2 <= samples["headrace_chunk_gap_seconds_count"] < tokens
    assert 0.2 < samples["headrace_chunk_gap_seconds_sum"] < 30
