"""The repository's address: configured, of the CI that runs, of the remote, or none."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import address
import companion_repository
import pytest
import student
import sync
from plain_notebook import references

ROOT = Path(__file__).resolve().parents[2]
UNSET = "https://github.com/OWNER/ssl-companion"


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)


def book(folder: Path, url: str = UNSET, remote: str = "") -> Path:
    (folder / "_config.yml").write_text(f"repository:\n  url: {url}\n")
    if remote:
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        add = ["git", "-C", str(folder), "remote", "add", "origin", remote]
        subprocess.run(add, check=True)
    return folder


def test_what_is_configured_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/book")
    found = address.address(book(tmp_path, "https://github.com/me/mine", "git@github.com:a/b.git"))
    assert (found.url, found.derived) == ("https://github.com/me/mine", False)
    assert found.written(f"{UNSET} https://github.com/me/mine") == f"{UNSET} {found.url}"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("https://github.com", "https://github.com/fork/book"),
        ("https://git.example.org", "https://github.com/them/theirs"),
    ],
)
def test_then_where_ci_runs(
    server: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/book")
    monkeypatch.setenv("GITHUB_SERVER_URL", server)
    found = address.address(book(tmp_path, remote="https://github.com/them/theirs"))
    assert (found.url, found.derived) == (url, True)


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@github.com:them/theirs.git", "https://github.com/them/theirs"),
        ("https://github.com/them/theirs/", "https://github.com/them/theirs"),
        ("https://token@github.com/them/the.irs.git", "https://github.com/them/the.irs"),
        ("ssh://git@github.com/them/theirs", "https://github.com/them/theirs"),
        ("https://notgithub.com/them/theirs", ""),
        ("/somewhere/github.com/them/theirs", ""),
        ("", ""),
    ],
)
def test_then_the_remote_on_github(remote: str, url: str, tmp_path: Path) -> None:
    assert address.address(book(tmp_path, remote=remote)).url == url


def test_it_is_written_into_cells_and_links_of_the_book() -> None:
    page = sync.chapters(ROOT)[0]
    fork = address.Address(UNSET, "https://github.com/Some-One/their-book")
    for path in (page, page.with_suffix(".ipynb")):
        text = fork.written(path.read_text("utf8"))
        assert fork.url in text
        assert UNSET not in text
        assert address.site_url(UNSET) not in text
    none = address.Address(UNSET, "")
    assert none.written(f"at {UNSET}") == f"at {UNSET}"


def test_the_student_edition_of_a_fork_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/book")
    made = student.student_notebook(sync.chapters(ROOT)[0], references(ROOT, {}))
    if "/OWNER/" in address.repository_url(ROOT):
        assert "https://github.com/fork/book" in made


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("", []),
        (UNSET, ["https://colab/github/a/b/blob/main/book/x.ipynb"]),
        ("https://github.com/a/b", ["https://colab/github/a/b/blob/notebooks/book/x.ipynb"]),
    ],
)
def test_colab_opens_notebooks_that_hold_the_address(url: str, links: list[str]) -> None:
    link = {"url": "https://colab/github/a/b/blob/main/book/x.ipynb"}
    context = {"header_buttons": [{"label": "launch-buttons", "buttons": [link]}, {"label": "x"}]}
    theme = {"repository_branch": "main"}
    config = SimpleNamespace(
        companion_address=address.Address(UNSET, url), html_theme_options=theme
    )
    app = SimpleNamespace(config=config)
    companion_repository.leave_out_or_lead(app, "x", "page.html", context, None)  # type: ignore[arg-type]
    left = context["header_buttons"]
    assert left[-1] == {"label": "x"}
    assert [one["url"] for group in left[:-1] for one in group["buttons"]] == links  # type: ignore[attr-defined]
