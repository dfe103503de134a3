"""A small honest load generator.

    python examples/load.py --url http://127.0.0.1:8080/v1/support --requests 10000
    python examples/load.py --url http://127.0.0.1:8080/v1/support --rate 50 --duration 20s

Without `--rate`, `--concurrency` clients each send their next request once they have a reply
(a closed loop). With `--rate`, requests start on schedule whether or not earlier ones are
answered (an open loop), and latency counts from the scheduled time, so a stall of the server is
not left out of the figures ("coordinated omission", G. Tene, "How NOT to Measure Latency", 2013).

A request has failed when it got no whole reply, a status of 400 or above, or a stream without
`data: [DONE]`. The exit code is 1 when any has.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from options import positive, seconds
from questions import QUESTIONS


@dataclass
class Result:
    """What came of all requests. Times are in seconds."""

    statuses: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        refused = sum(n for status, n in self.statuses.items() if int(status) >= 400)
        return refused + self.errors.total()

    def report(self) -> str:
        """The figures, for people."""
        total = self.statuses.total() + self.errors.total()
        lines = [
            f"requests   {total} in {self.elapsed:.2f} s, {total / self.elapsed:.1f} a second",
            f"failed     {self.failed}",
            *_counts("status", self.statuses),
            *_counts("served by", self.served_by),
            *_counts("error", self.errors),
            _quantiles("latency", self.latencies),
            _quantiles("first byte", self.first_bytes),
        ]
        return "\n".join(lines)


class Client:
    """Sends requests and gathers what comes of them."""

    def __init__(self, session: aiohttp.ClientSession, options: argparse.Namespace) -> None:
        self.result = Result()
        self._session = session
        self._url: str = options.url
        self._stream: bool = options.stream
        chat = options.url.endswith("/chat/completions")
        self._bodies = itertools.cycle([_body(q, chat, options.stream) for q in QUESTIONS])

    async def send(self, scheduled: float) -> None:
        """One request, that should have started at `scheduled` (of `time.perf_counter`)."""
        result = self.result
        try:
            async with self._session.post(self._url, data=next(self._bodies)) as reply:
                first = await reply.content.readany()
                result.first_bytes.append(time.perf_counter() - scheduled)
                whole = first + await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            result.errors[type(error).__name__] += 1
            return
        result.latencies.append(time.perf_counter() - scheduled)
        if self._stream and reply.status < 400 and not whole.endswith(b"data: [DONE]\n\n"):
            result.errors["stream without [DONE]"] += 1
            return
        result.statuses[str(reply.status)] += 1
        result.served_by[reply.headers.get("X-Served-By", "-")] += 1


async def closed_loop(client: Client, requests: int, concurrency: int, ends: float) -> None:
    """Send `requests`, `concurrency` at a time, none after `ends`."""
    numbers = iter(range(requests))

    async def one_client() -> None:
        for _ in numbers:
            now = time.perf_counter()
            if now >= ends:
                return
            await client.send(now)

    async with asyncio.TaskGroup() as clients:
        for _ in range(concurrency):
            clients.create_task(one_client())


async def open_loop(client: Client, requests: int, rate: float, ends: float) -> None:
    """Start `requests` evenly spaced, `rate` a second, none after `ends`."""
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as sent:
        for number in range(requests):
            scheduled = begin + number / rate
            if scheduled >= ends:
                return
            await asyncio.sleep(max(0.0, scheduled - time.perf_counter()))
            sent.create_task(client.send(scheduled))


async def run(options: argparse.Namespace) -> Result:
    """The whole run."""
    headers = {"Content-Type": "application/json", **dict(options.header)}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=options.timeout),
        headers=headers,
    ) as session:
        client = Client(session, options)
        requests = options.requests or (sys.maxsize if options.duration else 1000)
        begin = time.perf_counter()
        ends = begin + (options.duration or math.inf)
        if options.rate:
            await open_loop(client, requests, options.rate, ends)
        else:
            await closed_loop(client, requests, options.concurrency, ends)
        client.result.elapsed = time.perf_counter() - begin
        return client.result


def _body(question: str, chat: bool, stream: bool) -> bytes:
    asked = (
        {"messages": [{"role": "user", "content": question}]} if chat else {"question": question}
    )
    return json.dumps({**asked, "stream": stream}).encode()


def _counts(title: str, counts: Counter[str]) -> list[str]:
    return [f"{title:<10} {name}: {count}" for name, count in sorted(counts.items())]


def _quantiles(title: str, times: Sequence[float]) -> str:
    if not times:
        return f"{title:<10} -"
    ordered = sorted(times)
    shown = (
        f"p{share:g} {ordered[math.ceil(share / 100 * len(ordered)) - 1] * 1000:.1f} ms"
        for share in (50, 95, 99)
    )
    return f"{title:<10} {', '.join(shown)}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected 'Name: value', not {text!r}")
    return name.strip(), value.strip()


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected requests a second above 0, not {text!r}")
    return rate


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A small honest load generator.")
    parser.add_argument("--url", required=True, help="where requests are sent")
    parser.add_argument("--requests", type=positive, help="number of requests (1000)")
    parser.add_argument("--duration", type=seconds, help="longest time in which requests start")
    parser.add_argument("--concurrency", type=positive, default=32, help="clients, closed loop")
    parser.add_argument("--rate", type=_rate, help="requests a second, open loop")
    parser.add_argument("--stream", action="store_true", help="ask for streamed replies")
    parser.add_argument("--timeout", type=seconds, default="60s", help="longest time of a request")
    parser.add_argument(
        "--header", type=_header, action="append", default=[], metavar="'NAME: VALUE'"
    )
    return parser.parse_args(arguments)


def main() -> int:
    """The exit code."""
    result = asyncio.run(run(parse()))
    print(result.report())
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
