"""The lowest versions that pyproject.toml promises, as constraints for pip: on standard output.

    python .ci/lowest.py core train > lowest.txt

Of a range ">=X" that is "==X"; requirements without one, and of other platforms, are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def lowest(project: dict[str, Any], parts: list[str]) -> list[str]:
    """A line for every requirement of `parts`: extras, or "core"."""
    lists = {"core": project["dependencies"], **project["optional-dependencies"]}
    found = set()
    for one in (Requirement(line) for part in parts for line in lists[part]):
        bounds = [bound.version for bound in one.specifier if bound.operator == ">="]
        if bounds and (one.marker is None or one.marker.evaluate()):
            found.add(f"{one.name}=={bounds[0]}")
    return sorted(found)


if __name__ == "__main__":
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    sys.stdout.write(
        "\n".join(lowest(tomllib.loads(pyproject.read_text())["project"], sys.argv[1:])) + "\n"
    )
