"""The whole book as one PDF, printed from the built pages by a headless Chromium.

    python book/_tools/pdf.py                      _build/html -> _build/html/ssl-companion.pdf
    python book/_tools/pdf.py --site S --out FILE

Pages come in the order of `_toc.yml`, with bookmarks for parts and pages; links between pages
become jumps. Where the PDF lies in the site, the pages' download menus offer it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from chapter_source import built_pages
from pypdf import PageObject, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, Fit, NameObject

import ssl_companion
from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
NAME = "ssl-companion.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FOOTER = (
    '<div style="font: 8px sans-serif; color: #555; width: 100%; text-align: center">'
    'SSL Companion · {page} · <span class="pageNumber"></span></div>'
)
_MENU = re.compile(r'(class="dropdown dropdown-download-buttons">.*?)(\s*</ul>)', re.DOTALL)
_ITEM = (
    '\n<li><a href="{href}" class="btn btn-sm dropdown-item book-pdf">'
    '<span class="btn__icon-container"><i class="fas fa-book"></i></span>'
    '<span class="btn__text-container">The book as .pdf</span></a></li>'
)


def browser() -> str:
    """The path of a Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    for path in filter(None, map(shutil.which, BROWSERS)):
        return path
    raise FileNotFoundError(f"none of {', '.join(BROWSERS)} is here: apt-get install chromium")


class Printed(NamedTuple):
    """A page on paper: its part of the book, its address while it was printed, its title."""

    part: str
    address: str
    title: str
    pdf: bytes


def build(site: Path, out: Path, root: Path = ROOT) -> int:
    """Print a built book to `out`; the number of its sheets.

    Raises:
        FileNotFoundError: a page is not built, or there is no Chromium.
    """
    writer = merge(_print(built_pages(site, root)))
    with atomic_file(out) as file:
        writer.write(file)
    return len(writer.pages)


def _print(pages: Sequence[tuple[str, Path]]) -> list[Printed]:
    from playwright.sync_api import sync_playwright  # a test tool; only this needs it here

    found = []
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        tab = chromium.new_page(color_scheme="light")
        for part, page in pages:
            tab.goto(page.resolve().as_uri(), wait_until="networkidle")
            tab.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
            title = tab.locator("h1").first.evaluate("h => h.firstChild.textContent.trim()")
            pdf = tab.pdf(
                format="A4", scale=0.75, print_background=True, display_header_footer=True,
                header_template="<span></span>", footer_template=_FOOTER.format(page=title),
                margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            )  # fmt: skip
            found.append(Printed(part, tab.url, title, pdf))
        chromium.close()
    return found


def merge(printed: Sequence[Printed]) -> PdfWriter:
    """One document of all pages, with bookmarks, and links between pages turned into jumps."""
    writer = PdfWriter()
    begins: dict[str, int] = {}
    parts: dict[str, Any] = {"": None}
    for page in printed:
        begins[page.address] = begin = len(writer.pages)
        writer.append(io.BytesIO(page.pdf), import_outline=False)
        if page.part not in parts:
            parts[page.part] = writer.add_outline_item(title=page.part, page_number=begin)
        writer.add_outline_item(title=page.title, page_number=begin, parent=parts[page.part])
    targets = {address: writer.pages[begin] for address, begin in begins.items()}
    for sheet in writer.pages:
        if notes := sheet.annotations:
            kept = (note for note in notes if _kept(note.get_object(), targets))
            sheet.annotations = ArrayObject(kept)
    writer.add_metadata({"/Title": f"SSL Companion {ssl_companion.__version__}"})
    writer.compress_identical_objects()
    return writer


def _kept(note: Any, targets: dict[str, PageObject]) -> bool:
    """Turn a link to a page of the book into a jump; whether the note stays on its sheet."""
    uri = str(note.get("/A", DictionaryObject()).get("/URI", ""))
    if not uri.startswith("file:"):
        return True
    page = targets.get(uri.partition("#")[0])
    if page is None:
        return False  # to a file of the site, which is not in here
    del note["/A"]
    fit = Fit.fit_horizontally(top=page.mediabox.top)
    where = [page.indirect_reference, NameObject(fit.fit_type), *fit.fit_args]
    note[NameObject("/Dest")] = ArrayObject(where)
    return True


def offer(site: Path, out: Path) -> int:
    """Put the PDF into the download menus of a site that holds it; the number of pages."""
    changed = 0
    for path in site.rglob("*.html") if out.is_relative_to(site) else ():
        page = path.read_text(encoding="utf8")
        item = _ITEM.format(href=Path(os.path.relpath(out, path.parent)).as_posix())
        mended, found = _MENU.subn(rf"\1{item}\2", page, count=1)
        if found and "book-pdf" not in page:
            path.write_text(mended, encoding="utf8")
            changed += 1
    return changed


def main(site: Path = ROOT / "_build/html", out: Path | None = None) -> None:
    """Print the whole book into one PDF.

    Args:
        site: folder of the built book.
        out: the PDF; without it, ssl-companion.pdf in the site.
    """
    out = out or site / NAME
    try:
        sheets = build(site, out)
    except FileNotFoundError as error:
        sys.exit(str(error))
    offer(site, out)
    print(f"{out}: {sheets} sheets, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    tyro.cli(main)
