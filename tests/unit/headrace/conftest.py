"""The made-up daemon, in this event loop or behind a real port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from headrace.admin import create_app, serve
from headrace.metrics.exposition import create_registry
from tests.unit.headrace.fakes import Api, FakeOperations


@pytest.fixture
def operations() -> FakeOperations:
    return FakeOperations()


@pytest.fixture
async def api(operations: FakeOperations) -> AsyncIterator[Api]:
    app = create_app(operations, create_registry(operations), token=lambda: None, loopback=True)
    async with TestClient(TestServer(app)) as client:
        yield client


@contextlib.contextmanager
def daemon(operations: FakeOperations, token: str | None = None) -> Iterator[str]:
    """The admin API in a thread of its own; yields its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        app = create_app(
            operations, create_registry(operations), token=lambda: token, loopback=True
        )
        server = asyncio.run_coroutine_threadsafe(serve(app, "127.0.0.1:0"), loop).result(10)
        try:
            yield f"http://{server.address}"
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def start_daemon() -> Iterator[Callable[..., str]]:
    with contextlib.ExitStack() as stack:
        yield lambda operations, token=None: stack.enter_context(daemon(operations, token))


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """What a test configures of the log ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
