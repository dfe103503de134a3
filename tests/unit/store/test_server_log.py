import logging

import pytest

from fleet.store.server_log import parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "5949:M 23 Nov 2026 22:04:02.632 * Ready to accept connections unix\n",
            (logging.DEBUG, "Ready to accept connections unix"),
            id="a notice is of no interest",
        ),
        pytest.param(
            "5949:M 03 Nov 2026 22:04:02.632 # Out Of Memory allocating 8 bytes!",
            (logging.WARNING, "Out Of Memory allocating 8 bytes!"),
            id="a warning is a warning",
        ),
        pytest.param(
            "5949:C 03 Nov 2026 22:04:02.632 # WARNING Memory overcommit must be enabled! Without",
            (logging.DEBUG, "WARNING Memory overcommit must be enabled! Without"),
            id="the advice on overcommit is of no interest",
        ),
        pytest.param(
            "*** FATAL CONFIG FILE ERROR ***",
            (logging.WARNING, "*** FATAL CONFIG FILE ERROR ***"),
            id="a line of another form is a warning",
        ),
        pytest.param("\n", (logging.DEBUG, ""), id="an empty line is of no interest"),
    ],
)
def test_parse(line: str, expected: tuple[int, str]) -> None:
    assert parse(line) == expected
