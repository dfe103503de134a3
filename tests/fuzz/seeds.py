"""Where fuzzing starts from, and what it has found before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "testdata"
CUTS = (b"\x00", b"\x06", b"\x7f", b"\x80")


def seeds(side: str) -> Iterator[bytes]:
    """Inputs of `requests` or `replies`: the corpus, and tests/testdata/fuzz as it stands."""
    for path in sorted((DATA / "http" / side).glob("*.txt")):
        wire = path.read_text(encoding="ascii").partition("\n\n")[2].replace("\n", "")
        for cut in CUTS:
            yield cut + wire.encode().decode("unicode_escape").encode("latin-1")
    for path in sorted((DATA / "fuzz" / side).glob("*.bin")):
        yield path.read_bytes()
