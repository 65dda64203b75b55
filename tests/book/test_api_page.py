"""Every public module of the package is on a page of the package, or is left out for a reason."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from chapter_source import toc

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "book").glob("api*.md"))

#: Modules that are not on the page (as patterns), and why.
LEFT_OUT = {
    "chapters.claims.*": "`claims` offers what there is to call",
    "data.*": "`data` offers what there is to call",
    "measures.*": "`measures` offers what there is to call",
    "recordings.*": "`recordings` offers what there is to call",
    "chapters": "no names of its own",
    "chapters.analysis": "no names of its own",
    "chapters.plots": "no names of its own",
    "chapters.widgets": "no names of its own",
    "encoders": "no names of its own",
    "io": "no names of its own",
    "presets": "no names of its own",
    "training": "no names of its own",
    "cli": "the command line: `ssl-companion --help` is its reference",
    "cli.*": "the command line: `ssl-companion --help` is its reference",
    "chapters.commands": "the command line: `ssl-companion --help` is its reference",
    "chapters.commands.*": "the command line: `ssl-companion --help` is its reference",
    "chapters.english": "words of other modules",
    "chapters.exercises.*": "checkers, one module a chapter, called by the chapters alone",
    "chapters.notebook": "prepares a page of the book, and is called at its top",
    "chapters.pages": "checks a page's parameters, and is called at its top",
    "chapters.plots.phone": "what `slider` draws anew for a narrow page",
    "chapters.plots.ticks": "labels of the axes of other plots",
    "chapters.widgets.static_slider": "a part of the slider",
    "encoders.checkpoints": "a part of `record` and of `recorder`",
    "encoders.encoding": "a part of `evaluate` and of `examine`",
    "encoders.inputs": "no names of its own",
    "encoders.inputs.labelled": "what `evaluate` and `record` accept",
    "encoders.inputs.samples": "a part of `record` and of `recorder`",
    "encoders.looks": "for the controls of `evaluate`",
    "encoders.networks": "no names of its own",
    "encoders.running": "no names of its own",
    "encoders.running.modules": "a part of `runner`",
    "encoders.subsets": "for `evaluate`, of many images",
    "io.*": "files, locks and provenance, for what writes",
    "presets.cluster": "for `ssl-companion record --cluster`",
    "presets.cluster_config": "for `ssl-companion record --cluster`",
    "presets.estimate": "for `ssl-companion record --dry-run` and `quick`",
    "training.batches": "a part of the training loop",
    "training.checkpoint": "a part of the training loop",
    "training.distributed": "a part of the training loop",
    "training.model": "a part of the training loop",
    "training.step": "a part of the training loop",
    "training.toy": "for `chapters.analysis.toy_objectives`",
}


def _public() -> set[str]:
    package = Path(ssl_companion.__file__).parent
    files = (file.relative_to(package).with_suffix("") for file in package.rglob("*.py"))
    names = {".".join(file.parts).removesuffix(".__init__") for file in files}
    return {name for name in names if not any(part.startswith("_") for part in name.split("."))}


def _listed() -> list[str]:
    text = "".join(page.read_text("utf8") for page in PAGES)
    return re.findall(r"automodule:: ssl_companion\.(\S+)", text)


def test_every_public_module_is_on_the_page_or_left_out_for_a_reason() -> None:
    absent = _public() - set(_listed())
    unsaid = [m for m in sorted(absent) if not any(fnmatch(m, known) for known in LEFT_OUT)]
    assert not unsaid, f"neither on a page book/api-*.md nor in LEFT_OUT: {unsaid}"


@pytest.mark.parametrize("pattern", LEFT_OUT)
def test_no_reason_outlives_its_module(pattern: str) -> None:
    assert any(fnmatch(name, pattern) for name in _public() - set(_listed()))


def test_the_page_lists_what_there_is_and_nothing_twice() -> None:
    assert len(_listed()) == len(set(_listed()))
    assert set(_listed()) <= _public()


def test_every_page_is_in_the_contents_and_none_is_of_all_rooms() -> None:
    assert {f"book/{page.stem}" for page in PAGES} <= {name for _, name in toc(ROOT)}
    front = (ROOT / "book/api.md").read_text("utf8")
    for page in PAGES:
        if page.stem != "api":
            assert f"{{doc}}`{page.stem}`" in front
            of = len(re.findall("automodule::", page.read_text("utf8")))
            assert 1 <= of <= len(_listed()) / 2


def test_what_a_reader_calls_is_on_the_page() -> None:
    assert {"encoders.evaluate", "chapters.quick", "training.snapshots", "training.config"} <= set(
        _listed()
    )
