"""The repository's address: the one in `_config.yml`, or the one that a build runs from."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

UNSET_OWNER = "OWNER"  # stands in _config.yml until somebody publishes the book
GITHUB = "https://github.com"  # Colab opens notebooks from nowhere else, and Pages serves these
BRANCH = "notebooks"  # where the publish workflow puts the notebooks of a book as it was built


@dataclass(frozen=True)
class Address:
    """Where the book's repository is.

    Attributes:
        configured: as `_config.yml` has it, a placeholder perhaps; committed notebooks hold it.
        url: the same, or what was found in its place; empty where nothing is known.
    """

    configured: str
    url: str

    @property
    def derived(self) -> bool:
        """Whether it stands nowhere in the sources, so that what is committed names another."""
        return bool(self.url) and self.url != self.configured

    def written(self, text: str) -> str:
        """A page or notebook of the sources, with the address in place of the placeholder."""
        if not self.derived:
            return text
        text = text.replace(site_url(self.configured), site_url(self.url))
        return text.replace(self.configured, self.url)


def repository_url(root: Path) -> str:
    """The address that `_config.yml` names."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))
    return str(config["repository"]["url"]).rstrip("/")


def site_url(url: str) -> str:
    """Where the book of the repository at `url` is published."""
    owner, name = url.split("github.com/")[-1].split("/")[:2]
    return f"https://{owner.lower()}.github.io/{name}"


def address(root: Path, configured: str | None = None) -> Address:
    """Of the book in `root`: configured, else of the CI that runs, else of the remote `origin`.

    The last two count on github.com alone. So a fork's book is right without a step by hand.

    Args:
        root: of the repository.
        configured: by default what `_config.yml` says.
    """
    configured = repository_url(root) if configured is None else configured
    if f"/{UNSET_OWNER}/" not in configured:
        return Address(configured, configured)
    slug = os.environ.get("GITHUB_REPOSITORY")
    if slug and os.environ.get("GITHUB_SERVER_URL", GITHUB) == GITHUB:
        return Address(configured, f"{GITHUB}/{slug}")
    match = re.search(r"(?:@|//)github\.com[:/]+([\w.-]+/[\w.-]+?)(\.git)?/?$", _origin(root))
    return Address(configured, f"{GITHUB}/{match[1]}" if match else "")


def _origin(root: Path) -> str:
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git: an unpacked archive
        return ""
