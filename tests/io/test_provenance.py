"""Commit, versions and device, as they are."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_companion.io import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a package in it."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return package


def test_a_clean_checkout(checkout: Path) -> None:
    expected = {"commit": git(checkout, "rev-parse", "HEAD"), "clean": True}
    assert provenance.git_commit(checkout) == expected
    (checkout.parent / "notes.txt").write_text("two\n")
    assert provenance.git_commit(checkout) == expected  # beside the package


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_package(checkout: Path, staged: bool) -> None:
    (checkout / "module.py").write_text("x = 2\n")
    if staged:
        git(checkout, "add", "module.py")
    found = provenance.git_commit(checkout)
    assert found == {"commit": git(checkout, "rev-parse", "HEAD"), "clean": False}


def test_a_module_that_git_does_not_know(checkout: Path) -> None:
    (checkout / "notes.log").write_text("no module\n")
    assert provenance.git_commit(checkout)["clean"]
    (checkout / "other.py").write_text("y = 1\n")
    assert not provenance.git_commit(checkout)["clean"]


HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit in the environment, but where a test names one."""
    monkeypatch.delenv("SSL_COMPANION_COMMIT", raising=False)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in no checkout."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_outside_a_checkout(value: str | None, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("SSL_COMPANION_COMMIT", value)
    assert provenance.git_commit(copy) == {"commit": None, "clean": False}


@pytest.mark.parametrize(("word", "clean"), [("clean", True), ("changed", False)])
def test_a_copy_is_told_its_commit(
    word: str, clean: bool, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_COMMIT", f"{HASH} {word}")
    assert provenance.git_commit(copy) == {"commit": HASH, "clean": clean}


@pytest.mark.parametrize(
    "value", [HASH, "clean", " clean", f"{HASH} dirty", f"{HASH}  clean", "main clean", "abc clean"]
)
def test_a_commit_in_another_form_is_refused(
    value: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_COMMIT", value)
    message = f"^SSL_COMPANION_COMMIT: {value!r}; expected '<hash> clean' or '<hash> changed'"
    with pytest.raises(ValueError, match=message):
        provenance.git_commit(copy)


@pytest.mark.parametrize("value", [f"{HASH} clean", "nonsense"])
def test_a_checkout_knows_better(
    value: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_COMMIT", value)
    expected = {"commit": git(checkout, "rev-parse", "HEAD"), "clean": True}
    assert provenance.git_commit(checkout) == expected


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.git_commit(checkout) == {"commit": None, "clean": False}


def test_versions() -> None:
    found = provenance.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert {"torch", "ssl-companion", "scikit-learn"} <= found.keys()
    assert {"faiss-gpu", "faiss-cpu"} & found.keys()


def test_the_device_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    name = provenance.device_name(torch.device("cpu"))
    assert name.startswith("CPU (")
    assert name.endswith(f", {threads} thread{'s' * (threads != 1)})")
    assert len(name) > len(f"CPU (, {threads} threads)")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"A GPU {device.index}")
    assert provenance.device_name(torch.device("cuda:1")) == "A GPU 1"
