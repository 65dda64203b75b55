"""`python -m ssl_companion` and the console script `ssl-companion`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    from ssl_companion.cli import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
