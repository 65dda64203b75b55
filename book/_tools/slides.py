"""A deck of slides for every chapter, from the figures and words of the built book.

    python book/_tools/slides.py                    _build/html -> _build/slides
    python book/_tools/slides.py --site S --out O   from and to other folders

Each deck is one HTML file that asks for no other, and `index.html` lists them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro
from chapter_source import built_pages
from deck import Deck, questions_of, read_deck
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import ssl_companion
from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "book/teaching"
# Headings, words and figures of the built book are HTML already.
_THEME = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "slides_theme"),
    undefined=StrictUndefined,
    trim_blocks=True,
    autoescape=False,
)


def build(site: Path, out: Path, root: Path = ROOT) -> list[Deck]:
    """Write the decks of all chapters of a built book, and their index.

    Args:
        site: the folder of the built book.
        out: where the decks go; what else is there stays.
        root: of the repository, for the order of the chapters.

    Raises:
        FileNotFoundError: when the book, or one of its pages, has not been built.
    """
    guide = site / f"{GUIDE}.html"
    questions = guide.read_text("utf8") if guide.exists() else ""
    found = (
        read_deck(page.read_text("utf8"), page.stem, questions_of(questions, page.stem))
        for _, page in built_pages(site, root)
    )
    decks = [deck for deck in found if deck]
    version = ssl_companion.__version__
    written = {f"{deck.name}.html": deck_page(deck) for deck in decks}
    index = _THEME.get_template("index.html").render(decks=decks, version=version)
    for name, text in {**written, "index.html": index}.items():
        with atomic_file(out / name) as file:
            file.write_text(text, encoding="utf8")
    return decks


def deck_page(deck: Deck) -> str:
    """A deck as one HTML file."""
    return _THEME.get_template("deck.html").render(deck=deck)


def main(site: Path = ROOT / "_build/html", out: Path = ROOT / "_build/slides") -> None:
    """Write a deck of slides for every chapter of the built book.

    Args:
        site: folder of the built book.
        out: folder for the decks.
    """
    try:
        decks = build(site, out)
    except FileNotFoundError as error:
        sys.exit(str(error))
    print(f"{len(decks)} decks: {(out / 'index.html').resolve().as_uri()}")


if __name__ == "__main__":
    tyro.cli(main)
