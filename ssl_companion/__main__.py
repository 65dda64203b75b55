"""`python -m ssl_companion` and the console script `ssl-companion`.

The one place that knows both the library's commands and those of the chapters; nothing imports it.
"""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command of the library or of the chapters and return the exit status.

    Args:
        arguments: by default those of this process.
    """
    from ssl_companion import cli
    from ssl_companion.chapters import commands

    return cli.run({**cli.COMMANDS, **commands.COMMANDS}, arguments)


if __name__ == "__main__":
    sys.exit(main())
