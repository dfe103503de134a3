"""How a run ends: its head, the files that keep it, and what is printed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import accounting
from bench.report import Result
from bench.stand import Sample

RESULTS: Final = Path(__file__).parent / "results"


def result_of(
    samples: Sequence[Sample],
    *,
    begin: float,
    quick: bool,
    versions: Mapping[str, str],
    absent: Mapping[str, str],
    failures: Mapping[str, str],
    **more: Any,
) -> Result:
    """A run that began at `begin` of the monotonic clock; `more` is what it has beside others."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begin),
        "quick": quick,
        "machine": accounting.machine(),
        "versions": dict(versions),
        "absent": dict(absent),
        "failures": dict(failures),
        **more,
        "samples": [sample.as_dict() for sample in samples],
    }


def write(path: Path, result: Mapping[str, Any]) -> None:
    """As JSON, its folder made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def finish(
    path: Path, result: Result, text: Callable[[Result], str], chart: Callable[[Result], str]
) -> None:
    """Store the run in `path` and its chart beside it, and print its tables."""
    write(path, result)
    picture = path.with_suffix(".svg")
    picture.write_text(chart(result))
    print()
    print(text(result))
    print(f"stored in {path} and {picture}")
