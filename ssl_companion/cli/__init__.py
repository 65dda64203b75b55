"""The command line: one dataclass a command, read by tyro. The only place that prints."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from ssl_companion.cli.claims import Claims
from ssl_companion.cli.data import Data
from ssl_companion.cli.measure import Measure
from ssl_companion.cli.record import Record, Train
from ssl_companion.cli.recordings import Recordings

Command = (
    Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Record, tyro.conf.subcommand("record")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Recordings, tyro.conf.subcommand("recordings")]
    | Annotated[Measure, tyro.conf.subcommand("measure")]
    | Annotated[Claims, tyro.conf.subcommand("claims")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that a user can mend is one line and exit status 2."""
    command = tyro.cli(Command, prog="ssl-companion", args=arguments)
    try:
        status: int = command.run()
    except (ValueError, RuntimeError, OSError) as error:
        print(f"ssl-companion: {error}", file=sys.stderr)
        return 2
    return status
