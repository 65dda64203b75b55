"""Another seed and another level in a chapter's first cell: the whole chapter follows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
import sync
import torch
from nbclient import NotebookClient

from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.data import Hierarchy, Level, load
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.record import record_encoder
from ssl_companion.recordings import MeasureConfig

ROOT = Path(__file__).resolve().parents[2]
OTHER_LEVEL = {"fine": "coarse", "coarse": "seven", "seven": "coarse"}


def parameters(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The cell that a reader is invited to change."""
    cells = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    return next(cells, None)


def changed(code: str) -> str:
    """The cell with another seed, and another level where it names one."""
    code = re.sub(r"^SEED = 0", "SEED = 1", code, flags=re.M)
    code = re.sub(r'^DATA, SEED = "auto", 0', 'DATA, SEED = "auto", 1', code, flags=re.M)
    level = r'^LEVEL = "(\w+)"'
    return re.sub(level, lambda m: f'LEVEL = "{OTHER_LEVEL[m[1]]}"', code, flags=re.M)


CHAPTERS = [
    chapter
    for chapter in sync.chapters(ROOT)
    if parameters(nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)) is not None
]


def test_every_finding_has_something_to_change() -> None:
    names = {chapter.stem for chapter in CHAPTERS}
    assert {"clusters-emerge", "the-regularizer", "compression", "time-and-depth"} <= names
    for chapter in CHAPTERS:
        cell = parameters(nbformat.read(chapter.with_suffix(".ipynb"), as_version=4))
        assert cell is not None
        assert changed(cell.source) != cell.source, f"{chapter.stem}: neither seed nor level"


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_the_chapter_follows(chapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    cell = parameters(notebook)
    assert cell is not None
    cell.source = changed(cell.source)
    run(notebook, monkeypatch)


def run(notebook: nbformat.NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute a page as a build does; it must not fail."""
    monkeypatch.setenv(BOOK_VARIABLE, "html")  # every value of every slider is drawn
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": ROOT / "book"}},
    )
    client.execute()
    outputs = json.dumps([c.get("outputs", []) for c in notebook.cells if c.cell_type == "code"])
    assert '"output_type": "error"' not in outputs


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of somebody's encoder, with levels of their own, as a recording."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(12, 16, 3, stride=2)
    )

    def checkpoints() -> Iterator[tuple[int, Callable[[torch.Tensor], dict[str, torch.Tensor]]]]:
        for epoch in (0, 2, 9):
            torch.manual_seed(epoch)
            for layer in network:
                if isinstance(layer, torch.nn.Conv2d):
                    layer.reset_parameters()
            yield epoch, lambda x: {"low": network[:2](x), "high": network(x).relu()}

    glyphs = load("glyphs100", "test").subset(20)
    fine, coarse, family, _ = glyphs.hierarchy.levels
    own = (fine, *(Level(new, one.class_names, one.of_fine)
                   for new, one in (("script", coarse), ("world", family))))  # fmt: skip
    folder = tmp_path_factory.mktemp("own") / "stranger"
    record_encoder(
        checkpoints(), glyphs.images, glyphs.fine, destination=folder, title="A stranger",
        hierarchy=Hierarchy("mine", own), sample_views=ViewConfig(), progress=False,
        config=MeasureConfig(keep="all", sample_images=100, sample_views=15, sample_fresh=5),
    )  # fmt: skip
    return folder


#: As `measure-your-encoder` says.
TAKES_STRANGERS = ("explorer", "clusters-emerge", "hierarchy", "time-and-depth",
                   "measuring-a-cluster", "compression")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("chapter", TAKES_STRANGERS)
def test_a_chapter_opens_somebodys_own_encoder(
    chapter: str, stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / f"book/{chapter}.ipynb"
    notebook = nbformat.read(page, as_version=4)
    cell = parameters(notebook)
    assert cell is not None
    own = re.sub(r"^RECORDING = .*", f"RECORDING = {str(stranger)!r}", cell.source, flags=re.M)
    own = re.sub(r'^LEVEL = "(coarse|seven).*', 'LEVEL = "script"', own, flags=re.M)
    own = re.sub(r'^(LEVELS = .*)"coarse"', r'\1"script"', own, flags=re.M)
    assert own != cell.source
    cell.source = own
    run(notebook, monkeypatch)


def test_the_page_names_the_chapters_that_take_strangers() -> None:
    text = (ROOT / "book/measure-your-encoder.md").read_text("utf8")
    place = text[text.index('Then set `RECORDING = "my-recordings/mine"`') :]
    named = re.findall(r"\{doc\}`([\w-]+)`", place[: place.index("and run the page")])
    assert sorted(named) == sorted(TAKES_STRANGERS)
