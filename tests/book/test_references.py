"""References stand in the order of their authors, under the labels that the text cites them by."""

from __future__ import annotations

from pathlib import Path

import companion_references
import yaml
from pybtex.database import BibliographyData, parse_file, parse_string
from pybtex.plugin import find_plugin

ROOT = Path(__file__).resolve().parents[2]
NO_YEAR = "@misc{{k{n}, author = {{{author}}}, title = {{T{n}}}, year = {{2020}}}}"


companion_references.offer_style()


def labels(data: BibliographyData) -> list[str]:
    style = find_plugin("pybtex.style.formatting", companion_references.STYLE)()
    return [entry.label for entry in style.format_bibliography(data)]


def test_labels_are_those_of_the_text_and_sorted() -> None:
    found = labels(parse_file(str(ROOT / "book/references.bib"), "bibtex"))
    assert "Ben-Shaul et al., 2023" in found
    assert "Efron and Tibshirani, 1993" in found
    assert "Krizhevsky, 2009" in found
    assert found == sorted(found, key=str.lower)
    assert len(set(found)) == len(found)


def test_labels_that_would_be_the_same_are_distinguished() -> None:
    authors = ["Doe, Ann", "Doe, Ann", "Roe, Bo and Lee, Cy and Poe, Di"]
    given = "\n".join(NO_YEAR.format(n=n, author=author) for n, author in enumerate(authors))
    assert labels(parse_string(given, "bibtex")) == ["Doe, 2020a", "Doe, 2020b", "Roe et al., 2020"]


def test_the_book_is_built_with_this_style() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["sphinx"]["config"]
    assert config["bibtex_default_style"] == companion_references.STYLE
    assert config["bibtex_reference_style"] == "author_year"
