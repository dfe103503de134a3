"""Files that a configuration names: read when it is read, and watched as long as it is in force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

from fleet.config import secrets, yaml_source
from fleet.config.document import Data

DIRECTORY: Final = "directory"
"""Key of the validation context: what relative paths start at."""

_TLS_KEYS: Final = frozenset({"ca", "cert", "client_ca", "key"})
"""Under `tls`, these name files."""


def _read(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    directory: Path = (info.context or {}).get(DIRECTORY, Path())
    return secrets.file_text(directory / value)


Pem = Annotated[SecretStr, BeforeValidator(_read), WithJsonSchema({"type": "string"})]
"""Given as a path, kept as what is in the file."""


def files_named(content: str, directory: Path) -> list[Path]:
    """The files that a configuration with that text asks for, each once."""
    files = dict.fromkeys(secrets.files_named(content, directory))
    try:
        document, _ = yaml_source.parse(content)
    except yaml_source.SourceError:
        return list(files)
    data, _ = secrets.expand_all(document.data, os.environ, directory)
    return list(files | dict.fromkeys(directory / name for name in _of_tls(data)))


def _of_tls(data: Data, *, inside: bool = False) -> Iterator[str]:
    if isinstance(data, list):
        for item in data:
            yield from _of_tls(item, inside=inside)
    elif isinstance(data, dict):
        for key, value in data.items():
            if inside and key in _TLS_KEYS and isinstance(value, str) and "\0" not in value:
                yield value
            yield from _of_tls(value, inside=inside or key == "tls")
