"""Which book a notebook clones: its release, and the newest where there is none yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sync

from ssl_companion.chapters import notebook

CELL = sync.SETUP_CELL.format(url="https://example.invalid/none", version="1.2.0")
CLONE = CELL.split("from ssl_companion.chapters import notebook")[0]


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository with two commits, `old` and `new`."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet")
    for name in ("old", "new"):
        git(work, "commit", "--quiet", "--allow-empty", "-m", name)
    git(tmp_path, "clone", "--quiet", "--bare", "work", "remote.git")
    return tmp_path / "remote.git"


def cloned(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The part of the first cell that clones, in a Python that has no packages."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", CLONE],
        cwd=folder, env=os.environ | {"SSL_COMPANION_REPOSITORY": source},
        capture_output=True, text=True,
    )  # fmt: skip


def subject(folder: Path) -> str:
    return git(folder / "ssl-companion", "log", "-1", "--format=%s")


@pytest.mark.parametrize("annotated", [False, True])
def test_the_release_is_cloned_and_named(annotated: bool, remote: Path, tmp_path: Path) -> None:
    git(remote, "tag", *(["-a", "-m", "it"] if annotated else []), "v1.2.0", "main~1")
    done = cloned(remote.as_uri(), tmp_path / "reader")
    assert done.returncode == 0, done.stderr
    assert subject(tmp_path / "reader") == "old"
    again = cloned("https://example.invalid/none", tmp_path / "reader")
    assert again.returncode == 0, "what is there already is not fetched again"


def test_before_its_release_the_newest_is_cloned(remote: Path, tmp_path: Path) -> None:
    git(remote, "tag", "v1.1.0", "main~1")
    done = cloned(remote.as_uri(), tmp_path / "reader")
    assert done.returncode == 0, done.stderr
    assert subject(tmp_path / "reader") == "new"


@pytest.mark.parametrize(
    ("version", "said"), [("1.2.0", "v1.2.0 of {}"), ("1.3.0", "v1.2.0 of {}, the newest: no rel")]
)
def test_what_was_cloned_is_named(
    version: str, said: str, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(remote, "tag", "v1.2.0", "main")
    assert cloned(remote.as_uri(), tmp_path / "reader").returncode == 0
    monkeypatch.setattr(notebook.ssl_companion, "__version__", version)
    line = notebook._cloned(tmp_path / "reader/ssl-companion")
    assert line.startswith(said.format(remote.as_uri()))
    assert ("newest" in line) == (version != "1.2.0")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{}/nothing.git", "There is no such REPOSITORY: correct the address: "),
        (
            "https://example.invalid/none",
            "No network reaches REPOSITORY: connect, run again: ",
        ),
        ("{}/OWNER/book", "REPOSITORY is a placeholder: put the book's address there: "),
        ("", "There is no such REPOSITORY: correct the address: "),
    ],
)
def test_each_failure_says_what_to_do(source: str, said: str, tmp_path: Path) -> None:
    done = cloned(source.format(tmp_path.as_uri()), tmp_path / "reader")
    assert f"RuntimeError: {said}" in done.stderr
    assert not (tmp_path / "reader/ssl-companion").exists()


def test_a_folder_that_cannot_be_written_is_told_apart(remote: Path, tmp_path: Path) -> None:
    reader = tmp_path / "reader"
    reader.mkdir()
    (reader / "ssl-companion").symlink_to(tmp_path / "absent/elsewhere")  # root may write anywhere
    done = cloned(remote.as_uri(), reader)
    assert "RuntimeError: This folder cannot be written: move the notebook: " in done.stderr


def test_a_folder_of_something_else_is_said_to_be_in_the_way(remote: Path, tmp_path: Path) -> None:
    notes = tmp_path / "reader/ssl-companion/notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    done = cloned(remote.as_uri(), tmp_path / "reader")
    assert (
        "RuntimeError: git failed: fatal: destination path 'ssl-companion' already" in done.stderr
    )
    assert notes.read_text() == "mine"


@pytest.mark.parametrize("language", ["de_DE.UTF-8", "C"])
def test_git_is_asked_in_one_language_and_never_asks_back(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text('#!/bin/sh\necho "$LC_ALL $GIT_TERMINAL_PROMPT not found" >&2; exit 128\n')
    git.chmod(0o755)
    monkeypatch.setenv("LC_ALL", language)
    monkeypatch.setenv("PATH", f"{git.parent}{os.pathsep}{os.environ['PATH']}")
    done = cloned("https://example.invalid/none", tmp_path / "reader")
    assert "There is no such REPOSITORY: correct the address: C 0 not found" in done.stderr


def test_an_address_cannot_be_an_option(remote: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    # As an option it would leave the folder's name for the address, and this is found by it.
    git(tmp_path, "clone", "--quiet", "--bare", str(remote), "reader/ssl-companion.git")
    done = cloned(f"--upload-pack=touch {mark};false", tmp_path / "reader")
    assert done.returncode != 0
    assert not mark.exists()


def test_the_cell_is_short() -> None:
    lines = CELL.splitlines()
    assert len(lines) <= 21
    assert max(map(len, lines)) <= 84


def test_a_version_is_raised_behind_its_release(remote: Path) -> None:
    assert sync.behind_its_tag(remote, "1.2.0") == "", "not released yet"
    git(remote, "tag", "v1.2.0", "main")
    assert sync.behind_its_tag(remote, "1.2.0") == "", "the release itself"
    git(remote, "tag", "-f", "-a", "-m", "it", "v1.2.0", "main~1")
    assert "raise __version__" in sync.behind_its_tag(remote, "1.2.0")
    assert sync.behind_its_tag(remote, "1.3.0") == ""


def test_the_check_fails_behind_a_release(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "generated", lambda: iter(()))
    monkeypatch.setattr(sync, "behind_its_tag", lambda: "v1 is released")
    monkeypatch.setattr(sys, "argv", ["sync.py", "--check"])
    assert sync.main() == 1
    assert capsys.readouterr().out == "v1 is released\n"
    monkeypatch.setattr(sys, "argv", ["sync.py"])
    assert sync.main() == 0, "writing is how it is mended"


@pytest.mark.parametrize("url", ["", "git@example.org:book.git"])
def test_no_address_of_a_repository_is_an_error_and_writes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "generated", lambda: pytest.fail("must not come to writing"))
    monkeypatch.setattr(sys, "argv", ["sync.py", "--repository", url])  # as `make repository` does
    with pytest.raises(SystemExit) as left:
        sync.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert f"--repository '{url.removesuffix('.git')}'" in said
    assert "make repository URL=https://github.com/<owner>/<name>" in said
