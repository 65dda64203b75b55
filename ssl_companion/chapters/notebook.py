"""What a notebook needs when it is opened on its own, as on Colab.

The first cell of every chapter clones the repository where the package is absent and then
calls `prepare`, which says what was cloned and installs what is missing and nothing else: every
distribution that is there already, torch and numpy above all, is pinned to the version it has.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

import ssl_companion
from ssl_companion.errors import CompanionError
from ssl_companion.io.extras import checkout

_BOOK_SECTION = "# --- the book"  # what follows in requirements.txt builds pages
_EQUIVALENT = {"faiss-gpu": "faiss-cpu", "faiss-cpu": "faiss-gpu"}  # either gives `faiss`


class SetupError(CompanionError, RuntimeError):
    """The notebook's environment cannot be completed; the message says how to mend it."""


@dataclass(frozen=True)
class Setup:
    """What `prepare` found: a line for the reader."""

    versions: str
    device: str
    installed: tuple[str, ...]
    cloned: str = ""

    def __repr__(self) -> str:
        lines = [self.versions, f"device: {self.device}"]
        lines += [f"installed: {', '.join(self.installed)}"] if self.installed else []
        lines += [f"cloned: {self.cloned}"] if self.cloned else []
        return "\n".join(lines)


def prepare() -> Setup:
    """Install what this notebook lacks and say what it runs on.

    Raises:
        SetupError: when an installed torch or numpy is too old for the package (it is never
            replaced), pip fails, or the package is installed without the book.
    """
    root = checkout()
    if root is None:
        raise SetupError(
            "ssl_companion is installed here by itself, without the book's recordings: "
            "`pip uninstall ssl-companion`, restart the kernel and run this cell again, which "
            "fetches both; or open the notebook in a clone of the repository"
        )
    wanted = notebook_requirements((root / "requirements.txt").read_text(encoding="utf8"))
    lacking = missing(wanted, _installed_version)
    if any(r.name == "faiss-gpu" for r in lacking) and not _has_cuda():
        lacking = _searching_on_the_cpu(lacking)
    if lacking:
        lacking = _install(lacking)
    cloned = ""
    if _installed_version("ssl-companion") is None:
        _pip("--no-deps", "-e", str(root))
        cloned = _cloned(root)
    return Setup(_versions(), _device(), tuple(r.name for r in lacking), cloned)


def _cloned(root: Path) -> str:
    """Which book the first cell has fetched: its release, or the newest commit, and from where."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    what, whence = git("describe", "--tags", "--always"), git("remote", "get-url", "origin")
    newest = "" if what == f"v{ssl_companion.__version__}" else ", the newest: no release"
    return f"{what} of {whence}{newest}" if what and whence else ""


def notebook_requirements(text: str) -> list[Requirement]:
    """The requirements of the package and its figures, for this platform."""
    lines = text.split(_BOOK_SECTION)[0].splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    requirements = [Requirement(line) for line in stripped if line]
    return [r for r in requirements if r.marker is None or r.marker.evaluate()]


def missing(
    requirements: Iterable[Requirement], version: Callable[[str], str | None]
) -> list[Requirement]:
    """Those of `requirements` that no installed distribution provides.

    Raises:
        SetupError: when one is installed in a version too old to be used.
    """
    lacking = []
    for requirement in requirements:
        found = version(requirement.name) or version(_EQUIVALENT.get(requirement.name, ""))
        if found is None:
            lacking.append(requirement)
        elif requirement.name not in _EQUIVALENT and not requirement.specifier.contains(
            found, prereleases=True
        ):
            raise SetupError(
                f"{requirement.name} {found} is installed, this book needs {requirement}. "
                f"It was left alone; upgrade it yourself: pip install '{requirement}'"
            )
    return lacking


def _searching_on_the_cpu(requirements: Iterable[Requirement]) -> list[Requirement]:
    """The same with FAISS for the CPU, which comes without CUDA's libraries (1.2 GB)."""
    return [
        Requirement(f"faiss-cpu{r.specifier}") if r.name == "faiss-gpu" else r for r in requirements
    ]


def _install(lacking: list[Requirement]) -> list[Requirement]:
    """pip, with every installed distribution held at its version; what it installed."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "held.txt")
        held.write_text("".join(f"{name}=={version}\n" for name, version in _all_installed()))
        try:
            _pip("-c", str(held), *(f"{r.name}{r.specifier}" for r in lacking))
        except SetupError:
            if "faiss-gpu" not in (r.name for r in lacking):
                raise
            # Its CUDA libraries clash with those of the torch that is here: search on the CPU.
            lacking = _searching_on_the_cpu(lacking)
            _pip("-c", str(held), *(f"{r.name}{r.specifier}" for r in lacking))
    return lacking


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")


def _all_installed() -> list[tuple[str, str]]:
    """Name and version of every distribution that Python finds, as pip's constraints take them."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        if name := _name(one):  # the first on the path is the one that is imported
            found.setdefault(canonicalize_name(name), one.version)
    return sorted((name, version) for name, version in found.items() if _is_version(version))


def _name(one: metadata.Distribution) -> str:
    """Empty for a distribution whose metadata are gone."""
    try:
        return one.metadata["Name"] or ""
    except FileNotFoundError:  # so says the package importlib-metadata, once anything imports it
        return ""


def _is_version(text: str | None) -> bool:
    """Whether pip can read it: one line that it cannot makes it refuse all of them."""
    try:
        Version(text or "")
    except InvalidVersion:
        return False
    return True


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name) if name else None
    except (metadata.PackageNotFoundError, FileNotFoundError):
        return None


def _versions() -> str:
    return (
        f"ssl_companion {ssl_companion.__version__}, Python {platform.python_version()}, "
        f"PyTorch {_installed_version('torch')}, NumPy {_installed_version('numpy')}"
    )


def _has_cuda() -> bool:
    """Whether torch sees a CUDA device; no without torch."""
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return bool(torch.cuda.is_available())


def _device() -> str:
    import torch  # seconds; only here, so that installing comes first where nothing asked for it

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {os.cpu_count()} cores"
