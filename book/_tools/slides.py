"""A deck of slides for every chapter, from the figures and words of the built book.

    python book/_tools/slides.py                    _build/html -> _build/slides
    python book/_tools/slides.py --site S --out O   from and to other folders

Each deck is one HTML file that asks for no other, and `index.html` lists them.
"""

from __future__ import annotations

import argparse
import html
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

import yaml
from bs4 import BeautifulSoup
from deck import Deck, questions_of, read_deck
from deck_section import Slide

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
THEME = Path(__file__).resolve().parent / "slides_theme"
GUIDE = "book/teaching"


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
    decks = []
    for page in pages(root):
        built = site / f"{page}.html"
        if not built.exists():
            raise FileNotFoundError(f"{built}: this page is not built; run `make book` first")
        name = built.stem
        asked = questions_of(questions, name)
        if deck := read_deck(built.read_text("utf8"), name, asked):
            decks.append(deck)
    out.mkdir(parents=True, exist_ok=True)
    for deck in decks:
        _write(out / f"{deck.name}.html", deck_page(deck))
    _write(out / "index.html", index_page(decks))
    return decks


def pages(root: Path = ROOT) -> list[str]:
    """The pages of the book in its order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def deck_page(deck: Deck) -> str:
    """A deck as one HTML file."""
    count = len(deck.slides)
    return _theme("deck.html").substitute(
        title=html.escape(deck.title),
        count=count,
        style=_text("deck.css"),
        script=_text("deck.js"),
        slides="\n".join(_slide(slide, i + 1, count) for i, slide in enumerate(deck.slides)),
    )


def index_page(decks: Sequence[Deck]) -> str:
    """The list of all decks."""
    lines = []
    for deck in decks:
        claim = BeautifulSoup(deck.slides[0].body, "html.parser").select_one(".claim")
        said = claim.decode_contents() if claim else ""
        lines.append(
            f'<li><a href="{deck.name}.html">{html.escape(deck.title)}</a>'
            f"<small>{said} {len(deck.slides)} slides.</small></li>"
        )
    footer = f"SSL Companion, version {ssl_companion.__version__}"
    style = _text("deck.css")
    return _theme("index.html").substitute(style=style, decks="\n".join(lines), footer=footer)


def _slide(slide: Slide, number: int, count: int) -> str:
    notes = "".join(f"<p>{words}</p>" for words in slide.notes)
    return _theme("slide.html").substitute(
        kind=slide.kind,
        number=number,
        count=count,
        level="h1" if slide.kind == "title" else "h2",
        heading=slide.heading,
        body=slide.body,
        size=_size(slide.body),
        eyebrow=f'<p class="eyebrow">{slide.eyebrow}</p>\n' if slide.eyebrow else "",
        notes=f'<aside class="notes" aria-label="Notes">{notes}</aside>\n' if notes else "",
    )


def _size(body: str) -> str:
    """How many words there are: few of them are drawn larger."""
    words = len(BeautifulSoup(body, "html.parser").get_text().split())
    return "few" if words <= 32 else "some" if words <= 60 else "many"


def _theme(name: str) -> Template:
    return Template(_text(name))


def _text(name: str) -> str:
    return (THEME / name).read_text("utf8")


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf8")
    os.replace(temporary, path)


def main() -> int:
    """Write the decks; 1 with a line where the book is not built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build/html", help="the built book")
    parser.add_argument("--out", type=Path, default=ROOT / "_build/slides", help="for the decks")
    options = parser.parse_args()
    try:
        decks = build(options.site, options.out)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(decks)} decks: {(options.out / 'index.html').resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
