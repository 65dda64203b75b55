"""The wheel by itself: what it asks for, what it carries, and what works with no checkout near.

Installed without its dependencies into a folder of its own, on the path of this Python: what these
bring is the same. That the core works with nothing else is what CI's job `wheel` shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "--backbone", "res-1-4", "--epochs", "1", "--projector-width", "8", "--batch", "50",
    "--images-per-class", "5", "--threads", "1", "--measure.sample-images", "4",
    "--measure.sample-views", "2", "--measure.sample-fresh", "1", "--measure.no-probes",
    "--measure.keep-test", "2",
]  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves a folder `build` where it works."""
    source = tmp_path_factory.mktemp("source")
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ssl_companion", source / "ssl_companion", ignore=caches)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "made", "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    if "Could not find a version" in done.stderr:
        pytest.skip("no package index can be reached, and a build needs setuptools from there")
    assert done.returncode == 0, done.stderr[-3000:]
    return next((source / "made").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it was installed to."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return target


def test_it_asks_for_nothing_that_draws_or_builds_pages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        about = message_from_string(archive.read(name).decode())
    core, extras = set(), set(about.get_all("Provides-Extra", []))
    for one in map(Requirement, about.get_all("Requires-Dist", [])):
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            core.add(one.name)
    assert extras == {"train", "plots", "book", "gpu", "cluster", "dev"}
    assert {"torch", "faiss-cpu", "safetensors"} <= core
    drawn_or_built = ("sphinx", "jupyter", "matplotlib", "seaborn", "nb", "ipy", "pytest")
    assert not [name for name in core if name.startswith(drawn_or_built)]


def test_it_carries_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "ssl_companion"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert carried == {name for name in listed if (ROOT / name).exists()}
    assert "ssl_companion/py.typed" in carried


def files(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


def test_measure_train_list_and_explore_with_no_checkout_near(
    installed: Path, tmp_path: Path
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SSL_COMPANION_")}
    environment |= {
        "PYTHONPATH": str(installed),
        "SSL_COMPANION_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    empty = tmp_path / "empty"
    empty.mkdir()

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)

    def companion(*arguments: str) -> str:
        done = python("-m", "ssl_companion", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    before = files(installed)
    where = python("-c", "import ssl_companion.measures as m; print(m.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed), "not the package of the checkout"
    y = np.repeat(np.arange(4), 30)
    x = np.random.default_rng(0).normal(size=(120, 6)) + 4 * np.eye(4, 6)[y]
    np.save(empty / "X.npy", x)
    np.save(empty / "y.npy", y)
    assert "permuted" in companion("measure-features", "X.npy", "y.npy", "--which", "ncc")
    none = python("-m", "ssl_companion", "measure", "clustering-vicreg-s0")
    assert none.returncode == 2
    assert "come with a clone" in none.stderr
    companion("train", "--data", "glyphs100", "--name", "mine", *TINY)
    assert "mine" in companion("recordings")
    assert companion("explore", "mine").strip() == "mine.html"
    assert "<script>" in (empty / "mine.html").read_text("utf8")
    assert {p.name for p in empty.iterdir()} == {
        "X.npy", "y.npy", "runs", "recordings", "mine.html",
    }  # fmt: skip
    assert files(installed) == before, "nothing is written beside the package"
