"""What an installation may lack: the packages of an extra, or the checkout with the recordings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import ssl_companion
from ssl_companion.errors import CompanionError


class MissingExtraError(CompanionError, ModuleNotFoundError):
    """A package is not installed that one of the extras brings; the message has pip's command."""


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports: where a package is absent, say which extra brings it.

    Args:
        extra: its name in pyproject.toml.

    Raises:
        MissingExtraError: a package is not installed.
    """
    try:
        yield
    except MissingExtraError:  # of an inner block, which knows better
        raise
    except ModuleNotFoundError as error:
        brings = f"'ssl-companion[{extra}]'"
        if checkout():  # the package would bring faiss-cpu beside the book's faiss-gpu
            brings = "submitit" if extra == "cluster" else "-r requirements.txt"
        raise MissingExtraError(
            f"{error.name} is not installed; `pip install {brings}` brings it", name=error.name
        ) from error


def checkout() -> Path | None:
    """The root of the book's repository, where the package is imported from it.

    None for a package that was installed by itself: then there are no recordings beside it.
    """
    root = Path(ssl_companion.__file__).resolve().parents[1]
    return root if (root / "_toc.yml").is_file() and (root / "book/recordings").is_dir() else None
