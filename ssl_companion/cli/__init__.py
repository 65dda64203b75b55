"""The command line: one dataclass a command, read by tyro. The only place that prints."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Protocol

import tyro

from ssl_companion.cli.data import Data
from ssl_companion.cli.features import MeasureFeatures
from ssl_companion.cli.measure import Measure
from ssl_companion.cli.record import Record, Train
from ssl_companion.cli.recordings import Recordings
from ssl_companion.errors import CompanionError


class Command(Protocol):
    """What a command is: a dataclass of its arguments, and what it does with them."""

    def run(self) -> int:
        """Do it and return the exit status."""


COMMANDS: dict[str, type[Command]] = {
    "data": Data,
    "record": Record,
    "train": Train,
    "recordings": Recordings,
    "measure": Measure,
    "measure-features": MeasureFeatures,
}

DEBUG_VARIABLE = "SSL_COMPANION_DEBUG"


def parse(commands: Mapping[str, type[Command]], arguments: list[str] | None = None) -> Command:
    """The command that the arguments name, with its own filled in.

    Args:
        commands: by name.
        arguments: by default those of this process.
    """
    command: Command = tyro.extras.subcommand_cli_from_dict(
        dict(commands), prog="ssl-companion", args=arguments
    )
    return command


def run(commands: Mapping[str, type[Command]], arguments: list[str] | None = None) -> int:
    """Run one command; an error that a user can mend is one line and exit status 2.

    With SSL_COMPANION_DEBUG set, the traceback stands above it. Arguments as for `parse`.
    """
    command = parse(commands, arguments)
    try:
        return command.run()
    except (ValueError, RuntimeError, OSError) as error:
        debug = bool(os.environ.get(DEBUG_VARIABLE))
        if debug:
            traceback.print_exception(error)
        # A RuntimeError of another package was not written for the user.
        expected = isinstance(error, CompanionError) or not isinstance(error, RuntimeError)
        hint = "" if debug or expected else (
            f" (an unexpected {type(error).__name__}; {DEBUG_VARIABLE}=1 in front of the same "
            "command shows where it comes from)"
        )  # fmt: skip
        print(f"ssl-companion: {error}{hint}", file=sys.stderr)
        return 2
