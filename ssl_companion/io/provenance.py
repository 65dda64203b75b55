"""Where a result comes from: commit, versions, device."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import ssl_companion
from ssl_companion.io.extras import checkout

COMMIT_VARIABLE = "SSL_COMPANION_COMMIT"

_NAMED = re.compile(r"([0-9a-f]{7,64}) (clean|changed)")
_PACKAGES = ("torch", "torchvision", "numpy", "faiss-gpu", "faiss-cpu", "scikit-learn", "pandas")


def git_commit(folder: str | Path | None = None) -> dict[str, Any]:
    """`{"commit": ..., "clean": ...}` of the checkout that holds the package.

    `clean` says whether the package's own modules are as committed: none changed, none added
    (ignored files and notes beside them do not count). A copy without a history has what
    SSL_COMPANION_COMMIT says of it, "<hash> clean" or "<hash> changed"; where there is a
    checkout, that is not read. `commit` is None where neither knows.

    Raises:
        ValueError: there is no checkout, and the variable says something else.
    """
    if folder is None:
        if checkout() is None:  # installed; what has a history there is somebody's own project
            return _named()
        folder = Path(ssl_companion.__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return _named()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    added = git("ls-files", "--others", "--exclude-standard", "--", "*.py")
    return {"commit": commit, "clean": changed == "" and added == ""}


def _named() -> dict[str, Any]:
    """What the environment says of a copy without a history."""
    value = os.environ.get(COMMIT_VARIABLE, "")
    if not value:
        return {"commit": None, "clean": False}
    if not (match := _NAMED.fullmatch(value)):
        raise ValueError(
            f"{COMMIT_VARIABLE}: {value!r}; expected '<hash> clean' or '<hash> changed', the "
            "hash in 7 to 64 hexadecimal digits"
        )
    return {"commit": match[1], "clean": match[2] == "clean"}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version(), "ssl-companion": ssl_companion.__version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def device_name(device: torch.device) -> str:
    """The device in words: a GPU's product name, or the processor and the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    threads = torch.get_num_threads()
    return f"CPU ({model}, {threads} thread{'s' * (threads != 1)})"
