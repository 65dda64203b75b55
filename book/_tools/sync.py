"""Keep what is generated in step with what it is generated from.

    python book/_tools/sync.py                     write
    python book/_tools/sync.py --check             write nothing, fail where something differs
    python book/_tools/sync.py --repository URL    set the repository's address everywhere

From `_config.yml` (the repository's address), the package's version and `book/*.md` it makes:
the first cell of every chapter, the paired notebook of every chapter, the README's badges and
the version in CITATION.cff.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
import yaml

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
SETUP_CELL = """\
REPOSITORY, RELEASE = "{url}", "v{version}"
try:
    import ssl_companion
except ModuleNotFoundError:  # this notebook alone, as on Colab: fetch the rest beside it
    import os, subprocess, sys

    source, folder = os.environ.get("SSL_COMPANION_REPOSITORY", REPOSITORY), "ssl-companion"
    for branch in (["--branch", RELEASE], []):  # before its release, the newest
        if not os.path.isdir(folder):
            command = ["git", "clone", "--depth", "1", *branch, source, folder]
            done = subprocess.run(command, capture_output=True, text=True)
    if not os.path.isdir(folder):
        raise RuntimeError(f"REPOSITORY has to name where the book is. {{done.stderr}}")
    sys.path.insert(0, os.path.abspath(folder))
from ssl_companion import notebook

notebook.prepare()
"""
_CELL = re.compile(r"(```\{code-cell\}[^\n]*\n:tags: \[setup[^\n]*\n)(.*?)(```)", re.DOTALL)
_BADGES = re.compile(r"(<!-- badges -->\n).*?(<!-- /badges -->)", re.DOTALL)
_URL = re.compile(r"(?m)^(repository:\n  url: )(\S+)$")
_VERSION = re.compile(r"(?m)^(version: )(\S+)$")


def repository_url(root: Path = ROOT) -> str:
    """The address that `_config.yml` names."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))
    return str(config["repository"]["url"]).rstrip("/")


def chapters(root: Path = ROOT) -> list[Path]:
    """The pages that are also notebooks."""
    pages = sorted((root / "book").glob("*.md"))
    return [page for page in pages if re.match(r"---\njupytext:", page.read_text("utf8"))]


def generated(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Every generated file with the text it should have.

    Raises:
        ValueError: for a chapter without a setup cell, or a README without its badge markers.
    """
    url = repository_url(root)
    cell = SETUP_CELL.format(url=url, version=ssl_companion.__version__)
    for page in chapters(root):
        text, found = _CELL.subn(lambda m: m[1] + cell + m[3], page.read_text("utf8"))
        if found != 1:
            raise ValueError(f"{page}: expected one code cell tagged setup, found {found}")
        yield page, text
        yield page.with_suffix(".ipynb"), notebook_text(text, page.stem)
    readme = root / "README.md"
    text, found = _BADGES.subn(lambda m: m[1] + badges(url) + m[2], readme.read_text("utf8"))
    if found != 1:
        raise ValueError(f"{readme}: expected one pair of badge markers, found {found}")
    yield readme, text
    citation = root / "CITATION.cff"
    yield citation, _VERSION.sub(rf"\g<1>{ssl_companion.__version__}", citation.read_text("utf8"))


def notebook_text(markdown: str, stem: str) -> str:
    """The paired notebook: no outputs, and names of cells that do not change by chance."""
    notebook = jupytext.reads(markdown, fmt="md:myst")
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{stem}-{index}"
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def badges(url: str) -> str:
    """The README's badges for the repository at `url`."""
    slug = url.split("github.com/")[-1]
    owner, name = slug.split("/")[:2]
    colab = f"https://colab.research.google.com/github/{slug}/blob/main/book/introduction.ipynb"
    return (
        f"[![checks]({url}/actions/workflows/checks.yml/badge.svg)]"
        f"({url}/actions/workflows/checks.yml)\n"
        f"[![book](https://img.shields.io/badge/read-the%20book-0173b2)]"
        f"(https://{owner.lower()}.github.io/{name}/)\n"
        f"[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
    )


def set_repository(url: str, root: Path = ROOT) -> None:
    """Write `url` into `_config.yml`.

    Raises:
        ValueError: when it is no address of a repository on GitHub (Colab opens no other).
    """
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"--repository {url}: expected https://github.com/<owner>/<name>")
    config = root / "_config.yml"
    config.write_text(_URL.sub(rf"\g<1>{url}", config.read_text("utf8")), encoding="utf8")


def main() -> int:
    """Write, or with --check compare; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    parser.add_argument("--repository", metavar="URL", help="set the repository's address first")
    options = parser.parse_args()
    if options.repository:
        set_repository(options.repository.rstrip("/").removesuffix(".git"))
    stale = [
        (path, text)
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf8") != text
    ]
    for path, text in stale:
        print(f"{'differs' if options.check else 'wrote'}: {path.relative_to(ROOT)}")
        if not options.check:
            path.write_text(text, encoding="utf8")
    if stale and options.check:
        print("Run `make notebooks` and commit what it writes.")
    return int(bool(stale and options.check))


if __name__ == "__main__":
    sys.exit(main())
