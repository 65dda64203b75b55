"""The whole book as one PDF, printed from the built pages by a headless Chromium.

    python book/_tools/pdf.py                      _build/html -> _build/html/ssl-companion.pdf
    python book/_tools/pdf.py --site S --out FILE

Pages come in the order of `_toc.yml`, with bookmarks for parts and pages; links between pages
become jumps. Where the PDF lies in the site, the pages' download menus offer it.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from built_site import NoBrowser, browser, served
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
NAME = "ssl-companion.pdf"
_FOOTER = (
    '<div style="font: 8px sans-serif; color: #555; width: 100%; text-align: center">'
    '{title} · {page} · <span class="pageNumber"></span></div>'
)
_MENU = re.compile(r'(class="dropdown dropdown-download-buttons">.*?)(\s*</ul>)', re.DOTALL)
_ITEM = (
    '\n<li><a href="{href}" class="btn btn-sm dropdown-item book-pdf">'
    '<span class="btn__icon-container"><i class="fas fa-book"></i></span>'
    '<span class="btn__text-container">The book as .pdf</span></a></li>'
)


@dataclass(frozen=True)
class Entry:
    """A page of the table of contents: its part ("" for the first page) and its name."""

    part: str
    page: str


def entries(root: Path = ROOT) -> list[Entry]:
    """The pages in the order of `_toc.yml`."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))
    found = [Entry("", toc["root"])]
    for part in toc["parts"]:
        found += [Entry(part["caption"], chapter["file"]) for chapter in part["chapters"]]
    return found


def build(site: Path, out: Path, root: Path = ROOT) -> int:
    """Print a built book to `out`; the number of its sheets.

    Raises:
        FileNotFoundError: a page is not built.
        NoBrowser: there is no Chromium.
    """
    wanted = entries(root)
    for entry in wanted:
        if not (site / f"{entry.page}.html").exists():
            raise FileNotFoundError(f"{site / entry.page}.html: not built; run `make book` first")
    printed = _print(site, [entry.page for entry in wanted])
    writer = merge(wanted, printed)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with aside.open("wb") as file:
        writer.write(file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(out)
    return len(writer.pages)


@dataclass(frozen=True)
class Printed:
    """A page on paper: its address while it was printed, its title, the PDF."""

    address: str
    title: str
    pdf: bytes


def _print(site: Path, pages: Sequence[str]) -> list[Printed]:
    from playwright.sync_api import sync_playwright  # a test tool; only this needs it here

    found = []
    with served(site) as base, sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        tab = chromium.new_page(color_scheme="light")
        for page in pages:
            address = f"{base}/{page}.html"
            tab.goto(address, wait_until="networkidle")
            tab.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
            title = tab.locator("h1").first.evaluate("h => h.firstChild.textContent.trim()")
            footer = _FOOTER.format(title="SSL Companion", page=title)
            pdf = tab.pdf(
                format="A4", scale=0.75, print_background=True, display_header_footer=True,
                header_template="<span></span>", footer_template=footer,
                margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            )  # fmt: skip
            found.append(Printed(address, title, pdf))
        chromium.close()
    return found


def merge(wanted: Sequence[Entry], printed: Sequence[Printed]) -> PdfWriter:
    """One document of all pages, with bookmarks, and links between pages turned into jumps."""
    writer, begins, parts = PdfWriter(), {}, {}
    for entry, page in zip(wanted, printed, strict=True):
        begins[page.address] = len(writer.pages)
        writer.append(PdfReader(io.BytesIO(page.pdf)), import_outline=False)
        parent = None
        if entry.part:
            if entry.part not in parts:
                start = begins[page.address]
                parts[entry.part] = writer.add_outline_item(title=entry.part, page_number=start)
            parent = parts[entry.part]
        writer.add_outline_item(title=page.title, page_number=begins[page.address], parent=parent)
    for sheet in writer.pages:
        _jumps(writer, sheet, begins)
    writer.add_metadata({"/Title": f"SSL Companion {ssl_companion.__version__}"})
    writer.compress_identical_objects()
    return writer


def _jumps(writer: PdfWriter, sheet: Any, begins: dict[str, int]) -> None:
    """Links of a sheet: to a page of the book a jump; to the rest of the site, none."""
    kept = ArrayObject()
    for reference in sheet.get("/Annots", ArrayObject()):
        note = reference.get_object()
        uri = str(note.get("/A", DictionaryObject()).get("/URI", ""))
        if uri.startswith("http://127.0.0.1"):
            page = begins.get(uri.partition("#")[0])
            if page is None:
                continue  # to a file of the site, which is not in here
            del note["/A"]
            top = FloatObject(writer.pages[page].mediabox.top)
            where = [writer.pages[page].indirect_reference, NameObject("/FitH"), top]
            note[NameObject("/Dest")] = ArrayObject(where)
        kept.append(reference)
    if "/Annots" in sheet:
        sheet[NameObject("/Annots")] = kept


def offer(site: Path, out: Path) -> int:
    """Put the PDF into the download menus of a site that holds it; the number of pages."""
    changed = 0
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf8")
        href = os.path.relpath(out, path.parent)
        if "book-pdf" in page or not out.is_relative_to(site):
            continue
        item = _ITEM.format(href=href).replace("\\", "/")
        mended, found = _MENU.subn(rf"\1{item}\2", page, count=1)
        if found:
            path.write_text(mended, encoding="utf8")
            changed += 1
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the book; 1 with a word on why where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build/html", help="the built book")
    parser.add_argument("--out", type=Path, help=f"by default {NAME} in the site")
    options = parser.parse_args(arguments)
    out = options.out or options.site / NAME
    try:
        sheets = build(options.site, out)
    except (FileNotFoundError, NoBrowser) as error:
        print(error, file=sys.stderr)
        return 1
    offer(options.site, out)
    print(f"{out}: {sheets} sheets, {out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
