"""Durations and sizes as people write them: `500ms`, `10s`, `1h30m`, `64KiB`, `1.5MB`.

Inside the program a duration is a float of seconds and a size an int of bytes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

from fleet.config.expected import ExpectedError

MAX_DURATION: Final = 365 * 86400.0
"""Seconds. Longer is a slip of the pen, and nears the range of the system's timers."""
MAX_SIZE: Final = (1 << 63) - 1
"""Bytes: the largest file offset."""

_SECONDS: Final = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
"""Largest first, the order in which they are written."""
_BYTES: Final = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "KB": 10**3,
    "B": 1,
}
"""Binary before decimal, and largest first: the order in which `format_size` tries them."""

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
DURATION_PATTERN: Final = "^(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit in _SECONDS) + "$"
SIZE_PATTERN: Final = f"^{_NUMBER}(?:{'|'.join(_BYTES)})$"

_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)
_DURATION_PART: Final = re.compile(f"({_NUMBER})(ms|[dhms])")
_SIZE: Final = re.compile(f"({_NUMBER})([A-Za-z]+)")

_A_DURATION: Final = "a duration such as 500ms, 10s or 1h30m"
_A_SIZE: Final = "a size such as 512, 64KiB or 1.5MB"


def parse_duration(value: object) -> float:
    """Seconds of a duration: parts of d, h, m, s and ms, the largest first; or 0.

    Raises ExpectedError, a ValueError, for anything else, a number without a unit included.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        raise ExpectedError(f"a duration with its unit, e.g. {value:g}s", value)
    if value == "0":
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ExpectedError(_A_DURATION, value)
    parts = _DURATION_PART.findall(value)
    seconds = float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))
    if seconds > MAX_DURATION:
        raise ExpectedError(f"a duration of at most {format_duration(MAX_DURATION)}", value)
    return seconds


def parse_positive_duration(value: object) -> float:
    """As `parse_duration`, but 0 is refused too."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ExpectedError("a duration above 0", value)
    return seconds


def parse_size(value: object) -> int:
    """Bytes of a size: a whole number, or a number with one of B, kB, KiB, MB, MiB, GB ... TiB.

    Raises ExpectedError, a ValueError, for anything else and for fractions of a byte.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = Decimal(value)
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[2] not in _BYTES:
            raise ExpectedError(_A_SIZE, value)
        size = Decimal(match[1]) * _BYTES[match[2]]
    if not 0 <= size <= MAX_SIZE:
        raise ExpectedError("a size from 0 to 8EiB", value)
    if size != int(size):
        raise ExpectedError("a whole number of bytes", value)
    return int(size)


def format_duration(seconds: float) -> str:
    """The shortest usual form; `parse_duration` gives back exactly `seconds` (0..MAX_DURATION)."""
    left = Decimal(repr(float(seconds)))
    if left == 0:
        return "0"
    if left < 1:
        return f"{_plain(left * 1000)}ms"
    text = ""
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _SECONDS[unit])
        if count:
            text += f"{_plain(count)}{unit}"
    return f"{text}{_plain(left)}s" if left else text


def format_size(size: int) -> str:
    """The largest unit that holds `size` bytes evenly; `parse_size` gives back exactly `size`."""
    if size == 0:
        return "0B"
    unit, factor = next((u, f) for u, f in _BYTES.items() if size % f == 0)
    return f"{size // factor}{unit}"


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


_DURATION_TEXT: Final = {"type": "string", "pattern": DURATION_PATTERN}
_SIZE_TEXT: Final = {"type": "string", "pattern": SIZE_PATTERN}

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [_DURATION_TEXT, {"enum": [0, "0"]}]}),
]
PositiveDuration = Annotated[
    float, BeforeValidator(parse_positive_duration), WithJsonSchema(_DURATION_TEXT)
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [_SIZE_TEXT, {"type": "integer", "minimum": 0}]}),
]
