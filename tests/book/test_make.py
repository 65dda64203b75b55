"""The Makefile's environment: made, made anew where it is half-made, with CUDA and without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"
# Makes environments of itself; with NO_ENSUREPIP it leaves them as Debian's without python3-venv.
PYTHON = f"""\
#!/bin/bash
case "$1 $2" in
  "-m venv")
    mkdir -p "$3/bin"; touch "$3/pyvenv.cfg"; cp "$0" "$3/bin/python"
    if [ "$NO_ENSUREPIP" ]; then echo "ensurepip is not available"; exit 1; fi
    touch "$3/bin/pip" ;;
  "-m pip")
    if [ ! -e "${{0%/*}}/pip" ]; then echo "No module named pip" >&2; exit 1; fi
    echo "pip ${{*:3}}" >> "$PIP_LOG" ;;
  *) exec {sys.executable} "$@" ;;
esac
"""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` reads of a checkout, and a stand-in for python3."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "bin/python3"
    python.parent.mkdir()
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    set_by_an_outer_make = ("MAKE", "MFLAGS", "CPU", "CONSTRAINTS", "PYTHON", "PIP_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(set_by_an_outer_make)}
    clean["PATH"] = f"{folder / 'bin'}{os.pathsep}{clean['PATH']}"
    clean |= {"PIP_LOG": str(folder / "pip.log")} | variables
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)


def pip_calls(folder: Path) -> list[str]:
    """What pip was asked to install so far."""
    lines = (folder / "pip.log").read_text().splitlines()
    return [line for line in lines if " install " in line]


def test_without_ensurepip_nothing_is_left_and_the_way_out_is_named(checkout: Path) -> None:
    done = make(checkout, ".venv/.book", NO_ENSUREPIP="yes")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()
    assert make(checkout, ".venv/.book").returncode == 0, "and then the same command works"


def test_a_half_made_environment_is_made_anew(checkout: Path) -> None:
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    shutil.copy(checkout / "bin/python3", python)
    left = checkout / ".venv/left"
    left.touch()
    done = make(checkout, ".venv/.book")
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    left.touch()
    again = make(checkout, ".venv/.book")
    assert "up to date" in again.stdout
    assert left.exists(), "one that is whole stays"


def test_with_cuda_unless_told_otherwise(checkout: Path) -> None:
    done = make(checkout, ".venv/.dev")
    assert done.returncode == 0, done.stderr
    assert re.search(r"about 8 GB.*CPU=1", done.stdout)
    book, package, tools = pip_calls(checkout)
    assert book.endswith("install -r requirements.txt")
    assert package.endswith("-q --no-deps -e .")
    assert tools.endswith("install -r requirements.txt -r requirements-dev.txt")


def test_the_lock_is_installed_as_it_stands_and_nothing_beside_it(checkout: Path) -> None:
    done = make(checkout, ".venv/.dev", "CONSTRAINTS=constraints.txt")
    assert done.returncode == 0, done.stderr
    lock = "install --no-deps --require-hashes -r constraints.txt"
    book, package, tools = pip_calls(checkout)
    assert book.endswith(lock)
    assert tools.endswith(lock)
    assert package.endswith("-q --no-deps --no-build-isolation -e ."), "its build tools are locked"
    done = make(checkout, ".venv/.dev", "CONSTRAINTS=constraints.txt", "CPU=1")
    assert done.returncode != 0
    assert "CONSTRAINTS=constraints.txt: it names wheels with CUDA" in done.stderr


def test_without_cuda_and_so_from_then_on(checkout: Path) -> None:
    done = make(checkout, ".venv/.book", "CPU=1")
    assert done.returncode == 0, done.stderr
    assert "about 2 GB" in done.stdout
    book, package = pip_calls(checkout)
    assert book.endswith(f"{CPU_WHEELS} -e .[train,plots,book]"), "the core has faiss-cpu"
    assert package.endswith("-q --no-deps -e .")
    done = make(checkout, ".venv/.dev")  # not said again
    assert done.returncode == 0, done.stderr
    tools = pip_calls(checkout)[-1]
    assert tools.endswith(f"{CPU_WHEELS} -e .[train,plots,book] -r requirements-dev.txt")


def test_an_environment_with_cuda_is_not_taken_for_one_without(checkout: Path) -> None:
    make(checkout, ".venv/.book")
    done = make(checkout, ".venv/.book", "CPU=1")
    assert done.returncode != 0
    assert "make clean-all" in done.stderr
    assert make(checkout, ".venv/.book", CPU="x86_64").returncode == 0, "as some shells export it"


def test_versions_for_everybody_are_not_taken_from_one_without_cuda(checkout: Path) -> None:
    make(checkout, ".venv/.book", "CPU=1")
    done = make(checkout, "constraints")
    assert done.returncode != 0
    assert "make clean-all" in done.stderr
    assert not (checkout / "constraints.txt").exists()


def test_workflows_call_targets_and_one_does_what_a_reader_does() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    commands = []
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            commands += [step["run"] for step in job["steps"] if "run" in step]
    called = [line.split() for line in commands if line.startswith("make ")]
    names = {word for _, *rest in called for word in rest if re.fullmatch(r"[a-z][a-z-]*", word)}
    assert {"test", "test-slow", "book", "lint"} <= names <= targets
    checks = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]
    legs = checks["test"]["strategy"]["matrix"]["include"]
    assert [leg["python"] for leg in legs if "cpu" not in leg], "one leg as `make test` is"
    assert not any("CPU" in step.get("run", "") for step in checks["book"]["steps"])
