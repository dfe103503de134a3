"""`python -m tests.fuzz requests|replies [libFuzzer options]`: look for bytes that break a rule.

Needs atheris (https://github.com/google/atheris), which is not there for every Python. Starts from
the corpora in tests/testdata; what it finds is printed and belongs into tests/testdata/fuzz.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["router.http"]):
    from tests.fuzz.properties import check_replies, check_requests

from tests.fuzz.seeds import seeds

TARGETS = {"replies": check_replies, "requests": check_requests}


def main() -> None:
    side, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for index, seed in enumerate(seeds(side)):
            (Path(folder) / f"seed-{index}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, folder], TARGETS[side])
        atheris.Fuzz()


main()
