"""Sources, notebooks, badges and the table of contents agree with each other."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import sync
from chapter_source import toc

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sync.chapters(ROOT)


def test_nothing_generated_has_drifted() -> None:
    stale = [path.name for path, text in sync.generated(ROOT) if path.read_text("utf8") != text]
    assert not stale, "run `make notebooks` and commit what it writes"


def test_every_page_is_in_the_table_of_contents_and_there() -> None:
    listed = [page for _, page in toc(ROOT)]
    assert len(listed) == len(set(listed))
    assert {f"{name}.md" for name in listed} == {
        str(page.relative_to(ROOT)) for page in (ROOT / "book").glob("*.md")
    }


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_notebooks_carry_no_outputs(chapter: Path) -> None:
    cells = json.loads(chapter.with_suffix(".ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_the_setup_is_the_first_code_cell(chapter: Path) -> None:
    cells = json.loads(chapter.with_suffix(".ipynb").read_text())["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    assert "setup" in first["metadata"]["tags"]
    assert sync.repository_url(ROOT) in "".join(first["source"])


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_code_fits_the_page(chapter: Path) -> None:
    cells = re.findall(
        r"```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)```", chapter.read_text(), re.S
    )
    shown = [code for options, code in cells if "setup" not in options]
    long = [line for code in shown for line in code.splitlines() if len(line) > 84]
    assert not long, "longer lines scroll sideways in the page"


def test_every_diagram_is_shown_and_spoken_of() -> None:
    pages = {page.stem: page.read_text("utf8") for page in CHAPTERS}
    for drawing in ("views", "nearest_mean_and_width", "label_tree", "protocol"):
        assert any(f"diagrams.{drawing}(" in text for text in pages.values()), drawing
    shown = re.compile(r"(?s)^diagram\(\n.*?^    (?:.*, )?\"([a-z-]+)\",$", re.M)
    named = [(page, name) for page, text in pages.items() for name in shown.findall(text)]
    assert len(named) >= 4
    for page, name in named:
        assert f"{{numref}}`{name}`" in pages[page], f"{page} does not speak of {name}"


def test_the_repositorys_address_stands_in_one_place(tmp_path: Path) -> None:
    for name in ("_config.yml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("recordings"))
    old = sync.repository_url(tmp_path)
    sync.set_repository("https://github.com/somebody/their-fork", tmp_path)
    written = dict(sync.generated(tmp_path))
    for path, text in written.items():
        assert old not in text, f"{path.name} still has the old address"
    assert "github.com/somebody/their-fork" in written[tmp_path / "README.md"]
    others = [p for p in tmp_path.rglob("*.*") if p.is_file() and p not in written]
    assert [p.name for p in others if old in p.read_text("utf8", errors="ignore")] == []


def test_an_address_that_colab_cannot_open_is_refused() -> None:
    with pytest.raises(ValueError, match="expected https://github"):
        sync.set_repository("git@example.org:book.git", ROOT)


def test_the_lines_of_readme_and_page_are_the_same_and_measure_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = (
        (ROOT / name).read_text().split("```python\n")[1].split("```")[0]
        for name in ("README.md", "book/measure-your-encoder.md")
    )
    assert page == code
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(40) % 4)
    monkeypatch.chdir(tmp_path)
    exec(code, {"model": lambda x: x.flatten(1)})
    assert "permuted" in capsys.readouterr().out
    assert len([line for line in code.splitlines() if line]) <= 8
