"""Keep what is generated in step with what it is generated from.

    python book/_tools/sync.py                     write
    python book/_tools/sync.py --check             write nothing, fail where something differs
    python book/_tools/sync.py --repository URL    set the repository's address everywhere

From `_config.yml` (the repository's address), the package's version and `book/*.md` it makes:
the first cell of every chapter, the notebook of every chapter in plain Markdown with its
solutions folded away, the README's badges and the version in CITATION.cff. `--check` also fails
where the notebooks would clone an older book than they belong to: behind the tag of their version.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from address import repository_url, site_url
from plain_notebook import plain_notebook, references

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
SETUP_CELL = """\
REPOSITORY, RELEASE = "{url}", "v{version}"
try:
    import ssl_companion
except ModuleNotFoundError:  # alone, as on Colab: fetch the rest of the book
    import os, subprocess, sys
    source = os.environ.get("SSL_COMPANION_REPOSITORY", REPOSITORY)
    none = "There is no such REPOSITORY: correct the address"
    why = {{"/OWNER/": "REPOSITORY is a placeholder: put the book's address there",
           "unable to access": "No network reaches REPOSITORY: connect, run again",
           "could not create": "This folder cannot be written: move the notebook",
           "not exist": none, "not found": none, "not read": none, "": "git failed"}}
    plain = os.environ | {{"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}}
    for tag in ["--branch", RELEASE], []:  # before its release, the newest
        git = ["git", "clone", "--depth=1", *tag, "--", source, "ssl-companion"]
        done = subprocess.run(git, capture_output=True, text=True, env=plain)
        said = done.stderr + source
    if not os.path.isdir("ssl-companion/.git"):
        raise RuntimeError(next(why[s] for s in why if s in said) + f": {{said}}")
    sys.path.insert(0, os.path.abspath("ssl-companion"))
from ssl_companion.chapters import notebook
notebook.prepare()
"""
_CELL = re.compile(r"(```\{code-cell\}[^\n]*\n:tags: \[setup[^\n]*\n)(.*?)(```)", re.DOTALL)
_BADGES = re.compile(r"(<!-- badges -->\n).*?(<!-- /badges -->)", re.DOTALL)
_URL = re.compile(r"(?m)^(repository:\n  url: )(\S+)$")
_VERSION = re.compile(r"(?m)^(version: )(\S+)$")


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
    links = {page.stem: f"{site_url(url)}/book/{page.stem}.html" for page in root.glob("book/*.md")}
    book = references(root, links)
    cell = SETUP_CELL.format(url=url, version=ssl_companion.__version__)
    for page in chapters(root):
        text, found = _CELL.subn(lambda m: m[1] + cell + m[3], page.read_text("utf8"))
        if found != 1:
            raise ValueError(f"{page}: expected one code cell tagged setup, found {found}")
        yield page, text
        notebook = plain_notebook(page, text, book, solutions=True)
        yield page.with_suffix(".ipynb"), str(nbformat.writes(notebook)) + "\n"
    readme = root / "README.md"
    text, found = _BADGES.subn(lambda m: m[1] + badges(url) + m[2], readme.read_text("utf8"))
    if found != 1:
        raise ValueError(f"{readme}: expected one pair of badge markers, found {found}")
    yield readme, text
    citation = root / "CITATION.cff"
    yield citation, _VERSION.sub(rf"\g<1>{ssl_companion.__version__}", citation.read_text("utf8"))


def badges(url: str) -> str:
    """The README's badges for the repository at `url`."""
    slug = url.split("github.com/")[-1]
    colab = f"https://colab.research.google.com/github/{slug}/blob/main/book/introduction.ipynb"
    return (
        f"[![checks]({url}/actions/workflows/checks.yml/badge.svg)]"
        f"({url}/actions/workflows/checks.yml)\n"
        f"[![book](https://img.shields.io/badge/read-the%20book-0173b2)]({site_url(url)}/)\n"
        f"[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
    )


def behind_its_tag(root: Path = ROOT, version: str = ssl_companion.__version__) -> str:
    """What is wrong where the version has been released and this is another commit, or nothing."""

    def commit(name: str) -> str:
        command = ["git", "-C", str(root), "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    tag = f"v{version}"
    if commit(f"refs/tags/{tag}") in ("", commit("HEAD")):
        return ""
    return (
        f"{tag} is released and is another commit than this one, so the notebooks would clone that "
        "one: raise __version__ in ssl_companion/__init__.py, then `make notebooks`."
    )


def set_repository(url: str, root: Path = ROOT) -> None:
    """Write `url` into `_config.yml`.

    Raises:
        ValueError: when it is no address of a repository on GitHub (Colab opens no other).
    """
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(
            f"--repository {url!r}: expected https://github.com/<owner>/<name>, "
            "as in `make repository URL=https://github.com/<owner>/<name>`"
        )
    config = root / "_config.yml"
    config.write_text(_URL.sub(rf"\g<1>{url}", config.read_text("utf8")), encoding="utf8")


def main() -> int:
    """Write, or with --check compare; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    parser.add_argument("--repository", metavar="URL", help="set the repository's address first")
    options = parser.parse_args()
    if options.repository is not None:
        try:
            set_repository(options.repository.rstrip("/").removesuffix(".git"))
        except ValueError as error:
            parser.error(str(error))
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
    fault = behind_its_tag() if options.check else ""
    if fault:
        print(fault)
    return int(options.check and bool(stale or fault))


if __name__ == "__main__":
    sys.exit(main())
