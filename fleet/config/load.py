"""Reading a configuration file: text in, a `Config` or all that is wrong with it out.

In steps: YAML to a document with positions, `${...}` expanded, the schema and the references
checked side by side, every finding given its place. A finding about a value hides the later ones
about the same value, which would only follow from it.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from fleet.config import messages, references, secrets, yaml_source
from fleet.config.document import Data, Document, Finding, show_path
from fleet.config.files import DIRECTORY
from fleet.config.problems import ConfigError, Problem
from fleet.config.schema import Config
from fleet.config.shorthand import as_written, written_out

__all__ = ["ConfigError", "Problem", "load", "load_text"]


def load(path: Path) -> Config:
    """The configuration in the file `path`. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = Problem(file=str(path), message=f"cannot be read: {error.strerror}")
        raise ConfigError([problem]) from None
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        problem = Problem(file=str(path), line=line, column=column, message="not UTF-8 text")
        raise ConfigError([problem]) from None
    return load_text(text, path)


def load_text(text: str, file: Path, env: Mapping[str, str] = os.environ) -> Config:
    """The configuration in `text`, as if read from `file`. Raises ConfigError."""
    try:
        document, wrong = yaml_source.parse(text)
    except yaml_source.SourceError as error:
        at = error.position
        problem = Problem(
            file=str(file),
            line=at.line if at else 0,
            column=at.column if at else 0,
            message=error.message,
        )
        raise ConfigError([problem]) from None
    data, unexpanded = secrets.expand_all(document.data, env, file.parent)
    wrong += unexpanded
    data = written_out(data)
    config, invalid = _validated(data, document, file.parent)
    hidden = {finding.path for finding in wrong if finding.at is None}
    later = [*invalid, *references.findings(data, document)]
    wrong += [finding for finding in later if finding.path not in hidden]
    if config is None or wrong:
        raise ConfigError(_problems(wrong, document, file))
    return config


def _validated(
    data: Data, document: Document, directory: Path
) -> tuple[Config | None, list[Finding]]:
    """Strictly, by way of JSON: so `"95"` is no integer, while a list may become a tuple."""
    context = {DIRECTORY: directory}
    try:
        return Config.model_validate_json(json.dumps(data), strict=True, context=context), []
    except ValidationError as error:
        return None, messages.findings(error, document)


def _problems(wrong: Iterable[Finding], document: Document, file: Path) -> list[Problem]:
    problems = []
    for finding in wrong:
        path = as_written(finding.path, document)
        at = finding.at or document.position(path)
        problems.append(
            Problem(
                file=str(file),
                line=at.line,
                column=at.column,
                path=show_path(path),
                message=finding.message,
            )
        )
    return problems
