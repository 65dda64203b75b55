"""The command line: one dataclass a command, read by tyro. The only place that prints."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import tyro

from ssl_companion.cli.baselines import Baselines
from ssl_companion.cli.claims import Claims
from ssl_companion.cli.data import Data
from ssl_companion.cli.explore import Explore
from ssl_companion.cli.features import MeasureFeatures
from ssl_companion.cli.import_run import ImportRun
from ssl_companion.cli.measure import Measure
from ssl_companion.cli.record import Record, Train
from ssl_companion.cli.recordings import Recordings

Command = (
    Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Record, tyro.conf.subcommand("record")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Recordings, tyro.conf.subcommand("recordings")]
    | Annotated[ImportRun, tyro.conf.subcommand("import-run")]
    | Annotated[Measure, tyro.conf.subcommand("measure")]
    | Annotated[MeasureFeatures, tyro.conf.subcommand("measure-features")]
    | Annotated[Explore, tyro.conf.subcommand("explore")]
    | Annotated[Baselines, tyro.conf.subcommand("baselines")]
    | Annotated[Claims, tyro.conf.subcommand("claims")]
)


DEBUG_VARIABLE = "SSL_COMPANION_DEBUG"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that a user can mend is one line and exit status 2.

    With SSL_COMPANION_DEBUG set, the traceback stands above it.
    """
    command = tyro.cli(Command, prog="ssl-companion", args=arguments)
    try:
        status: int = command.run()
    except (ValueError, RuntimeError, OSError) as error:
        debug = bool(os.environ.get(DEBUG_VARIABLE))
        if debug:
            traceback.print_exception(error)
        hint = "" if debug or _expected(error) else (
            f" (an unexpected {type(error).__name__}; {DEBUG_VARIABLE}=1 in front of the same "
            "command shows where it comes from)"
        )  # fmt: skip
        print(f"ssl-companion: {error}{hint}", file=sys.stderr)
        return 2
    return status


def _expected(error: Exception) -> bool:
    """Whether the message was written for the user: all but a RuntimeError of another package."""
    own = type(error).__module__.partition(".")[0] == "ssl_companion"
    return own or not isinstance(error, RuntimeError)
