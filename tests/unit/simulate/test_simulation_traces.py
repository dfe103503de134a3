"""Traces: what is read, what is refused and with which words."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from fleet.errors import HeadraceError
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.formats import detected, parse_format
from scaler.simulate.traces import Requests, TraceError, Windows, parse_trace, read_trace
from scaler.simulate.workload import Change, workload_of

SHARED = Path(__file__).resolve().parents[4] / "shared" / "traces"
SERVICE = parse_distribution("100ms")


def requests_in(text: str, given: str | None = None) -> Requests:
    found = parse_trace(text, "t.csv", parse_format(given) if given else None)
    assert isinstance(found, Requests)
    return found


def windows_in(text: str, given: str | None = None, series: str | None = None) -> Windows:
    found = parse_trace(text, "t.csv", parse_format(given) if given else None, series)
    assert isinstance(found, Windows)
    return found


@pytest.mark.parametrize(
    ("text", "given", "arrivals", "services"),
    [
        ("time\n5\n7.5\n", None, [0, 2.5], None),
        ("time,service\n7,0.5\n5,0.25\n", None, [0, 2], [0.25, 0.5]),
        ("timestamp_ms,input_length,output_length\n0,8000,10\n", None, [0], [1.25]),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,800,0\n"
            "2023-11-16 18:17:04.9799600,0,5\n",
            None,
            [0, 1],
            [0.15, 0.15],
        ),
        ("app,func,end_timestamp,duration\na,f,10,9\nb,g,10,2\n", None, [0, 7], [9, 2]),
        ("time,service\n5,0.5\n6,\n7,1.5\n", None, [0, 1, 2], [0.5, 1, 1.5]),
        ("time,service\n5,\n6,\n", None, [0, 1], None),
        ("a,b\n1000,1\n3000,2\n", "time=a,unit=ms,service=b", [0, 2], [1, 2]),
        ("a\n2024-02-29T00:00:00Z\n2024-02-29T01:00:01+01:00\n", "time=a", [0, 1], None),
        (
            "time\n2024-02-29T00:00:00.123456+02:00\n2024-02-28T22:00:01.1234560Z\n",
            None,
            [0, 1],
            None,
        ),
        ("time\n5\n6\n\n  \n", None, [0, 1], None),
    ],
)
def test_requests_are_read(
    text: str, given: str | None, arrivals: list[float], services: list[float] | None
) -> None:
    found = requests_in(text, given)
    assert list(found.arrivals) == pytest.approx(arrivals)
    assert (found.services is None) == (services is None)
    if found.services is not None and services is not None:
        assert list(found.services) == pytest.approx(services)


@pytest.mark.parametrize(
    ("text", "given", "width", "counts", "exact"),
    [
        ("157\n158\n0\n", None, 1, [157, 158, 0], True),
        ("timestamp,value\n2014-04-10 00:04,94\n2014-04-10 00:09,5\n", None, 300, [94, 5], True),
        ("time,rate\n0,2\n10,3\n30,1\n", None, 10, [20, 30, 0, 10], False),
        ("t,n\n0,2\n60000,3\n", "time=t,count=n,unit=ms", 60, [2, 3], True),
        ("1\n2\n\n", None, 1, [1, 2], True),
        ("time,rate\n0,1\n9.8,2\n20,3\n40,4\n", None, 10, [10, 20, 30, 0, 40], False),
    ],
)  # fmt: skip
def test_windows_are_read(
    text: str, given: str | None, width: float, counts: list[float], exact: bool
) -> None:
    found = windows_in(text, given)
    assert (found.width, list(found.counts), found.exact) == (width, counts, exact)


def test_a_request_takes_little_memory_while_a_trace_is_read_and_run() -> None:
    """A day at 60 a second is five million: at 500 bytes each they were three gigabytes."""
    text = "time,service\n" + "".join(f"{n},0.5\n" for n in range(20_000))
    tracemalloc.start()
    try:
        workload_of(requests_in(text), Change(), None, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / 20_000 < 200


def test_one_of_several_series_is_chosen() -> None:
    text = (
        "model,window_start_s,total_rate_rps,rate_weighted_cv\n"
        "a,0,1,1.5\na,10,2,1\nb,0,3,1\nb,10,4,2\n"
    )
    found = windows_in(text, series="b")
    assert (list(found.counts), list(found.cvs or ())) == ([30, 40], [1, 2])
    with pytest.raises(TraceError, match="choose one with --series: a, b"):
        windows_in(text)
    with pytest.raises(TraceError, match="no series 'c'; it has a, b"):
        windows_in(text, series="c")
    with pytest.raises(TraceError, match="no series 'c'; no column tells series apart"):
        windows_in("time,rate\n0,1\n60,1\n", series="c")


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("", None, "t.csv: the trace is empty"),
        ("time\n", None, "t.csv: the trace has no rows"),
        ("x,y\n1,2\n", None, "t.csv:1: columns x, y are of no known format"),
        ("time;service\n1;2\n", None, "t.csv:1: columns are parted by commas, here by semicolons"),
        ("time\tservice\n1\t2\n", None, "t.csv:1: columns are parted by commas, here by tabs"),
        ("time,time\n1,2\n", None, "t.csv:1: the header has column time more than once"),
        ("x,y\n1,2\n", "time=z", "t.csv:1: no column z in the header"),
        ("x\n1\n", "per-second", "t.csv:1: expected a number of requests, found 'x'"),
        ("5\n\n6\n", None, "t.csv:2: expected a number of requests, found ''"),
        ("5\n-1\n", None, "t.csv:2: expected a number of requests, found '-1'"),
        ("time\n1\nsoon\n", None, "t.csv:3: column time: expected seconds or a date and time"),
        ("time\n1\nnan\n", None, "t.csv:3: column time: expected seconds or a date and time"),
        ("time,service\n1,2\n2\n", None, "t.csv:3: expected 2 columns, found 1"),
        ("time,service\n1,-2\n", None, "t.csv:2: column service: expected a number from 0"),
        ("time,service\n1,x\n", None, "t.csv:2: column service: expected a number, found 'x'"),
        ("time,rate\n1,1\n", None, "t.csv: a trace of windows needs at least 2 rows"),
        ("time,rate\n1,1\n1,1\n", None, "t.csv:3: windows must follow each other in time"),
        ("time,rate\n0,1\n1,1\n9999,1\n", None, "leave most of the trace empty"),
        ("time,rate\n0,1\n1e-300,1\n1e10,1\n", None, "leave most of the trace empty"),
        (
            "time,rate\n0,1\n60,1\n150,1\n",
            None,
            "t.csv:4: windows must be of one width: this one begins 90 s after the one before, "
            "others 60 s",
        ),
        ("\n\n", None, "t.csv: the trace is empty"),
        ("5\n6\n", "arrivals", "t.csv:1: no column time in the header"),
        (f"time,x\n1,{'a' * 200_000}\n", None, "t.csv:2: field larger than field limit"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(text: str, given: str | None, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        parse_trace(text, "t.csv", parse_format(given) if given else None)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "'nonsense' is no trace format"),
        ("time=", "'time=' in the trace format"),
        ("when=a", "'when=a' in the trace format"),
        ("service=a", "names no time= or end= column"),
        ("end=a", "with end= needs service= too"),
        ("time=a,count=b,service=c", "requests or windows, not both"),
    ],
)
def test_a_bad_format_is_refused(text: str, message: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        parse_format(text)
    assert message in str(caught.value)


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(b"time\n1\n2\n")[:-6])
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"time\n\xff\n")
    for path, message in (
        (damaged, "the gzip data is damaged"),
        (binary, "not UTF-8 text"),
        (tmp_path / "none.csv", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(TraceError) as caught:
            read_trace(path)
        assert str(caught.value) == f"{path}: {message}"


def test_the_richest_known_format_is_detected() -> None:
    assert detected(["time"]) == parse_format("arrivals")
    assert detected(["x", "service", "time"]) == parse_format("services")
    assert detected(["arrival", "pool", "version", "wait", "service"]) == parse_format("headrace")
    assert detected(["x"]) is None


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared traces, ../shared/traces")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.gz")), ids=lambda path: path.name)
def test_every_shared_trace_is_read_without_options_but_the_series(path: Path) -> None:
    trace = read_trace(path, series="m-small" if path.name.startswith("servegen") else None)
    thin = 2000 / (sum(trace.counts) if isinstance(trace, Windows) else len(trace.arrivals))
    work = workload_of(trace, Change(scale=min(1.0, thin)), SERVICE, 0)
    assert len(work.arrivals) == len(work.services) > 20
    assert list(work.arrivals) == sorted(work.arrivals)
    assert 0 <= work.arrivals[0] <= work.arrivals[-1] < work.end == pytest.approx(trace.end)


def test_a_window_has_its_count_and_a_rate_is_kept_by_speed() -> None:
    trace = windows_in("4\n0\n6\n")
    work = workload_of(trace, Change(), SERVICE, 0)
    assert [sum(n <= at < n + 1 for at in work.arrivals) for n in range(3)] == [4, 0, 6]
    steady = Windows(width=100.0, counts=windows_in("2000\n" * 5).counts, exact=False, cvs=None)
    fast = workload_of(steady, Change(speed=5.0), SERVICE, 0)
    assert fast.end == 100.0
    assert len(fast.arrivals) == pytest.approx(2000, rel=0.1)
    part = workload_of(steady, Change(begin=100.0, length=200.0), SERVICE, 0)
    assert part.end == 200.0
    assert len(part.arrivals) == pytest.approx(4000, rel=0.1)


def test_a_part_of_a_trace_may_begin_and_end_within_windows() -> None:
    rates = Windows(width=100.0, counts=windows_in("0\n5000\n0\n").counts, exact=False, cvs=None)
    for speed in (1.0, 2.0):
        work = workload_of(rates, Change(begin=60.0, length=100.0, speed=speed), SERVICE, 0)
        assert work.end == 100.0 / speed
        assert 39.5 < speed * work.arrivals[0] < 40.5
        assert 99.5 < speed * work.arrivals[-1] < 100.0
        assert len(work.arrivals) == pytest.approx(3000 / speed, rel=0.1)


def test_the_clock_is_the_traces_own_unless_it_is_given() -> None:
    dated = requests_in("time\n2026-01-05T08:00:00\n2026-01-05T09:00:00\n")
    seconds = windows_in("5\n" * 200)
    given = Change(begin=60.0, speed=4.0, clock=1e9)
    assert workload_of(dated, Change(begin=60.0), SERVICE, 0).clock == 1767600060.0
    assert workload_of(seconds, Change(begin=60.0), SERVICE, 0).clock == 60.0
    work = workload_of(dated, given, SERVICE, 0)
    assert (work.clock, work.speed) == (1e9 + 60, 4.0)


def test_bursty_windows_have_the_variation_they_state() -> None:
    calm = windows_in("time,rate,cv\n0,50,1\n500,50,1\n", "time=time,rate=rate,cv=cv")
    wild = windows_in("time,rate,cv\n0,50,3\n500,50,3\n", "time=time,rate=rate,cv=cv")
    for trace, cv in ((calm, 1.0), (wild, 3.0)):
        work = workload_of(trace, Change(), SERVICE, 0)
        gaps = [b - a for a, b in zip(work.arrivals, work.arrivals[1:], strict=False)]
        mean = sum(gaps) / len(gaps)
        deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
        assert deviation / mean == pytest.approx(cv, rel=0.1)
        assert len(gaps) == pytest.approx(50_000, rel=0.1)


@pytest.mark.parametrize("cv", [0.3, 1, 2, 4])
@pytest.mark.parametrize("rate", [0.2, 5])
def test_short_windows_have_as_many_requests_as_long_ones(rate: float, cv: float) -> None:
    seconds = "time,rate,cv\n" + "".join(f"{n},{rate},{cv}\n" for n in range(40_000))
    trace = windows_in(seconds, "time=time,rate=rate,cv=cv")
    found = len(workload_of(trace, Change(), SERVICE, 0).arrivals)
    assert found == pytest.approx(40_000 * rate, rel=0.05)


def test_requests_are_repeated_and_thinned_with_their_service_times() -> None:
    trace = requests_in("time,service\n" + "".join(f"{n},{n + 1}\n" for n in range(1000)))
    double = workload_of(trace, Change(scale=2.0), None, 0)
    assert len(double.arrivals) == 2000
    assert sum(double.services) == 2 * sum(trace.services or ())
    half = workload_of(trace, Change(scale=0.5), None, 0)
    assert len(half.arrivals) == pytest.approx(500, rel=0.1)
    assert all(service == at + 1 for at, service in zip(half.arrivals, half.services, strict=True))


def test_what_cannot_be_run_is_refused() -> None:
    trace = requests_in("time\n0\n1\n")
    with pytest.raises(HeadraceError, match="give them with --service"):
        workload_of(trace, Change(), None, 0)
    with pytest.raises(HeadraceError, match="nothing is left of the trace: it ends at 2s"):
        workload_of(trace, Change(begin=2.0), SERVICE, 0)
    with pytest.raises(HeadraceError, match="the run is from 1s for 0s"):
        workload_of(trace, Change(begin=1.0, length=0.0), SERVICE, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\n2026-01-01\n1\n", "the run would be of 40908 days, at most 1000"),
        ("time,rate\n0,1e9\n60,1e9\n", "the run would have 1.2e[+]11 requests, at most 50,000,000"),
        ("1e12\n", "check the trace, thin it with --scale"),
    ],
)
def test_a_run_of_hours_is_refused_at_once(text: str, message: str) -> None:
    trace = parse_trace(text, "t.csv")
    with pytest.raises(HeadraceError, match=message):
        workload_of(trace, Change(), SERVICE, 0)
    work = workload_of(trace, Change(length=0.5, scale=1e-6), SERVICE, 0)
    assert work.end == 0.5


@pytest.mark.parametrize(
    ("text", "mean"),
    [("2s", 2.0), ("constant:2s", 2.0), ("exponential:2s", 2.0), ("uniform:1s,3s", 2.0),
     ("lognormal:2s,4s", 2.315)],
)  # fmt: skip
def test_distributions_have_their_mean(text: str, mean: float) -> None:
    from random import Random

    drawn = parse_distribution(text).samples(20_000, Random(1))
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.03)
    assert min(drawn) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "expected a duration such as 500ms"),
        ("0", "a duration above 0"),
        ("normal:1s", "the shape 'normal' is none of constant, exponential, lognormal, uniform"),
        ("uniform:1s", "expected uniform:LOW,HIGH"),
        ("uniform:2s,1s", "LOW,HIGH must not fall"),
    ],
)
def test_bad_distributions_are_refused(text: str, message: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        parse_distribution(text)
    assert message in str(caught.value)
