"""Versions and SHA-256 of what pip would install, from its report, as lines of constraints.txt.

pip install --dry-run --report report.json ...; python book/_tools/pins.py report.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def pins(report: dict[str, list[dict[str, dict]]]) -> str:
    """A line a package: its name, its version, and the hash of the one file for this machine."""
    return "".join(
        sorted(
            f"{one['metadata']['name'].lower()}=={one['metadata']['version']} "
            f"--hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}\n"
            for one in report["install"]
        )
    )


if __name__ == "__main__":
    sys.stdout.write(pins(json.loads(Path(sys.argv[1]).read_text("utf8"))))
