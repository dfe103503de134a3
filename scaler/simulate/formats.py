"""The columns of traces: known layouts by name, and layouts given on the command line.

A trace is a table with a header line, or one number a line without any. Its rows are requests
(a `time`, perhaps a `service` time or numbers of tokens) or windows of time (a `count` or a
`rate` each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from fleet.errors import HeadraceError


class Format(Struct, frozen=True, kw_only=True):
    """Which column holds what; "" where the trace has none."""

    time: str = ""
    """When a request arrived or a window began: seconds, or a date and time."""
    unit: float = 1.0
    """Seconds in one unit of a `time` that is a number."""
    end: str = ""
    """When a request was over; its arrival is that minus its service time."""
    service: str = ""
    """Seconds a request held its slot."""
    wait: str = ""
    """Seconds it waited for it; not used by simulations."""
    input: str = ""
    """Tokens a request gave to a model."""
    output: str = ""
    """Tokens the model answered with."""
    count: str = ""
    """Requests in a window."""
    rate: str = ""
    """Requests a second in a window."""
    cv: str = ""
    """Coefficient of variation of the gaps between a window's requests; 1 where there is none."""
    series: str = ""
    """Tells apart several traces in one file."""

    def columns(self) -> set[str]:
        """The names of all columns it reads."""
        return {name for name in self.__struct_fields__ if name != "unit" and getattr(self, name)}

    def header(self) -> set[str]:
        """What the header line must have."""
        return {getattr(self, name) for name in self.columns()}

    @property
    def windows(self) -> bool:
        """Whether rows are windows, not requests."""
        return bool(self.count or self.rate)


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "arrivals": Format(time="time"),
        "azure-functions": Format(end="end_timestamp", service="duration"),
        "azure-llm": Format(time="TIMESTAMP", input="ContextTokens", output="GeneratedTokens"),
        "headrace": Format(time="arrival", service="service", wait="wait", series="pool"),
        "mooncake": Format(
            time="timestamp_ms", unit=0.001, input="input_length", output="output_length"
        ),
        "nab": Format(time="timestamp", count="value"),
        "per-second": Format(),
        "rates": Format(time="time", rate="rate"),
        "servegen": Format(
            time="window_start_s", rate="total_rate_rps", cv="rate_weighted_cv", series="model"
        ),
        "services": Format(time="time", service="service"),
    }
)
"""By name. `per-second` has no header: each line is the number of requests in one second."""

_KEYS: Final = tuple(name for name in Format.__struct_fields__ if name not in ("wait", "unit"))


def parse_format(text: str) -> Format:
    """The format named `text`, or that of `KEY=COLUMN,...`, e.g. `time=at,service=seconds`.

    `unit=ms` says that times are milliseconds. Raises HeadraceError.
    """
    if text in FORMATS:
        return FORMATS[text]
    if "=" not in text:
        raise HeadraceError(f"{text!r} is no trace format; known are {', '.join(FORMATS)}")
    found: dict[str, str] = {}
    unit = 1.0
    for part in text.split(","):
        key, _, column = part.partition("=")
        if key == "unit" and column in ("s", "ms"):
            unit = 1.0 if column == "s" else 0.001
        elif key in _KEYS and column:
            found[key] = column
        else:
            raise HeadraceError(
                f"{part!r} in the trace format: expected KEY=COLUMN with a key of "
                f"{', '.join(_KEYS)}, or unit=s or unit=ms"
            )
    made = Format(**found, unit=unit)
    if not (made.time or made.end):
        raise HeadraceError("the trace format names no time= or end= column")
    if made.windows and (made.service or made.end or made.input or made.output):
        raise HeadraceError("a trace format has requests or windows, not both")
    if made.end and not made.service:
        raise HeadraceError("a trace format with end= needs service= too")
    return made


def detected(header: Sequence[str]) -> Format | None:
    """The known format that uses the most of the columns in `header`; None: there is none."""
    names = set(header)
    fitting = [f for f in FORMATS.values() if f.header() and f.header() <= names]
    return max(fitting, key=lambda f: len(f.header()), default=None)
