"""The daemon's own log: structlog in front, the standard library's handler behind, on stderr.

Other libraries' log records go the same way. The access log is another stream, on stdout; see
`router.accesslog`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]

_COLOURS: Final = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}
_RESET: Final = "\x1b[0m"

_SHARED: Final[list[Processor]] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.StackInfoRenderer(),
]


def configure_logging(
    level: Level = "info",
    format: Format = "console",  # noqa: A002
    stream: TextIO | None = None,
) -> None:
    """Write log lines of at least `level` to `stream` (default: stderr). May be called again.

    Times are ISO 8601 in UTC. Console lines are coloured only on a terminal, and not when
    NO_COLOR is set (https://no-color.org).
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *_renderers(format, colours=stream.isatty() and not os.environ.get("NO_COLOR")),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderers(format: Format, *, colours: bool) -> list[Processor]:  # noqa: A002
    if format == "json":
        return [
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    return [_ConsoleRenderer(colours=colours)]


class _ConsoleRenderer:
    """`time LEVEL logger: event key=value`, one line but for a traceback."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        level = str(event.pop("level"))
        name = level.upper().ljust(7)
        if self._colours:
            name = f"{_COLOURS[level]}{name}{_RESET}"
        time, logger = event.pop("time"), event.pop("logger", None) or "root"
        message = _one_line(str(event.pop("event")))
        traces = [str(event.pop(key)) for key in ("exception", "stack") if event.get(key)]
        fields = [f"{key}={_value(value)}" for key, value in event.items()]
        return "\n".join([" ".join([f"{time} {name} {logger}: {message}", *fields]), *traces])


def _value(value: object) -> str:
    """Bare when it cannot be misread, quoted otherwise."""
    text = value if isinstance(value, str) else str(value)
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    return json.dumps(text)


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]
