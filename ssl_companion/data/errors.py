"""The one error that everything about data raises."""

from __future__ import annotations

from pathlib import Path

from ssl_companion.errors import CompanionError


class DataError(CompanionError, ValueError):
    """Data that is absent, damaged or not what it claims to be.

    The message names the file and the ways to mend it; `path` holds the file or folder
    at fault, or None where there is none.
    """

    def __init__(self, problem: str, *, path: str | Path | None = None, mend: str = "") -> None:
        self.path = None if path is None else Path(path)
        said = f"{path}: {problem}" if path is not None else problem
        said = " ".join(said.split())  # what other packages say of a file has lines of its own
        between = "\n" if "\n" in mend else " "  # several ways out are a list
        super().__init__(f"{said}{between}{mend}".rstrip())


class CacheError(DataError):
    """The cache of decoded images cannot be written or read back."""
