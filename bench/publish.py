"""Make a run the one the documentation shows.

    python -m bench.publish [bench/results/latest.json]

Copies it to `results/reference.json`, draws `docs/performance.svg` and writes the generated part
of `docs/performance.md` anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import report, targets
from bench.chart import chart

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
BEGIN = "<!-- begin: python -m bench.publish -->"
END = "<!-- end -->"


def rewritten(page: str, result: report.Result) -> str:
    """`page` with the part between the two marks made of `result`. Raises ValueError without."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{generated(result)}\n{END}{after}"


def generated(result: report.Result) -> str:
    """Machine, targets and tables as Markdown."""
    machine = result["machine"]
    versions = ", ".join(sorted(result["versions"].values()))
    return "\n".join(
        [
            f"Measured {result['date'][:10]} on {machine['cores']} cores of {machine['cpu']}, "
            f"{machine['memory'] / 2**30:.0f} GiB, Linux {machine['kernel']}, Python "
            f"{machine['python']}, in {result['seconds'] // 60} minutes. {versions}.",
            "",
            "## Targets",
            "",
            *targets.lines(result),
            "",
            "## All works",
            "",
            report.text(result),
        ]
    )


def main() -> None:
    """See the module."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results" / "latest.json"
    text = source.read_text()
    result = json.loads(text)
    page = DOCS / "performance.md"
    page.write_text(rewritten(page.read_text(), result))
    (DOCS / "performance.svg").write_text(chart(result))
    (HERE / "results" / "reference.json").write_text(text)


if __name__ == "__main__":
    main()
