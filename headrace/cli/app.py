"""The command `headrace`: its verbs in one table, its exit codes in one place.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon answers,
4 a simulation exceeded a budget.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperGroup

from fleet.errors import HeadraceError
from headrace.cli import local, remote
from headrace.cli.client import UnreachableError
from headrace.cli.explain import explain
from headrace.cli.output import complain
from headrace.cli.record import record
from headrace.cli.replay import replay
from headrace.cli.simulate import simulate
from headrace.cli.status import status
from headrace.cli.tune import tune

EXIT_FAILED: Final = 1
EXIT_UNREACHABLE: Final = 3

VERBS: Final[dict[str, Callable[..., None]]] = {
    "check": local.check,
    "decisions": remote.decisions,
    "drain": remote.drain,
    "events": remote.events,
    "explain": explain,
    "record": record,
    "reload": remote.reload,
    "replay": replay,
    "run": local.run,
    "scale": remote.scale,
    "schema": local.schema,
    "simulate": simulate,
    "status": status,
    "tune": tune,
    "version": local.version,
    "weights": remote.weights,
}


class _Group(TyperGroup):
    """Shows an error as one sentence and answers with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except HeadraceError as error:
            complain(str(error))
            unreachable = isinstance(error, UnreachableError)
            raise typer.Exit(EXIT_UNREACHABLE if unreachable else EXIT_FAILED) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            complain(f"cannot write: {error.strerror}")
            raise typer.Exit(EXIT_FAILED) from error


def create_cli() -> typer.Typer:
    """The command with all verbs."""
    cli = typer.Typer(
        name="headrace",
        help="Route traffic to AI-agent services and scale them.",
        cls=_Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, verb in VERBS.items():
        cli.command(name)(verb)
    return cli


def main() -> None:
    """Entry point; ends the process."""
    create_cli()(prog_name="headrace")
