"""The book on paper: its pages in order, bookmarks, and links that lead inside the document."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pdf
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

ROOT = Path(__file__).resolve().parents[2]
HOST = "file:///site"


def sheets(count: int, *addresses: str) -> bytes:
    """A document of blank sheets whose first one links to `addresses`."""
    writer = PdfWriter()
    for _ in range(count):
        writer.add_blank_page(200, 200)
    for address in addresses:
        note = Link(rect=(0, 0, 9, 9), url="http://x")
        note[NameObject("/A")] = DictionaryObject(
            {NameObject("/S"): NameObject("/URI"), NameObject("/URI"): TextStringObject(address)}
        )
        writer.add_annotation(0, note)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


@pytest.fixture
def document() -> PdfReader:
    printed = [
        pdf.Printed("", f"{HOST}/a.html", "A", sheets(2, f"{HOST}/c.html#place", "https://x.org/")),
        pdf.Printed("Part", f"{HOST}/b.html", "B", sheets(1, f"{HOST}/_sources/b.ipynb")),
        pdf.Printed("Part", f"{HOST}/c.html", "C", sheets(3)),
    ]
    file = io.BytesIO()
    pdf.merge(printed).write(file)
    return PdfReader(file)


def test_bookmarks_lead_to_the_pages(document: PdfReader) -> None:
    a, part, inner = document.outline
    where = document.get_destination_page_number
    assert (a.title, where(a), part.title, where(part)) == ("A", 0, "Part", 2)
    assert [(one.title, where(one)) for one in inner] == [("B", 2), ("C", 3)]


def test_links_between_pages_become_jumps(document: PdfReader) -> None:
    notes = [one.get_object() for one in document.pages[0]["/Annots"]]
    inside, outside = notes
    assert "/A" not in inside
    assert isinstance(inside["/Dest"], ArrayObject)
    assert inside["/Dest"][0].get_object() == document.pages[3]
    assert outside["/A"]["/URI"] == "https://x.org/"
    assert not document.pages[2].get("/Annots"), "a file of the site is not in the document"


def test_without_a_browser_or_a_book_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="make book"):
        pdf.main(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        pdf.browser()


def test_the_menus_offer_it_once(tmp_path: Path) -> None:
    menu = '<div class="dropdown dropdown-download-buttons"><ul>\n<li>.md</li>\n</ul></div>'
    page = tmp_path / "book/x.html"
    page.parent.mkdir()
    page.write_text(menu)
    out = tmp_path / "the.pdf"
    assert [pdf.offer(tmp_path, out), pdf.offer(tmp_path, out)] == [1, 0]
    assert 'href="../the.pdf"' in page.read_text()
    assert pdf.offer(tmp_path / "book", out) == 0, "it does not lie in that site"


@pytest.fixture
def printed(site: Path, tmp_path: Path) -> Path:
    """What `make pdf` printed of the book as it is built; where it did not, printed now."""
    out = site / pdf.NAME
    made_from = (site / "searchindex.js", Path(str(pdf.__file__)))  # the build's last file
    if out.exists() and out.stat().st_mtime > max(p.stat().st_mtime for p in made_from):
        return out
    try:
        pdf.browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    out = tmp_path / "book.pdf"
    # A process of its own: this one has a loop of Playwright's already.
    command = [sys.executable, "book/_tools/pdf.py", "--site", str(site), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.browser
def test_the_whole_book_is_printed(printed: Path) -> None:
    document = PdfReader(printed)
    assert len(document.pages) > 40
    text = "".join(sheet.extract_text() for sheet in document.pages)
    notes = [note.get_object() for sheet in document.pages for note in sheet.get("/Annots", [])]
    links = [str(note["/A"].get("/URI", "")) for note in notes if "/A" in note]
    assert not [link for link in links if not link.startswith("http")]
    for heading in ("Clusters emerge", "Compression", "Glossary"):
        assert heading in text
