"""`${env:NAME}` and `${file:path}` inside the strings of a configuration.

`$${` stands for `${` itself. What an expansion gave is in the data only: the document keeps the
text as written, and errors show that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleet.config.document import Data, Finding, unfit_character
from fleet.config.document import Path as DataPath

MAX_FILE: Final = 1 << 20
"""Bytes of a secret file."""

_EXPANSION: Final = re.compile(r"\$\$\{|\$\{(env|file):([^{}]+)\}|\$\{[^{}]*\}?")
_LAST_NEWLINE: Final = re.compile(r"\r?\n\Z")


class SecretError(ValueError):
    """An expansion that has no value. The message names its source, never a value."""


def expand_all(data: Data, env: Mapping[str, str], directory: Path) -> tuple[Data, list[Finding]]:
    """`data` with all its strings expanded; those that cannot be stay, with a finding each.

    Paths of files are relative to `directory`.
    """
    findings: list[Finding] = []

    def expanded(value: Data, path: DataPath) -> Data:
        if isinstance(value, dict):
            return {key: expanded(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [expanded(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return expand(value, env, directory)
        except SecretError as error:
            findings.append(Finding(path, str(error)))
            return value

    return expanded(data, ()), findings


def expand(text: str, env: Mapping[str, str], directory: Path) -> str:
    """`text` with every expansion replaced. Raises SecretError."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise SecretError(
                f"`{match[0]}` is neither ${{env:NAME}} nor ${{file:path}}; "
                f"write $${{ to have ${{ itself"
            )
        found = _from_env(match[2], env) if match[1] == "env" else _from_file(directory / match[2])
        if unfit := unfit_character(found):
            raise SecretError(f"the value of `{match[0]}` has the character {unfit}")
        return found

    return _EXPANSION.sub(value, text)


def _from_env(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        raise SecretError(f"the environment variable {name} is not set")
    return env[name]


def _from_file(path: Path) -> str:
    return file_text(path, f"the file {path}")


def file_text(path: Path, shown: str = "the file") -> str:
    """The content of a file without its last newline. Raises SecretError, which names `shown`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SecretError(f"cannot read {shown}: {reason}") from None
    if len(content) > MAX_FILE:
        raise SecretError(f"{shown} has more than {MAX_FILE} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{shown} is not UTF-8 text") from None
    return _LAST_NEWLINE.sub("", text)


def files_named(text: str, directory: Path) -> list[Path]:
    """The files whose contents `text` asks for, in order, each once."""
    names = dict.fromkeys(m[2] for m in _EXPANSION.finditer(text) if m[1] == "file")
    return [directory / name for name in names if "\0" not in name]
