"""The parts of the live runs that need no gateway."""

from __future__ import annotations

import asyncio

import pytest

from bench.scaler import agent, spike, stand
from bench.scaler.live import SCALE, predicted


def test_requests_that_waited_too_long_or_failed_are_misses() -> None:
    live = stand.Live(
        responses=(1.0, 3.0, 2.0),
        waits=(0.0, 2.0, 1.0),
        failed=1,
        replica_hours=1.0,
        start_seconds=2.0,
        peak=3,
    )
    assert live.miss_ratio(1.0) == pytest.approx(2 / 4)
    assert live.mean_response == 2.0


def test_the_spike_is_five_times_the_base() -> None:
    arrivals = spike.spiking(600.0).arrivals
    end = spike.BEFORE + spike.SPIKE
    within = sum(spike.BEFORE <= at < end for at in arrivals)
    base = (len(arrivals) - within) / (600.0 - spike.SPIKE)
    assert base == pytest.approx(spike.BASE, rel=0.1)
    assert within / spike.SPIKE == pytest.approx(spike.TIMES * spike.BASE, rel=0.1)


def test_the_simulator_predicts_from_the_configuration_that_the_gateway_gets() -> None:
    run = predicted(stand.config_of(1.5, SCALE), spike.spiking(30.0), 4, 2.0)
    assert run.arrived == run.admitted + run.waiting
    assert run.replica_hours >= 4 * 30 / 3600


async def test_an_agent_holds_a_request_for_its_service_time() -> None:
    server = await asyncio.start_server(agent.converse, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        loop = asyncio.get_running_loop()
        for seconds in (0.0, 0.05):
            begin = loop.time()
            writer.write(b"GET / HTTP/1.1\r\nX-Service: %.4f\r\n\r\n" % seconds)
            assert await reader.readexactly(len(agent.REPLY)) == agent.REPLY
            assert loop.time() - begin >= seconds
        writer.close()
        await writer.wait_closed()
