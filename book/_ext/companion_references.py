"""The list of references in alphabetical order, each under the label that the text cites it by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle

STYLE = "companion"


class AuthorYearLabels(BaseLabelStyle):
    """Labels as the reference style "author_year" cites: "Chen et al., 2020"."""

    def format_labels(self, sorted_entries: Iterable[Any]) -> Iterator[str]:
        """A label for each entry; those that would be the same get "a", "b" and so on."""
        plain = [f"{_authors(entry)}, {entry.fields['year']}" for entry in sorted_entries]
        count, seen = Counter(plain), Counter[str]()
        for label in plain:
            yield label + (chr(ord("a") + seen[label]) if count[label] > 1 else "")
            seen[label] += 1


def _authors(entry: Any) -> str:
    names = [" ".join((*p.prelast_names, *p.last_names)) for p in entry.persons["author"]]
    names = [name.replace("{", "").replace("}", "") for name in names]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


class AuthorYear(Style):
    """Entries as in pybtex's "unsrt", sorted by author and year."""

    default_sorting_style = "author_year_title"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_style = AuthorYearLabels()
        self.format_labels = self.label_style.format_labels


def offer_style() -> None:
    """Let `bibtex_default_style` name this style."""
    register_plugin("pybtex.style.formatting", STYLE, AuthorYear)
