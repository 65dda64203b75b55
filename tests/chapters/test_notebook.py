"""The first cell on a machine that has torch but not the rest: install, replace nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from ssl_companion.chapters import notebook

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
COLAB = {"torch": "2.6.0+cu124", "numpy": "2.0.2", "faiss-cpu": "1.9.0"}


def test_the_requirements_are_the_packages_not_the_books() -> None:
    names = {r.name for r in notebook.notebook_requirements(REQUIREMENTS.read_text())}
    assert {"torch", "numpy", "tyro", "umap-learn", "seaborn"} <= names
    assert not {"jupyter-book", "jupytext", "sphinx-exercise"} & names
    assert len(names & {"faiss-cpu", "faiss-gpu"}) == 1, "the marker chose one"


def test_only_what_is_absent_is_missing() -> None:
    wanted = [Requirement(r) for r in ("torch>=2.6", "numpy>=1.26", "tyro>=0.9", "faiss-gpu>=1.14")]
    lacking = notebook.missing(wanted, COLAB.get)
    assert [r.name for r in lacking] == ["tyro"], "faiss-cpu gives faiss as well"


def test_an_installed_version_too_old_is_reported_not_replaced() -> None:
    with pytest.raises(notebook.SetupError, match=r"torch 2\.5\.0 is installed.*left alone"):
        notebook.missing([Requirement("torch>=2.6")], {"torch": "2.5.0"}.get)


def test_colabs_versions_satisfy_every_range() -> None:
    colab = {
        "torch": "2.6.0", "torchvision": "0.21.0", "numpy": "2.0.2", "pandas": "2.2.2",
        "scipy": "1.15.2",
        "pyarrow": "18.1.0", "tqdm": "4.67.1", "scikit-learn": "1.6.1", "matplotlib": "3.10.0",
        "seaborn": "0.13.2", "ipywidgets": "7.7.1", "umap-learn": "0.5.7", "pillow": "11.1.0",
        "safetensors": "0.5.3", "packaging": "24.2", "filelock": "3.18.0", "platformdirs": "4.3.7",
        "threadpoolctl": "3.6.0",
    }  # fmt: skip
    wanted = notebook.notebook_requirements(REQUIREMENTS.read_text())
    assert {r.name for r in notebook.missing(wanted, colab.get)} <= {
        "tyro", "faiss-gpu", "faiss-cpu",
    }  # fmt: skip


def test_everything_installed_is_held_while_the_rest_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[str] = []
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        commands.append(command)
        with open(command[command.index("-c") + 1]) as file:
            held.extend(file.read().splitlines())
        clash = any(name.startswith("faiss-gpu") for name in command)
        return subprocess.CompletedProcess(command, int(clash), "", "conflict")

    monkeypatch.setattr(notebook.subprocess, "run", run)
    done = notebook._install([Requirement("faiss-gpu>=1.14"), Requirement("tyro>=0.9")])
    assert [r.name for r in done] == ["faiss-cpu", "tyro"]
    assert any(line.lower().startswith("torch==") for line in held)
    assert any(line.lower().startswith("numpy==") for line in held)
    assert commands[0][-2:] == ["faiss-gpu>=1.14", "tyro>=0.9"]
    assert commands[1][-2:] == ["faiss-cpu>=1.14", "tyro>=0.9"], "where CUDA's libraries clash"


@pytest.mark.parametrize(("cuda", "asked"), [(True, "faiss-gpu>=1.14"), (False, "faiss-cpu>=1.14")])
def test_without_a_gpu_its_libraries_are_not_asked_for(
    cuda: bool, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    there = {"torch": "2.6.0", "ssl-companion": "0"}
    wanted = [Requirement("torch>=2.6"), Requirement("faiss-gpu>=1.14")]
    monkeypatch.setattr(notebook, "notebook_requirements", lambda _: wanted)
    monkeypatch.setattr(notebook, "_installed_version", there.get)
    monkeypatch.setattr(notebook, "_has_cuda", lambda: cuda)
    monkeypatch.setattr(notebook, "_pip", lambda *arguments: commands.append(arguments))
    assert notebook.prepare().installed == (asked.split(">")[0],)
    assert [command[-1] for command in commands] == [asked]


def _distribution(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_of_two_copies_the_one_that_is_imported_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _distribution(tmp_path / "first", "Some_Package", "2.0")
    _distribution(tmp_path / "second", "some-package", "1.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert notebook._all_installed() == [("some-package", "2.0")]


@pytest.mark.parametrize("backport", [False, True])
def test_a_version_that_pip_refuses_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backport: bool
) -> None:
    if backport:  # whose finder answers for the standard library's as soon as it is imported
        pytest.importorskip("importlib_metadata")
    _distribution(tmp_path, "local", "2.6.0+cu124")
    _distribution(tmp_path, "strange", "1.0-unknown-build")
    (tmp_path / "torn-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert notebook._all_installed() == [("local", "2.6.0+cu124")]


def test_a_failing_pip_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "No matching distribution")
    monkeypatch.setattr(notebook.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(notebook.SetupError, match="No matching distribution"):
        notebook._install([Requirement("tyro>=0.9")])


def test_a_package_without_the_book_is_told_from_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "checkout", lambda: None)
    with pytest.raises(notebook.SetupError, match=r"without the book's recordings: `pip uninst"):
        notebook.prepare()


def test_a_complete_environment_installs_nothing_and_names_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing is missing, pip must not run")

    monkeypatch.setattr(notebook, "_pip", refuse)
    setup = notebook.prepare()
    assert setup.installed == ()
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in repr(setup)
    assert "device: " in repr(setup)
