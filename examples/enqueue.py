"""Put jobs for `worker.py` into a Redis stream.

    python examples/enqueue.py --count 100

Without `--redis` or $HEADRACE_REDIS_URL it uses the embedded store of `configs/quickstart.yaml`.
The stream keeps about the newest 100,000 jobs; more than that unread, and the oldest are lost.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from options import positive
from questions import QUESTIONS
from redis.asyncio import Redis
from redis.exceptions import RedisError

BACKLOG = 100_000
BATCH = 500

QUICKSTART = Path(__file__).resolve().parent.parent / "configs/.state/store/valkey.sock"


async def enqueue(redis: Redis, stream: str, count: int) -> None:
    """Add `count` jobs to `stream`. Raises RedisError."""
    questions = itertools.cycle(QUESTIONS)
    for start in range(0, count, BATCH):
        async with redis.pipeline(transaction=False) as pipe:
            for _ in range(min(BATCH, count - start)):
                pipe.xadd(stream, {"question": next(questions)}, maxlen=BACKLOG)
            await pipe.execute()


async def main(options: argparse.Namespace) -> int:
    """The exit code."""
    async with Redis.from_url(options.redis, protocol=2) as redis:
        try:
            await enqueue(redis, options.stream, options.count)
        except (RedisError, OSError) as error:
            print(f"redis failed: {error}", file=sys.stderr)
            return 1
    print(f"{options.count} jobs added to {options.stream}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Put jobs into a Redis stream.")
    parser.add_argument(
        "--redis",
        default=os.environ.get("HEADRACE_REDIS_URL", f"unix://{quote(str(QUICKSTART))}"),
        help="default: $HEADRACE_REDIS_URL, else the quickstart's embedded store",
    )
    parser.add_argument("--stream", default="jobs:summarize", help="stream of jobs")
    parser.add_argument("--count", type=positive, default=100, help="number of jobs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse())))
