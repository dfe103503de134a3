"""Options and arguments that several verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from fleet.errors import HeadraceError
from headrace.cli.client import AdminClient

DEFAULT_ADMIN: Final = "http://127.0.0.1:9900"

Admin = Annotated[
    str, typer.Option("--admin", envvar="HEADRACE_ADMIN", help="Address of the admin API.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the admin token. Default: $HEADRACE_TOKEN."),
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")]
PoolName = Annotated[str, typer.Argument(metavar="POOL", help="Name of a pool.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]


def connect(admin: str, token_file: Path | None) -> AdminClient:
    """A client for the options given. HeadraceError when the token file cannot be read."""
    return AdminClient(admin, _token(token_file))


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get("HEADRACE_TOKEN") or None
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HeadraceError(f"cannot read the token file {path}: {error}") from error
    if not token:
        raise HeadraceError(f"the token file {path} is empty")
    return token
