"""The commands about the book's recordings and claims, added to those of the library."""

from __future__ import annotations

from ssl_companion.chapters.commands.baselines import Baselines
from ssl_companion.chapters.commands.claims import Claims
from ssl_companion.chapters.commands.explore import Explore
from ssl_companion.chapters.commands.import_run import ImportRun
from ssl_companion.cli import Command

COMMANDS: dict[str, type[Command]] = {
    "import-run": ImportRun,
    "explore": Explore,
    "baselines": Baselines,
    "claims": Claims,
}
