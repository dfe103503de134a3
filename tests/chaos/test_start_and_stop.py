"""Daemons that cannot start, that are stopped at bad times, and whose output nobody takes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.daemon_kit import SUPPORT, ask, command, one_pool, standard_output, static_pool
from tests.support.daemon import Daemon, Load, agent, complete, daemon, left_behind
from tests.support.waiting import wait_until


@pytest.fixture
def taken() -> Iterator[str]:
    """An address somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.mark.parametrize("where", ["listen", "admin"])
async def test_a_taken_address_ends_the_start_at_once(
    where: str, taken: str, tmp_path: Path
) -> None:
    listen: dict[str, Any] = (
        {"listen": taken} if where == "listen" else {"admin": {"listen": taken}}
    )
    config = static_pool(**listen, drain_timeout="60s")
    async with command(tmp_path, config) as process:
        assert await process.exit_code(timeout=8) == 1
    assert "Address already in use" in process.output or "address already in use" in process.output
    assert "Traceback" not in process.output
    assert left_behind(tmp_path) == []


async def test_a_state_directory_that_cannot_be_one_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    async with command(tmp_path, static_pool(state_dir="state")) as process:
        assert await process.exit_code(timeout=8) == 1
    assert "state directory" in process.output
    assert "Traceback" not in process.output


async def test_a_second_daemon_on_a_state_directory_ends_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    async with daemon(tmp_path, one_pool()) as first:
        await first.until_ready("support", 1)
        async with command(tmp_path, one_pool()) as second:
            assert await second.exit_code(timeout=8) == 1
        assert "in use by another headrace daemon" in second.output
        load = await Load(first.url + SUPPORT).requests(20, clients=2)
        assert await first.stop() == 0
    assert load.failures == []
    assert left_behind(tmp_path) == []


async def test_sigterm_during_the_start_ends_it_in_order(tmp_path: Path) -> None:
    config = one_pool(scale={"min": 2, "max": 2}) | {"drain_timeout": "60s", "workers": 2}
    async with command(tmp_path, config) as process:
        # held since the very beginning of the start
        await wait_until((tmp_path / ".state/replicas/lock").exists, "the start has begun")
        process.terminate()
        assert await process.exit_code(timeout=9) == 0
    assert "Traceback" not in process.output
    assert left_behind(tmp_path) == []


async def test_sighup_during_the_start_is_no_end(tmp_path: Path) -> None:
    async with command(tmp_path, one_pool()) as process:
        await wait_until((tmp_path / ".state/replicas/lock").exists, "the start has begun")
        for _ in range(20):
            os.kill(process.pid, 1)
        await process.line('"message": ?"running"')
        await process.line("generation 2 replaces 1")
        process.terminate()
        assert await process.exit_code(timeout=9) == 0
    assert "Traceback" not in process.output


async def test_a_second_sigterm_does_not_wait_for_streams(tmp_path: Path) -> None:
    config = one_pool(driver=agent("--latency", "30s")) | {"drain_timeout": "60s"}
    config["pools"]["support"]["driver"]["process"]["stop_timeout"] = "200ms"
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 1)
        body = {"question": "x", "stream": True}
        async with session.post(running.url + SUPPORT, json=body) as reply:
            assert await reply.content.readany()
            running.process.terminate()
            await running.process.line("finishing what is under way")
            # a reload has no place here any more
            status, said = await ask(running, "POST", "/v1/reload")
            assert (status, said["error"]["details"]) == (409, ["the daemon is stopping"])
            running.process.terminate()
            assert await running.process.exit_code(timeout=8) == 0
            with pytest.raises(aiohttp.ClientError):
                await reply.read()
    assert left_behind(tmp_path) == []


async def test_a_second_sigterm_does_not_wait_for_replicas_that_take_their_time(
    tmp_path: Path,
) -> None:
    config = one_pool(driver=agent("--latency", "60s"))
    config["pools"]["support"]["driver"]["process"]["stop_timeout"] = "60s"
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 1)
        (replica,) = (await running.pool("support"))["replicas"]
        url = f"http://{replica['host']}:{replica['port']}{SUPPORT}"
        # not through the gateway: what it ends does not end this
        async with session.post(url, json={"question": "x", "stream": True}) as reply:
            assert await reply.content.readany()
            running.process.terminate()
            await running.process.line("finishing what is under way")
            running.process.terminate()
            assert await running.process.exit_code(timeout=20) == 0
            with pytest.raises(aiohttp.ClientError):
                await reply.read()
    assert left_behind(tmp_path) == []


async def test_closed_standard_streams_are_no_trap(tmp_path: Path) -> None:
    config = one_pool() | {"log": {"format": "json"}}
    shell = ("/bin/sh", "-c", 'exec "$@" >&- <&-', "sh")
    async with command(tmp_path, config, *shell) as process, aiohttp.ClientSession() as session:
        running = Daemon(process, tmp_path / "headrace.yaml", session)
        await running.started()
        await running.until_ready("support", 1)
        load = await Load(running.url + SUPPORT).requests(50, clients=4)
        assert standard_output(process.pid) == os.devnull
        assert await running.stop() == 0
    assert load.failures == []


async def test_a_full_pipe_on_standard_output_holds_nothing_up(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    path = tmp_path / "headrace.yaml"
    config = complete(one_pool()) | {"log": {"format": "json"}}
    path.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headrace", "run", str(path),
        stdin=asyncio.subprocess.DEVNULL, stdout=writer, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        os.close(writer)
        assert process.stderr is not None
        async with asyncio.timeout(8):
            while b'"running"' not in (line := await process.stderr.readline()):
                assert line, "it has ended"
        url = f"http://{json.loads(line)['listen'][0]}"
        # some 300 bytes a line: several times what the pipe takes
        load = await Load(url + SUPPORT).requests(1500, clients=8)
        process.terminate()
        async with asyncio.timeout(8):
            await process.stderr.read()
            assert await process.wait() == 0
    finally:
        os.close(reader)
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert load.failures == []


async def test_a_replica_that_never_becomes_healthy_is_given_up_and_left_cleanly(
    tmp_path: Path,
) -> None:
    silent = {"command": [sys.executable, "-c", "import time; time.sleep(600)"]}
    config = one_pool(driver={"process": {**silent, "start_timeout": "300ms"}})
    async with daemon(tmp_path, config) as running:
        await running.until(
            lambda s: s["pools"][0]["replicas"] and s["pools"][0]["replicas"][0]["restarts"] >= 1,
            "it was started again",
        )
        kinds = {event["kind"] for event in await running.events()}
        assert await running.stop() == 0
    assert "replica.backoff" in kinds and "replica.ready" not in kinds
    assert left_behind(tmp_path) == []


async def test_the_embedded_store_killed_at_the_stop_is_no_trouble(tmp_path: Path) -> None:
    async with daemon(tmp_path, static_pool()) as running:
        await running.until(lambda s: s["store_connected"], "the store is connected")
        pid = int((tmp_path / ".state/store/valkey.pid").read_text())
        running.process.terminate()
        os.kill(pid, 9)
        assert await running.process.exit_code(timeout=8) == 0
    assert "Traceback" not in running.process.output
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
