import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.config.units import (
    DURATION_PATTERN,
    MAX_DURATION,
    MAX_SIZE,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_positive_duration,
    parse_size,
)

DURATIONS = [
    ("0", 0.0),
    ("0s", 0.0),
    ("1ms", 0.001),
    ("1.1ms", 0.0011),
    ("500ms", 0.5),
    ("0.25s", 0.25),
    ("10s", 10.0),
    ("1m30s", 90.0),
    ("1h30m", 5400.0),
    ("1.5h", 5400.0),
    ("2d", 172800.0),
    ("1d2h3m4s5ms", 93784.005),
    ("365d", MAX_DURATION),
]
NO_DURATIONS: list[tuple[object, str]] = [
    ("", "a duration such as"),
    ("10", "a duration such as"),
    ("10 s", "a duration such as"),
    (" 10s", "a duration such as"),
    ("10s\n", "a duration such as"),
    ("-1s", "a duration such as"),
    ("1e3s", "a duration such as"),
    (".5s", "a duration such as"),
    ("5.s", "a duration such as"),
    ("30m1h", "a duration such as"),
    ("1s1s", "a duration such as"),
    ("10S", "a duration such as"),
    ("10sec", "a duration such as"),
    ("٣s", "a duration such as"),
    (None, "a duration such as"),
    (True, "a duration such as"),
    ([], "a duration such as"),
    (10, "a duration with its unit, e.g. 10s"),
    (0.5, "a duration with its unit, e.g. 0.5s"),
    ("366d", "a duration of at most 365d"),
    ("9" * 400 + "s", "a duration of at most 365d"),
]
SIZES = [
    (0, 0),
    (512, 512),
    ("0B", 0),
    ("512B", 512),
    ("64KiB", 65536),
    ("1kB", 1000),
    ("1KB", 1000),
    ("1.5MB", 1_500_000),
    ("0.5KiB", 512),
    ("1GiB", 1 << 30),
    ("2GB", 2 * 10**9),
    ("1TiB", 1 << 40),
    (MAX_SIZE, MAX_SIZE),
]
NO_SIZES: list[tuple[object, str]] = [
    ("", "a size such as"),
    ("64", "a size such as"),
    ("64K", "a size such as"),
    ("64 KiB", "a size such as"),
    ("64kib", "a size such as"),
    ("-1B", "a size such as"),
    (1.5, "a size such as"),
    (False, "a size such as"),
    (None, "a size such as"),
    ("0.3KiB", "a whole number of bytes"),
    (-1, "a size from 0 to 8EiB"),
    (MAX_SIZE + 1, "a size from 0 to 8EiB"),
    ("8388608TiB", "a size from 0 to 8EiB"),
]


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_a_duration_is_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert text == "0" or re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(("value", "expected"), NO_DURATIONS)
def test_no_duration_is_refused_with_what_was_expected_and_found(
    value: object, expected: str
) -> None:
    with pytest.raises(ValueError, match="^expected " + re.escape(expected)) as raised:
        parse_duration(value)
    assert str(raised.value).endswith(f", found {value!r}")


@pytest.mark.parametrize("value", [0, 0.0])
def test_a_bare_zero_is_a_duration(value: object) -> None:
    assert parse_duration(value) == 0.0


@pytest.mark.parametrize("value", [0, "0", "0s", "0h0ms"])
def test_zero_is_no_positive_duration(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration above 0, found"):
        parse_positive_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0"),
        (0.0005, "0.5ms"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (10.0, "10s"),
        (60.0, "1m"),
        (75.0, "1m15s"),
        (5400.0, "1h30m"),
        (90061.5, "1d1h1m1.5s"),
        (MAX_DURATION, "365d"),
    ],
)
def test_a_duration_is_written_as_people_write_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, MAX_DURATION))
@example(5e-324)
@example(1e-7)
@example(0.1 + 0.2)
def test_a_duration_written_and_read_is_the_same(seconds: float) -> None:
    text = format_duration(seconds)
    assert parse_duration(text) == seconds
    assert text == "0" or re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(("value", "size"), SIZES)
def test_a_size_is_its_bytes(value: object, size: int) -> None:
    assert parse_size(value) == size
    assert isinstance(value, int) or re.search(SIZE_PATTERN, str(value))


@pytest.mark.parametrize(("value", "expected"), NO_SIZES)
def test_no_size_is_refused_with_what_was_expected_and_found(value: object, expected: str) -> None:
    with pytest.raises(ValueError, match="^expected " + re.escape(expected)) as raised:
        parse_size(value)
    assert str(raised.value).endswith(f", found {value!r}")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (1000, "1kB"),
        (1 << 30, "1GiB"),
        (1_500_000, "1500kB"),
        (1001, "1001B"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, MAX_SIZE) | st.integers(0, 1 << 20).map(lambda n: n << 20))
def test_a_size_written_and_read_is_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size
    assert re.search(SIZE_PATTERN, format_size(size))
