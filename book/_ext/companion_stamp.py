"""What a build of the book is made from: version, date, address, and a digest of its inputs."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import ssl_companion


def footer(root: Path) -> str:
    """Version, commit and its date, as a line of HTML."""
    commit = _git(root, "log", "-1", "--format=%h %cs").split()
    day = commit[1] if commit else _today()
    written = datetime.date.fromisoformat(day)
    source = f" (commit {commit[0]})" if commit else ""
    return (
        f'<p class="companion-version">Version {ssl_companion.__version__}{source}, '
        f'<time datetime="{day}">{written.day} {written:%B %Y}</time></p>'
    )


def _today() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.now(datetime.timezone.utc)
    if epoch:
        now = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    return now.date().isoformat()


def inputs_digest(root: Path) -> str:
    """SHA-256 of everything a chapter computes from besides its own text.

    jupyter-cache looks at code cells alone: without this an edit of the package, another
    recording or an upgraded library would leave yesterday's outputs in the page.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    for path in _inputs(root):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    for name in sorted(requirement_names(root / "requirements.txt")):
        digest.update(f"{name}=={_version(name)}".encode())
    return digest.hexdigest()[:16]


def _inputs(root: Path) -> Iterator[Path]:
    yield root / "requirements.txt"
    yield from sorted((root / "ssl_companion").rglob("*.py"))
    yield from sorted((root / "ssl_companion/chapters/widgets/assets").glob("*/*"))
    yield from sorted(p for p in (root / "book/recordings").rglob("*") if p.is_file())


def requirement_names(path: Path) -> set[str]:
    """Names of the distributions that a requirements file lists."""
    lines = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in path.read_text().splitlines())
    return {match.group(0) for match in lines if match}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # another platform's, such as faiss-cpu
        return "absent"


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:  # no git: an unpacked archive
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
