"""The command line: one dataclass a command, read by tyro. The only place that prints.

A command's module is imported when that command is asked for, so that none waits for what only
another one needs; and what a command computes with, when it runs, so that `--help` does not wait.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, make_dataclass
from typing import Any, Protocol, cast

from ssl_companion.errors import CompanionError
from ssl_companion.io.extras import needs


class Command(Protocol):
    """What a command is: a dataclass of its arguments, and what it does with them."""

    def run(self) -> int:
        """Do it and return the exit status."""


@dataclass(frozen=True)
class Entry:
    """Where a command is.

    Attributes:
        place: "module:Class".
        summary: the first line of the class's docstring, for the list of all commands.
        extra: the one that it needs.
    """

    place: str
    summary: str
    extra: str = "train"

    def load(self) -> type[Command]:
        """The dataclass."""
        module, _, name = self.place.partition(":")
        return cast(type[Command], getattr(importlib.import_module(module), name))


COMMANDS: dict[str, Entry] = {
    "data": Entry(
        "ssl_companion.cli.data:Data",
        "Find CIFAR-100, check and decode it once; say how to get it where it is absent.",
    ),
    "record": Entry(
        "ssl_companion.cli.record:Record",
        "Record the runs of presets: train each, measure it, write it down; resumable.",
    ),
    "train": Entry(
        "ssl_companion.cli.record:Train",
        "Train and record one run of your own, every setting by hand.",
    ),
    "recordings": Entry(
        "ssl_companion.cli.recordings:Recordings",
        "List the recordings: what they are, how long they took, what they keep.",
    ),
    "measure": Entry(
        "ssl_companion.cli.measure:Measure",
        "Measure a recording's kept features again: NCC train and test by epoch, layer, level.",
    ),
    "measure-features": Entry(
        "ssl_companion.cli.features:MeasureFeatures",
        "Measure features that an encoder gave already, against their labels.",
    ),
}

DEBUG_VARIABLE = "SSL_COMPANION_DEBUG"


def parse(commands: Mapping[str, Entry], arguments: list[str] | None = None) -> Command:
    """The command that the arguments name, with its own filled in.

    Args:
        commands: by name.
        arguments: by default those of this process.

    Raises:
        SystemExit: help was asked for, or the arguments are none of a command's.
    """
    import tyro

    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in commands:
        name, *rest = arguments
        command = commands[name].load()
        return tyro.cli(command, prog=f"ssl-companion {name}", args=rest)
    # The list of all, or what is wrong: for that, a command is its name and its summary.
    listed: dict[str, Callable[..., Any]] = {
        name: make_dataclass(name.title().replace("-", ""), [], namespace={"__doc__": one.summary})
        for name, one in commands.items()
    }
    found: Command = tyro.extras.subcommand_cli_from_dict(
        listed, prog="ssl-companion", args=arguments
    )
    return found


def _one_line(show: Callable[..., None]) -> Callable[..., None]:
    """A recording that is left out is a line; other warnings are shown as ever."""

    def shown(message: Warning | str, category: type[Warning], *where: Any, **also: Any) -> None:
        if category.__name__ == "RecordingWarning":  # by name: no command waits for it
            print(f"ssl-companion: {message}", file=sys.stderr)
        else:
            show(message, category, *where, **also)

    return shown


def run(commands: Mapping[str, Entry], arguments: list[str] | None = None) -> int:
    """Run one command; an error that a user can mend is one line and exit status 2.

    With SSL_COMPANION_DEBUG set, the traceback stands above it. Ctrl-C is one line, too, and status
    130; a reader that has read enough (`| head -1`) is no error: nothing is said, and the status
    is that of any program whose pipe was closed, 141. Arguments as for `parse`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):  # \u2265 where a terminal has no such letter
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _one_line(warnings.showwarning)
                command = parse(commands, arguments)
                with needs(commands[arguments[0]].extra):
                    return command.run()
        finally:  # rather than at the end of the process, where nobody catches
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _leave_full_stdout()
        return 128 + 13  # SIGPIPE's number, which Windows has not
    except KeyboardInterrupt as interrupt:
        print(f"ssl-companion: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        debug = bool(os.environ.get(DEBUG_VARIABLE))
        if debug:
            traceback.print_exception(error)
        # Errors of other kinds, and of other packages, were not written for the user.
        expected = isinstance(error, (CompanionError, OSError, ValueError))
        hint = "" if debug or expected else (
            f" (an unexpected {type(error).__name__}; {DEBUG_VARIABLE}=1 in front of the same "
            "command shows where it comes from)"
        )  # fmt: skip
        print(f"ssl-companion: {error}{hint}", file=sys.stderr)
        _leave_full_stdout()
        return 2


def _leave_full_stdout() -> None:
    """What could not be written would be tried again at the end of the process, aloud."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
