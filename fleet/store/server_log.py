"""The log lines of a Valkey or Redis server, as lines of our own log."""

from __future__ import annotations

import logging
import re
from typing import Final

_LINE: Final = re.compile(r"^\d+:[MSCX] .{20,26} (?P<mark>[.\-*#]) (?P<text>.*)$")
_LEVELS: Final = {
    "#": logging.WARNING,
    "*": logging.DEBUG,
    "-": logging.DEBUG,
    ".": logging.DEBUG,
}
_HARMLESS: Final = "WARNING Memory overcommit must be enabled!"
"""Said at each start on most machines; it matters to data sets near the size of the memory."""


def parse(line: str) -> tuple[int, str]:
    """Level (of `logging`) and text of one line, `PID:ROLE TIME MARK TEXT`.

    The server's notices are our debug lines: about ten at each start that tell an operator
    nothing. A line of another form, such as a crash report's, is a warning as it stands.
    """
    line = line.rstrip()
    match = _LINE.match(line)
    if match is None:
        return (logging.WARNING if line else logging.DEBUG), line
    if match["text"].startswith(_HARMLESS):
        return logging.DEBUG, match["text"]
    return _LEVELS[match["mark"]], match["text"]
