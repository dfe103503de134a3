"""The verbs that need no running daemon. What is heavy is imported by the verb that needs it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from headrace.cli.options import ConfigFile
from headrace.release import compiled, installed_version

if TYPE_CHECKING:
    from fleet.config.schema import Config


def check(config: ConfigFile) -> None:
    """Check a configuration file, and name every error in it."""
    from fleet.config.load import ConfigError, load

    try:
        loaded = load(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    print(f"{config} is valid: {summary(loaded)}")


def run(config: ConfigFile) -> None:
    """Run the daemon in the foreground."""
    from headrace import daemon

    raise typer.Exit(daemon.run(config))


def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from fleet.config import json_schema

    print(json.dumps(json_schema.schema(), indent=2))


def version() -> None:
    """Print the version, and whether the request path is compiled."""
    kind = "compiled" if compiled() else "plain Python"
    print(f"headrace {installed_version()} ({kind})")


def summary(config: Config) -> str:
    """What a configuration holds, in one line."""
    versions = sum(len(pool.versions) for pool in config.pools.values())
    counts = ((len(config.routes), "route"), (len(config.pools), "pool"), (versions, "version"))
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
