"""`headrace record`: keep the gateway's own traffic for `headrace simulate`."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from fleet.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def record(
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="A file of access log lines; - for standard input.")
    ] = "-",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: standard output.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Only requests of this pool.")] = None,
    limit: Annotated[
        str, typer.Option("--limit", metavar="SIZE", help="Stop at this size of the recording.")
    ] = "256MiB",
) -> None:
    """Turn the access log into a trace: arrival, pool, version, wait and service time."""
    from fleet.config.units import parse_size

    try:
        most = parse_size(limit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--limit") from None
    try:
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if log == "-" else stack.enter_context(Path(log).open("rb"))
            target = sys.stdout if output is None else stack.enter_context(output.open("w"))
            stack.enter_context(contextlib.suppress(KeyboardInterrupt))
            if log == "-" and not sys.stdin.isatty():
                stack.enter_context(patience())
            rows, full = _copy(source, target, pool, most)
            print(
                f"headrace: {rows} requests recorded{f', up to {limit}' if full else ''}",
                file=sys.stderr,
            )
    except OSError as error:
        place = error.filename or output or "standard output"
        raise HeadraceError(f"{place}: {error.strerror}") from error


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Leave the first Ctrl-C to the gateway: what it logs while it drains belongs to the trace."""

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _copy(
    source: Iterable[bytes], target: TextIO, pool: str | None, limit: int
) -> tuple[int, bool]:
    """How many rows were written, and whether the limit ended it."""
    from scaler.simulate.recording import HEADER, Recording

    recording = Recording(pool)
    size, rows = len(HEADER), 0
    target.write(HEADER)
    for line in source:
        row = recording.row(line)
        if row is None:
            continue
        size += len(row.encode())
        if size > limit:
            return rows, True
        target.write(row)
        target.flush()
        rows += 1
    return rows, False
