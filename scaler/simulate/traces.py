"""Reading recorded traffic: CSV, plain or gzip, into requests or windows of time."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import math
import operator
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Final, NoReturn

from msgspec import Struct

from fleet.errors import HeadraceError
from scaler.simulate.formats import Format, detected

LLM_BASE: Final = 0.05
"""Seconds a language model takes for any request, in traces that count tokens only."""
LLM_INPUT: Final = 8000.0
"""Input tokens it reads in a second."""
LLM_OUTPUT: Final = 0.02
"""Seconds an output token takes."""
UNEVEN: Final = 0.1
"""Of a window: how much earlier or later than at its end the next one may begin."""


class TraceError(HeadraceError):
    """A trace that cannot be read; the text names file, line, what was found and expected."""


class Requests(Struct, frozen=True, kw_only=True):
    """Single requests, in the order of their arrival."""

    arrivals: array[float]
    """Seconds from the first."""
    services: array[float] | None
    """Seconds each; None: the trace does not say."""
    end: float
    """The last arrival, and the mean gap."""
    clock: float = 0.0
    """Unix time of the first, where the trace has dates."""


class Windows(Struct, frozen=True, kw_only=True):
    """How many requests came in each window of time; windows follow each other."""

    width: float
    """Seconds."""
    counts: array[float]
    """Requests of each window: exact if `exact`, else the expected number."""
    exact: bool
    cvs: array[float] | None
    """Coefficient of variation of the gaps of each window; None: 1, a Poisson process."""
    clock: float = 0.0
    """Unix time at which the first begins, where the trace has dates."""

    @property
    def end(self) -> float:
        """Seconds of all windows together."""
        return self.width * len(self.counts)


Trace = Requests | Windows


def read_trace(path: Path, given: Format | None = None, series: str | None = None) -> Trace:
    """The trace in the file `path`; `given` is its format, by default told from its header.

    `series` chooses one of several in the file. Raises TraceError.
    """
    return parse_trace(_text(path), str(path), given, series)


def parse_trace(
    text: str, file: str, given: Format | None = None, series: str | None = None
) -> Trace:
    """As `read_trace`, from the text of a file that errors call `file`."""
    lines = text.rstrip().splitlines()
    if not lines:
        raise TraceError(f"{file}: the trace is empty")
    if _is_number(lines[0]) and (given is None or not given.header()):
        return _per_second(lines, file)
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader)]
    form = given or detected(header)
    if form is None:
        raise TraceError(f"{file}:1: {_unknown(header)}")
    if not form.header():
        raise TraceError(f"{file}:1: expected a number of requests, found {header[0]!r}")
    if absent := form.header() - set(header):
        raise TraceError(f"{file}:1: no column {', '.join(sorted(absent))} in the header")
    if twice := sorted(name for name in form.header() if header.count(name) > 1):
        raise TraceError(f"{file}:1: the header has column {', '.join(twice)} more than once")
    rows = _Rows(reader, header, form, file)
    chosen = _chosen(rows, series)
    try:
        return _windows(list(chosen), rows) if form.windows else _requests(chosen, form)
    except csv.Error as error:
        raise TraceError(f"{file}:{reader.line_num}: {error}") from None


def _unknown(header: Sequence[str]) -> str:
    """What is wrong with a header that is of no known format."""
    if len(header) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in header[0]:
                return f"columns are parted by commas, here by {name}"
    return (
        f"columns {', '.join(header)} are of no known format; "
        "say which holds what with --trace-format time=COLUMN,..."
    )


class _Row(Struct, frozen=True):
    line: int
    series: str
    values: dict[str, float]


class _Rows:
    """The rows of a table as numbers, with errors that name the line."""

    def __init__(
        self, reader: Iterator[list[str]], header: Sequence[str], form: Format, file: str
    ) -> None:
        self.form = form
        self.file = file
        self._reader = reader
        self._width = len(header)
        self._series = header.index(form.series) if form.series else None
        self._columns: list[tuple[str, int, Callable[[str], float]]] = [
            (key, header.index(getattr(form, key)), self._number)
            for key in sorted(form.columns() - {"series", "time", "wait"})
        ]
        if form.time:
            self._columns.append(("time", header.index(form.time), self._moment))

    def __iter__(self) -> Iterator[_Row]:
        for line, cells in enumerate(self._reader, start=2):
            if not cells:
                continue
            if len(cells) != self._width:
                self.fail(line, f"expected {self._width} columns, found {len(cells)}")
            values = {}
            for key, index, parse in self._columns:
                if key == "service" and not cells[index]:
                    continue
                try:
                    values[key] = parse(cells[index])
                except ValueError as error:
                    self.fail(line, f"column {getattr(self.form, key)}: {error}")
            yield _Row(line, cells[self._series] if self._series is not None else "", values)

    def fail(self, line: int, why: str) -> NoReturn:
        """Raise TraceError for a line."""
        raise TraceError(f"{self.file}:{line}: {why}")

    @staticmethod
    def _number(cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            raise ValueError(f"expected a number, found {cell!r}") from None
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"expected a number from 0, found {cell!r}")
        return value

    def _moment(self, cell: str) -> float:
        try:
            value = float(cell) * self.form.unit
        except ValueError:
            try:
                date = datetime.fromisoformat(cell.strip())
            except ValueError:
                raise ValueError(f"expected seconds or a date and time, found {cell!r}") from None
            return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
        if not math.isfinite(value):
            raise ValueError(f"expected seconds or a date and time, found {cell!r}")
        return value


def _chosen(rows: _Rows, series: str | None) -> Iterator[_Row]:
    """The rows of one series; TraceError after the last when that is none, or one of several."""
    if series is not None and not rows.form.series:
        raise TraceError(f"{rows.file}: no series {series!r}; no column tells series apart")
    names: dict[str, None] = {}
    for row in rows:
        names[row.series] = None
        if series in (None, row.series):
            yield row
    if not names:
        raise TraceError(f"{rows.file}: the trace has no rows")
    if series is None and len(names) > 1:
        raise TraceError(
            f"{rows.file} holds several series; choose one with --series: {', '.join(names)}"
        )
    if series not in (None, *names):
        raise TraceError(f"{rows.file}: no series {series!r}; it has {', '.join(names)}")


def _requests(rows: Iterable[_Row], form: Format) -> Requests:
    """A request without a service time is given the mean of the others.

    Columns grow row by row: a day of traffic has millions, and as objects they take gigabytes.
    """
    moment = "time" if form.time else "end"
    arrivals, services = array("d"), array("d")
    for row in rows:
        arrivals.append(row.values[moment])
        services.append(_service(row.values))
    given = [service for service in services if not math.isnan(service)]
    if given and len(given) < len(services):
        mean = fmean(given)
        services = array("d", (mean if math.isnan(service) else service for service in services))
    if given and moment == "end":
        arrivals = array("d", map(operator.sub, arrivals, services))
    if any(later < earlier for earlier, later in itertools.pairwise(arrivals)):
        order = sorted(range(len(arrivals)), key=arrivals.__getitem__)
        services = array("d", (services[number] for number in order))
        arrivals = array("d", (arrivals[number] for number in order))
    first, last = arrivals[0], arrivals[-1]
    gap = (last - first) / (len(arrivals) - 1) if last > first else 1.0
    return Requests(
        arrivals=array("d", (arrival - first for arrival in arrivals)),
        services=services if given else None,
        end=last - first + gap,
        clock=first,
    )


def _service(values: dict[str, float]) -> float:
    """Seconds; NaN where the row does not say."""
    if "service" in values:
        return values["service"]
    if "input" not in values and "output" not in values:
        return math.nan
    return LLM_BASE + values.get("input", 0.0) / LLM_INPUT + values.get("output", 0.0) * LLM_OUTPUT


def _windows(rows: list[_Row], table: _Rows) -> Windows:
    """All windows are as wide as the smallest step between two; what a gap leaves out is empty.

    Steps that are whole windows but for UNEVEN are taken as such: some clocks are not exact.
    """
    if len(rows) < 2:
        raise TraceError(f"{table.file}: a trace of windows needs at least 2 rows")
    starts = [row.values["time"] for row in rows]
    for row, (before, start) in zip(rows[1:], itertools.pairwise(starts), strict=True):
        if start <= before:
            table.fail(row.line, "windows must follow each other in time")
    steps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    least, span = min(steps), starts[-1] - starts[0]
    if span / least >= 100 * len(rows):
        raise TraceError(f"{table.file}: windows of {least:g} s leave most of the trace empty")
    places = [0]
    for row, step in zip(rows[1:], steps, strict=True):
        whole = round(step / least)
        if abs(step / least - whole) > UNEVEN:
            table.fail(
                row.line,
                f"windows must be of one width: this one begins {step:g} s after the one before, "
                f"others {least:g} s",
            )
        places.append(places[-1] + whole)
    width, number = span / places[-1], places[-1] + 1
    counts = array("d", bytes(8 * number))
    cvs = array("d", [1.0]) * number
    for row, place in zip(rows, places, strict=True):
        count = row.values.get("count")
        counts[place] += row.values["rate"] * width if count is None else count
        cvs[place] = row.values.get("cv", 1.0)
    exact = bool(table.form.count)
    return Windows(
        width=width,
        counts=counts,
        exact=exact,
        cvs=cvs if table.form.cv else None,
        clock=starts[0],
    )


def _per_second(lines: list[str], file: str) -> Windows:
    counts = array("d")
    for number, line in enumerate(lines, start=1):
        if not _is_number(line):
            raise TraceError(f"{file}:{number}: expected a number of requests, found {line!r}")
        counts.append(float(line))
    return Windows(width=1.0, counts=counts, exact=True, cvs=None)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) >= 0
    except ValueError:
        return False


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig").read()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error):
        raise TraceError(f"{path}: the gzip data is damaged") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: not UTF-8 text") from None
