"""Every notebook where Colab leaves its reader: torch and numpy there, the book not.

The environment has what this one has, through links, but for the package itself, FAISS, the
packages that only make pages, and ipywidgets, which is 7.7.1; of CUDA's libraries it has those
of its torch. A notebook starts in an empty
folder; the repository can be reached as a git remote only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
import sync
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ABSENT = {
    "ssl-companion", "faiss-gpu", "faiss-cpu", "tyro", "ipykernel", "ipywidgets",
    "widgetsnbextension",
    "jupyterlab-widgets", "jupyter-book", "jupytext", "sphinx-exercise", "pip", "setuptools",
}  # fmt: skip
WIDGETS = ("ipywidgets==7.7.1", "ipykernel<7", "ipython-genutils")
LIMIT = 60  # seconds for the first cell, as the instructor's guide says
RUN = """
import nbformat, sys, time
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(notebook, timeout=600, kernel_name="python3")
began = time.monotonic()
first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
client.on_cell_executed = lambda cell_index, **_: cell_index == first and print(
    f"the first cell took {time.monotonic() - began:.0f} s with the start of the kernel"
)
client.execute()
nbformat.write(notebook, sys.argv[2])
"""

pytestmark = pytest.mark.colab


def _requires(name: str) -> set[str]:
    """CUDA's libraries among what an installed distribution requires, on whatever platform."""
    try:
        names = {canonicalize_name(Requirement(r).name) for r in metadata.requires(name) or []}
    except metadata.PackageNotFoundError:
        return set()
    return {one for one in names if one.startswith("nvidia-")}


def _only_of_faiss() -> set[str]:
    """CUDA's libraries that are here for FAISS and not for torch."""
    found = _requires("faiss-gpu")
    return found.union(*map(_requires, found)) - _requires("torch")


def _links(target: Path) -> None:
    """The installed files of all distributions but the absent ones, as links."""
    absent = ABSENT | _only_of_faiss()
    for found in metadata.distributions():
        name = canonicalize_name(found.metadata["Name"] or "")
        if not name or name in absent or found.files is None:
            continue
        base = Path(str(found.locate_file("")))
        for top in {_top(file.parts) for file in found.files if file.parts[0] not in ("..", "/")}:
            if (base / top).exists() and not (target / top).exists():
                (target / top).parent.mkdir(exist_ok=True)
                (target / top).symlink_to(base / top)


def _top(parts: tuple[str, ...]) -> Path:
    """What is linked of a file's path: its first folder, below the one that CUDA's share."""
    return Path(*parts[: 2 if parts[0] == "nvidia" else 1])


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of such an environment."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    links = folder / "links"
    links.mkdir()
    _links(links)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / f"env/lib/{version}/site-packages/colab.pth").write_text(f"{links}\n")
    widgets = [str(python), "-m", "pip", "install", "-q", "--no-deps", *WIDGETS]
    if subprocess.run(widgets, capture_output=True).returncode:
        pytest.skip("no package index can be reached, and the first cell needs one")
    return python


def _distributions(python: Path) -> set[str]:
    """Names of all that is installed beside a Python."""
    code = "from importlib.metadata import distributions as d; print(*[x.name for x in d()])"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return {canonicalize_name(name) for name in done.stdout.split()}


def _versions(python: Path) -> str:
    code = "from importlib.metadata import version as v; print(*map(v, ['torch', 'numpy']))"
    command = [str(python), "-c", f"{code}; print(v('ipywidgets'))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def bare(colab: Path) -> Path:
    """The same without the book, which the notebook before may have installed."""
    remove = [str(colab), "-m", "pip", "uninstall", "-q", "-y", "ssl-companion"]
    subprocess.run(remove, capture_output=True, check=True)
    return colab


@pytest.mark.parametrize("chapter", sync.chapters(ROOT), ids=lambda chapter: chapter.stem)
def test_a_notebook_alone_runs_to_its_end(
    chapter: Path, bare: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before, there = _versions(bare), _distributions(bare)
    notebook = chapter.with_suffix(".ipynb")
    shutil.copy(notebook, tmp_path / notebook.name)
    hidden = ("SSL_COMPANION_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    environment |= {"SSL_COMPANION_REPOSITORY": ROOT.as_uri(), "SSL_COMPANION_CACHE": str(tmp_path)}
    done = subprocess.run(
        [str(bare), "-c", RUN, notebook.name, "run.ipynb"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    request.config.get_terminal_writer().line(f"\n{chapter.stem}: {done.stdout.strip()}")
    assert "device: " in (tmp_path / "run.ipynb").read_text()
    assert (tmp_path / "ssl-companion/book").is_dir(), "cloned beside the notebook"
    assert _versions(bare) == before, "torch, numpy and ipywidgets are left alone"
    if not torch.cuda.is_available():
        added = _distributions(bare) - there
        assert not [name for name in added if name.startswith("nvidia-")], "of no use without a GPU"
    if "frames(" in notebook.read_text():
        assert "SelectionSlider" in (tmp_path / "run.ipynb").read_text()
    seconds = int(re.findall(r"the first cell took (\d+) s", done.stdout)[0])
    if seconds >= LIMIT and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(f"the machine is too busy to time the first cell ({seconds} s)")
    assert seconds < LIMIT, "the guide says how long a class has to wait"
