"""What a build of the book is made from: version, date, address, and a digest of its inputs."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import ssl_companion


def footer(root: Path) -> str:
    """Version, commit and its date, as a line of HTML."""
    commit, _, day = _git(root, "log", "-1", "--format=%h %cs").partition(" ")
    built = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = day or time.strftime("%Y-%m-%d", time.gmtime(built))
    written = datetime.date.fromisoformat(day)
    source = f" (commit {commit})" if commit else ""
    return (
        f'<p class="companion-version">Version {ssl_companion.__version__}{source}, '
        f'<time datetime="{day}">{written.day} {written:%B %Y}</time></p>'
    )


def inputs_digest(root: Path) -> str:
    """SHA-256 of everything a chapter computes from besides its own text.

    jupyter-cache looks at code cells alone: without this an edit of the package, another
    recording or an upgraded library would leave yesterday's outputs in the page.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    for path in _inputs(root):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    required = (root / "requirements.txt").read_text("utf8")
    for name in sorted(set(re.findall(r"(?m)^[A-Za-z0-9][\w.-]*", required))):
        digest.update(f"{name}=={_version(name)}".encode())
    return digest.hexdigest()[:16]


def _inputs(root: Path) -> Iterator[Path]:
    yield root / "requirements.txt"
    yield from sorted((root / "ssl_companion").rglob("*.py"))
    yield from sorted((root / "ssl_companion/chapters/widgets/assets").glob("*/*"))
    yield from sorted((root / "book/assets").glob("photographs.*"))
    yield from sorted(p for p in (root / "book/recordings").rglob("*") if p.is_file())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # another platform's, such as faiss-cpu
        return "absent"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, perhaps without git
        return ""
