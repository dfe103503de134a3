"""A replica for live runs: `python -m bench.scaler.agent PORT --start SECONDS`.

It begins to listen after `--start`, as a model that is loaded, and holds every request for the
seconds in its `X-Service` header.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import Final

REPLY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests without bodies, one after the other, until the other side closes."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
            await asyncio.sleep(float(fields.get(b"x-service", b"0")))
            writer.write(REPLY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(port: int, start: float) -> None:
    """Until SIGTERM; the gateway has drained it by then."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await asyncio.sleep(start)
    await asyncio.start_server(converse, "127.0.0.1", port)
    await stopping.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--start", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.start))
