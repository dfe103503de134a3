"""An AI agent to put behind Headrace: it retrieves, generates and streams, like a real one.

    python examples/agent.py --port 9001 --model v1 --latency 80ms --concurrency 4

It answers `POST /v1/chat/completions` (in the form of OpenAI's API) and `POST /v1/support`
(`{"question": ...}`), as JSON or, with `{"stream": true}`, as server-sent events. `GET /healthz`
is for the health checks, `GET /stats` counts requests, `GET /` says who this is.

It serves `--concurrency` requests at once, each for about `--latency`, and queues the rest, so
its capacity is known: concurrency / latency requests a second (50 with 4 and 80ms).
On SIGTERM it takes nothing new, finishes what it has, streams included, and exits with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from aiohttp import web
from brain import Answer, Brain
from corpus import PASSAGES
from options import positive, seconds, share

DRAIN = 60.0
"""Longest time, in seconds, that open requests may take after SIGTERM."""


@dataclass
class Stats:
    """Counts of requests, as `/stats` shows them."""

    running: int = 0
    waiting: int = 0
    most_running: int = 0
    served: int = 0
    failed: int = 0
    abandoned: int = 0
    """Streams whose client went away; counted as served too."""


class Agent:
    """The handlers, and the little state they share."""

    def __init__(self, options: argparse.Namespace, brain: Brain) -> None:
        self._options = options
        self._brain = brain
        self._random = Random(options.seed)
        self._slots = asyncio.Semaphore(options.concurrency)
        self._healthy_from = time.monotonic() + options.start_delay
        self._stats = Stats()
        self._identity = {
            "model": options.model,
            "version": os.environ.get("HEADRACE_VERSION", options.model),
            "replica": os.environ.get("HEADRACE_REPLICA", f"agent-{options.port}"),
        }

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application()
        app.router.add_get("/", self.info)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/stats", self.stats)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/support", self.support)
        return app

    async def info(self, _: web.Request) -> web.Response:
        """Who this is and how much it takes at once."""
        return web.json_response({**self._identity, "concurrency": self._options.concurrency})

    async def healthz(self, _: web.Request) -> web.Response:
        """200 once started, 503 before."""
        if time.monotonic() < self._healthy_from:
            return web.Response(status=503, text="starting")
        return web.Response(text="ok")

    async def stats(self, _: web.Request) -> web.Response:
        """Counts of requests."""
        return web.json_response(asdict(self._stats))

    async def support(self, request: web.Request) -> web.StreamResponse:
        """Answer `{"question": "..."}`."""
        body = await _json(request)
        question = body.get("question")
        if not isinstance(question, str):
            raise _bad_request("question: expected a string")
        async with self._slot():
            answer = self._think(question)
            if body.get("stream") is True:
                return await self._stream(request, answer, lambda token: {"token": token})
            await asyncio.sleep(self._options.latency)
            reply = {"answer": answer.text, "sources": answer.sources, **self._identity}
            return web.json_response(reply)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer `{"messages": [{"role": "user", "content": "..."}]}`, its last message."""
        body = await _json(request)
        match body.get("messages"):
            case [*_, {"content": str(question)}]:
                pass
            case _:
                raise _bad_request("messages: expected a list whose last has content")
        head = {
            "id": f"chatcmpl-{self._random.getrandbits(48):012x}",
            "created": int(time.time()),
            **self._identity,
        }

        def chunk(token: str) -> dict[str, Any]:
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
            return {**head, "object": "chat.completion.chunk", "choices": [choice]}

        async with self._slot():
            answer = self._think(question)
            if body.get("stream") is True:
                return await self._stream(request, answer, chunk)
            await asyncio.sleep(self._options.latency)
            message = {"role": "assistant", "content": answer.text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({**head, "object": "chat.completion", "choices": [choice]})

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for a free slot, hold it, and count how the request went."""
        stats = self._stats
        stats.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            stats.waiting -= 1
        stats.running += 1
        stats.most_running = max(stats.most_running, stats.running)
        try:
            yield
        except BaseException:
            stats.failed += 1
            raise
        else:
            stats.served += 1
        finally:
            stats.running -= 1
            self._slots.release()

    def _think(self, question: str) -> Answer:
        """A few milliseconds of work; raises HTTP 500 as often as `--failure-rate` says."""
        if self._random.random() < self._options.failure_rate:
            raise web.HTTPInternalServerError(
                text=json.dumps({"error": "the model failed", **self._identity}),
                content_type="application/json",
            )
        return self._brain.answer(
            question, self._random, work=self._options.work, cpu=time.thread_time
        )

    async def _stream(
        self, request: web.Request, answer: Answer, chunk: Callable[[str], dict[str, Any]]
    ) -> web.StreamResponse:
        """Send the answer word by word; all of it takes as long as a reply in one piece."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        tokens = re.findall(r"\S+\s*", answer.text)
        try:
            for token in tokens:
                await asyncio.sleep(self._options.latency / len(tokens))
                await response.write(f"data: {json.dumps(chunk(token))}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
        except ConnectionResetError:
            self._stats.abandoned += 1
        return response


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise _bad_request("expected JSON") from None
    if not isinstance(body, dict):
        raise _bad_request("expected a JSON object")
    return body


def _bad_request(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": message}), content_type="application/json")


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is open."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    agent = Agent(options, Brain(PASSAGES))
    runner = web.AppRunner(agent.app(), access_log=None, shutdown_timeout=DRAIN)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port).start()
    print(f"{options.model} listens on http://{options.host}:{options.port}", flush=True)
    await stopping.wait()
    await runner.cleanup()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="An example AI agent.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port", type=positive, default=os.environ.get("PORT", "9001"), help="default: $PORT"
    )
    parser.add_argument(
        "--model", default=os.environ.get("MODEL", "v1"), help="shown in replies; default: $MODEL"
    )
    parser.add_argument("--latency", type=seconds, default="80ms", help="time a reply takes")
    parser.add_argument("--concurrency", type=positive, default=4, help="replies at once")
    parser.add_argument("--failure-rate", type=share, default=0.0, help="share answered by 500")
    parser.add_argument("--work", type=seconds, default="5ms", help="CPU time of a reply")
    parser.add_argument("--start-delay", type=seconds, default="0s", help="time until healthy")
    parser.add_argument("--seed", type=int, default=None, help="makes replies repeatable")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(serve(parse()))
