"""The built book as a folder: what each page names lies beside it, and nothing lies elsewhere."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from address import BRANCH
from address import address as repository_of
from bs4 import BeautifulSoup, Tag
from chapter_source import read_chapter, toc
from PIL import Image

import ssl_companion

from .test_browser import MOVING, PAGES, ROOT

CHAPTER_PARTS = ("Foundations", "Findings", "Do it yourself")
REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")


def _is_chapter(page: str) -> bool:
    try:
        read_chapter(ROOT / f"{page}.md")
    except ValueError:
        return False
    return True


def test_every_chapter_has_something_to_move() -> None:
    expected = {page for part, page in toc(ROOT) if part in CHAPTER_PARTS} - {"book/explorer"}
    assert {page for page in PAGES if _is_chapter(page)} == expected
    assert expected <= set(MOVING)


@pytest.fixture(scope="module", params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def html(name: str, site: Path) -> BeautifulSoup:
    """Without its pictures, which would be parsed too."""
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", _text(site / f"{name}.html"))
    return BeautifulSoup(text, "html.parser")


@cache
def _text(path: Path) -> str:
    return path.read_text("utf8")


@pytest.mark.browser
def test_a_page_asks_no_other_host_for_anything(name: str, site: Path) -> None:
    text = _text(site / f"{name}.html")
    tags = re.findall(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*>", text)
    addresses = [a for tag in tags for a in re.findall(r'(?:src|href)="([^"]+)"', tag)]
    assert not [a for a in addresses if re.match(r"(https?:)?//", a)]
    scripts = re.sub(
        r"base64,[A-Za-z0-9+/=]+", "", "".join(re.findall(r"<script.*?</script>", text, re.S))
    )
    assert not re.findall(r"https?://(?!www\.w3\.org)[^\"'\s]+", scripts)
    assert not [a for css in re.findall(r"<style.*?</style>", text, re.S) for a in _hosts(css)]


@pytest.mark.browser
def test_a_page_leads_somewhere_by_its_links(name: str, site: Path, html: BeautifulSoup) -> None:
    inside = {str(a["href"]) for a in html.select("a[href]")}
    for address in sorted(a for a in inside if not re.match(r"\w+:", a)):
        path, _, target = address.partition("#")
        there = (site / f"{name}.html").parent / path if path else site / f"{name}.html"
        assert there.exists(), address
        if target and there.suffix == ".html":
            assert f'id="{target}"' in _text(there), address


@pytest.mark.browser
def test_a_page_has_an_icon_and_a_picture_for_previews(
    name: str, site: Path, html: BeautifulSoup
) -> None:
    icon = _only(html, 'link[rel~="icon"]')
    assert ((site / name).parent / str(icon["href"])).read_text("utf8").startswith("<svg")
    card = str(_only(html, 'meta[property="og:image"]')["content"])
    assert re.fullmatch(r"(https://[\w.-]+/([\w.-]+/)?)?_static/social-card\.png", card)
    with Image.open(site / "_static/social-card.png") as picture:
        assert picture.size == (1200, 630)
    for kind in ("og:title", "og:description", "og:image:alt"):
        assert _only(html, f'meta[property="{kind}"]')["content"]


@pytest.mark.browser
def test_a_page_can_be_edited_and_complained_about(name: str, html: BeautifulSoup) -> None:
    if not repository_of(ROOT).url:  # what would need one is left out
        assert not html.select("[class*=btn-source-]:not(.btn-download-source-button)")
        assert "github.com/OWNER" not in " ".join(str(a["href"]) for a in html.select("a[href]"))
        return
    repository = _only(html, "a.btn-source-repository-button")["href"]
    assert REPOSITORY.fullmatch(str(repository))
    edit = _only(html, "a.btn-source-edit-button")["href"]
    assert edit == f"{repository}/edit/main/{name}.md"
    assert (ROOT / f"{name}.md").is_file()
    issue = str(_only(html, "a.btn-source-issues-button")["href"])
    assert issue.startswith(f"{repository}/issues/new?")
    assert f"%2F{name}.html" in issue, "which page it is about"


@pytest.mark.browser
def test_a_page_says_its_version_and_day(name: str, html: BeautifulSoup) -> None:
    line = _only(html, "footer .companion-version")
    assert line.get_text().startswith(f"Version {ssl_companion.__version__}")
    day = datetime.date.fromisoformat(str(_only(html, ".companion-version time")["datetime"]))
    assert datetime.date(2023, 1, 1) < day
    assert str(day.year) in line.get_text()


@pytest.mark.browser
def test_a_page_can_be_downloaded_and_launched(name: str, site: Path, html: BeautifulSoup) -> None:
    beside = (site / name).parent
    markdown = beside / str(_only(html, "a.btn-download-source-button")["href"])
    assert markdown.name == f"{Path(name).name}.md"
    first = re.search(r"^# (.+)$", markdown.read_text("utf8"), re.M)
    assert first is not None
    notebooks = html.select("a.btn-download-notebook-button")
    launches = [str(a["href"]) for a in html.select(".dropdown-launch-buttons a")]
    if not (ROOT / f"{name}.ipynb").is_file():
        assert not notebooks
        assert not launches
        return
    (link,) = notebooks
    cells = json.loads((beside / str(link["href"])).read_text("utf8"))["cells"]
    assert f"# {first[1]}" in "".join(cells[0]["source"])
    words = "".join(w for c in cells if c["cell_type"] == "markdown" for w in c["source"])
    assert not re.findall(r"(?m)^(?::::|`{3,}\{)|\{(?:ref|cite:?\w*|numref|eq|doc)\}`", words)
    assert any(cell.get("outputs") for cell in cells), "the page's outputs"
    repository = repository_of(ROOT)
    setup = next(c for c in cells if "setup" in c["metadata"].get("tags", []))
    assert (repository.url or repository.configured) in "".join(setup["source"])
    if not repository.url:
        assert not launches
        assert not html.select("a.btn-source-repository-button")
        return
    slug = repository.url.removeprefix("https://github.com/")
    host = "https://colab.research.google.com/github"
    branch = BRANCH if repository.derived else "main"
    assert launches == [f"{host}/{slug}/blob/{branch}/{name}.ipynb"]


def _only(html: BeautifulSoup, selector: str) -> Tag:
    (found,) = html.select(selector)
    return found


@pytest.mark.browser
def test_the_first_address_previews_as_the_book_and_leads_on(site: Path) -> None:
    html = BeautifulSoup(_text(site / "index.html"), "html.parser")
    first = f"{PAGES[0]}.html"
    assert _only(html, "title").get_text() == "SSL Companion"
    assert _only(html, 'meta[http-equiv="refresh"]')["content"] == f"0; url={first}"
    assert _only(html, "body a")["href"] == first
    assert (site / str(_only(html, 'link[rel="icon"]')["href"])).is_file()
    image = str(_only(html, 'meta[property="og:image"]')["content"])
    assert image.endswith("_static/social-card.png")
    assert len(html.select('meta[property="og:url"]')) == image.startswith("https:")


@pytest.mark.browser
def test_no_style_sheet_names_another_host(site: Path) -> None:
    """All sheets of the site, also those that no page asks for today."""
    sheets = sorted((site / "_static").rglob("*.css"))
    assert {"companion.css", "sphinx-book-theme.css"} <= {sheet.name for sheet in sheets}
    for sheet in sheets:
        assert not list(_hosts(sheet.read_text("utf8"))), sheet.relative_to(site)


@pytest.mark.parametrize(
    ("css", "hosts"),
    [
        ("@import 'https://fonts.example/a.css';", ["fonts.example"]),
        ("a { background: url( //cdn.example/x.png ) }", ["cdn.example"]),
        ('a { background: image-set("http://cdn.example/x.png" 1x) }', ["cdn.example"]),
        ("/* see https://example.org/why\n */ a { color: red }", []),
        ("a { background: url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'\") }",
         []),
        ("a { background: url(data:image/png;base64,AA//b.c/) } b { src: url(//x.y/f) }", ["x.y"]),
        ("a { background: url(../x.png) }", []),
    ],
)  # fmt: skip
def test_hosts_of_a_style_sheet_are_those_that_a_browser_would_ask(
    css: str, hosts: list[str]
) -> None:
    assert list(_hosts(css)) == hosts


def _hosts(css: str) -> Iterator[str]:
    """Hosts outside comments and pictures written out."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    css = re.sub(r"""url\(\s*(?:"data:[^"]*"|'data:[^']*'|data:[^)]*)\s*\)""", "", css)
    yield from re.findall(r"(?:https?:)?//([\w.-]+\.[a-z]+)", css)
