"""The process of `headrace run`: its streams, its descriptors, its log and its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from pathlib import Path

import uvloop

from fleet.config.load import ConfigError, load
from fleet.config.watch import changes
from headrace.control import Control
from headrace.logging import configure_logging
from headrace.logsink import STDERR, STDOUT, LogSink, text_stream


def run(path: Path) -> int:
    """Run the daemon with the configuration file at `path`. Gives the exit status."""
    _open_standard_streams()
    _raise_descriptor_limit()
    log = LogSink(STDERR)
    stderr, sys.stderr = sys.stderr, text_stream(log, terminal=sys.stderr.isatty())
    try:
        return uvloop.run(_main(path.resolve(), log))
    finally:
        sys.stderr = stderr
        log.close()


def _open_standard_streams() -> None:
    """Put the null device where a closed stream is: else a socket would take its number, and get
    what is meant for the log.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or os.fdopen(STDOUT, "w")
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w")


def _raise_descriptor_limit() -> None:
    """Each connection is a descriptor, and each replica three; the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _main(path: Path, log: LogSink) -> int:
    stop = asyncio.Event()
    # before the first reading, so that no edit falls between
    edits = changes(path, stop)
    try:
        config = load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    configure_logging(config.log.level, config.log.format)
    return await Control(config, path, edits, stop, log).run()
