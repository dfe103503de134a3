"""A worker that answers questions from a Redis stream; it listens nowhere.

    python examples/worker.py --stream jobs:summarize --group workers

Jobs are entries with a `question` field; see `enqueue.py`. Each answer goes to the stream
`STREAM:results`, with the job's id. Delivery is at least once: a job is acknowledged after its
result is written, and one whose worker died is taken over after `--takeover`.
On SIGTERM it finishes the job it has and exits with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from brain import Brain
from corpus import PASSAGES
from options import seconds
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT, FieldT

BLOCK = 1.0
"""Longest wait for a job, in seconds, and so the longest an idle worker takes to stop."""
RESULTS = 1000
"""Newest results kept, about."""
RETRY = 1.0
"""Pause, in seconds, before a Redis that failed is tried again."""

Job = tuple[str, dict[str, str]]


class Worker:
    """One consumer of the group."""

    def __init__(self, redis: Redis, options: argparse.Namespace) -> None:
        self.name = os.environ.get("HEADRACE_REPLICA") or f"{socket.gethostname()}-{os.getpid()}"
        self._redis = redis
        self._options = options
        self._brain = Brain(PASSAGES)
        self._random = Random(options.seed)
        self._look_again = 0.0

    async def join(self) -> None:
        """Create the stream and the group, unless they exist."""
        try:
            await self._redis.xgroup_create(
                self._options.stream, self._options.group, id="0", mkstream=True
            )
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def take(self) -> Job | None:
        """One job: a dead worker's first, else a new one; None when none came in time."""
        return await self._take_over() or await self._take_new()

    async def do(self, job: Job) -> None:
        """Answer the question, write the result, acknowledge."""
        job_id, fields = job
        answer = self._brain.answer(
            fields.get("question", ""),
            self._random,
            work=self._options.work,
            cpu=time.thread_time,
        )
        await asyncio.sleep(self._options.latency)
        stream, group = self._options.stream, self._options.group
        result: dict[FieldT, EncodableT] = {
            "job": job_id,
            "answer": answer.text,
            "worker": self.name,
        }
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(f"{stream}:results", result, maxlen=RESULTS)
            pipe.xack(stream, group, job_id)
            await pipe.execute()

    async def leave(self) -> None:
        """Take this consumer out of the group, unless that would lose a job it could not finish."""
        stream, group = self._options.stream, self._options.group
        if not await self._redis.xpending_range(stream, group, "-", "+", 1, self.name):
            await self._redis.xgroup_delconsumer(stream, group, self.name)

    async def _take_new(self) -> Job | None:
        streams: Any = await self._redis.xreadgroup(
            self._options.group,
            self.name,
            {self._options.stream: ">"},
            count=1,
            block=round(BLOCK * 1000),
        )
        jobs: list[Job] = streams[0][1] if streams else []
        return jobs[0] if jobs else None

    async def _take_over(self) -> Job | None:
        """A job left by a worker that died; looked for four times per `--takeover`."""
        if time.monotonic() < self._look_again:
            return None
        claimed: Any = await self._redis.xautoclaim(
            self._options.stream,
            self._options.group,
            self.name,
            min_idle_time=round(self._options.takeover * 1000),
            count=1,
        )
        jobs: list[Job] = claimed[1]
        if jobs:
            return jobs[0]
        self._look_again = time.monotonic() + self._options.takeover / 4
        return None


async def work(options: argparse.Namespace) -> None:
    """Do jobs until SIGTERM or SIGINT; a Redis that is away is waited for."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    never = Retry(NoBackoff(), 0)
    async with Redis.from_url(
        options.redis, protocol=2, decode_responses=True, retry=never
    ) as redis:
        worker = Worker(redis, options)
        joined = False
        print(f"{worker.name} works on {options.stream}", flush=True)
        while not stopping.is_set():
            try:
                if not joined:
                    await worker.join()
                    joined = True
                job = await worker.take()
                if job is not None:
                    await worker.do(job)
            except (RedisError, OSError) as error:
                joined = False
                print(f"redis failed: {error}", flush=True)
                await _pause(stopping)
        if joined:
            with contextlib.suppress(RedisError, OSError):
                await worker.leave()


async def _pause(stopping: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RETRY):
            await stopping.wait()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="An example worker on a Redis stream.")
    parser.add_argument(
        "--redis",
        default=os.environ.get("HEADRACE_REDIS_URL", "redis://127.0.0.1:6379/0"),
        help="default: $HEADRACE_REDIS_URL",
    )
    parser.add_argument("--stream", default="jobs:summarize", help="stream of jobs")
    parser.add_argument("--group", default="workers", help="consumer group")
    parser.add_argument("--latency", type=seconds, default="200ms", help="time a job takes")
    parser.add_argument("--work", type=seconds, default="5ms", help="CPU time of a job")
    parser.add_argument(
        "--takeover", type=seconds, default="30s", help="silence after which a job is taken over"
    )
    parser.add_argument("--seed", type=int, default=None, help="makes answers repeatable")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(work(parse()))
