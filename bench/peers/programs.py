"""Finding programs and asking them their version."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-bench"


def on_path(name: str) -> Callable[[], str | None]:
    """Looks for a system program."""

    def find() -> str | None:
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")

    return find


def in_venv(name: str) -> Callable[[], str | None]:
    """Looks for a program of the benchmark's own environment, then for a system one."""

    def find() -> str | None:
        own = VENV / "bin" / name
        return str(own) if own.exists() else shutil.which(name)

    return find


def says(*arguments: str) -> Callable[[str], str]:
    """The first line the program prints."""

    def version(program: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].strip() if lines else "unknown"

    return version


def installed(package: str) -> Callable[[str], str]:
    """The version of a package in the program's environment."""

    def version(program: str) -> str:
        code = f"import importlib.metadata as m; print({package!r}, m.version({package!r}))"
        python = Path(program).parent / "python"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"

    return version
