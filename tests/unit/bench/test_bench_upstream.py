from __future__ import annotations

import asyncio

from bench import websocket
from bench.traffic import REPLY, WEBSOCKET_PATH, request
from bench.upstream import Agent, Pacer


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


def _agent() -> tuple[Agent, Wire]:
    agent, wire = Agent(Pacer(0.02)), Wire()
    agent.connection_made(wire)
    return agent, wire


async def test_a_small_request_gets_the_small_reply_wherever_it_is_cut() -> None:
    message = request(80)
    for cut in range(len(message)):
        agent, wire = _agent()
        if cut:
            agent.data_received(message[:cut])
        assert not wire.written
        agent.data_received(message[cut:])
        assert wire.written.endswith(REPLY)


async def test_a_large_body_comes_back_once_it_is_whole() -> None:
    agent, wire = _agent()
    message = request(80, 20_000)
    agent.data_received(message[:9000])
    assert not wire.written
    agent.data_received(message[9000:])
    assert wire.written.endswith(b"\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000)


async def test_a_websocket_gets_its_own_messages() -> None:
    agent, wire = _agent()
    agent.data_received(websocket.upgrade(80, WEBSOCKET_PATH))
    assert wire.written.startswith(b"HTTP/1.1 101 ")
    assert wire.written.endswith(b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

    wire.written = b""
    sent = websocket.frame(websocket.TEXT, b"one", b"abcd")
    sent += websocket.frame(websocket.TEXT, b"two", b"efgh")
    agent.data_received(sent[:13])
    agent.data_received(sent[13:])
    assert wire.written == b"\x81\x03one\x81\x03two"

    agent.data_received(websocket.frame(websocket.CLOSE, b"\x03\xe8", b"abcd"))
    assert wire.closed
