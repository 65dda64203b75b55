"""Pages show what measures and fold what draws; their parts stand in one order; wrong phrases."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sync
from chapter_source import toc

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
#: Names the wordings that rules once had, so that their history counts them as no other rule.
KEPT = frozenset({"ssl_companion/chapters/analysis/rule_history.py"})
CHAPTERS = [page.stem for page in sync.chapters(ROOT)]
FINDINGS = [Path(p).name for part, p in toc(ROOT) if part == "Findings" and "explorer" not in p]
WITHOUT_A_CLAIM = [
    "how-to-read", "self-supervision", "measuring-a-cluster", "measure-your-encoder",
    "train-your-own", "explorer",
]  # fmt: skip
CELL = re.compile(r"```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)\n```", re.DOTALL)
_THINGS = "(?:network|loss|layer|objective|term|regularizer|measure|run)(?:s|es)?"
#: What readers stumbled on, and what to write instead.
WRONG = {
    r"by lot": "at random, random labels",
    r"(?:told|tells?|telling) (?:\w+ ){0,3}apart": "separate, distinguish; no difference is shown",
    r"shall": "should",
    r"(?:hold|holds|held|holding) against": "compare with",
    r"rulers?": "measure",
    r"had to be": "threshold",
    r"take along": "takeaways",
    r"the same of": "the same for",
    r"is it so": "does it hold",
    r"(?:images?|labels?|points|views|samples|numbers?) a (?:class|image|seed|run)": "per class",
    r"one \w+ an? (?:class|image|seed|epoch|layer|chapter)": "one per class",
    rf"{_THINGS} (?:says?|said|wants?|(?:is|are) content|objects?)": "computes, penalises",
    r"g[ai]ves? in": "follow",
}  # fmt: skip
OLD_HEADINGS = {
    "a prediction", "a prediction first", "predictions first", "the measurement", "move something",
    "what to take along", "where it came from", "the verdicts",
}  # fmt: skip
ORDER = (
    "What would decide it", "Your prediction", "The verdict",
    "Takeaways", "Exercises", "Limits", "Where this comes from",
)  # fmt: skip


def pages(names: list[str]) -> list[object]:
    return [_marked(f"book/{name}.md", name) for name in names]


def _marked(path: str, name: str) -> object:
    kept = pytest.mark.skip(reason="wordings that are quoted")
    return pytest.param(path, id=name, marks=[kept] if path in KEPT else [])


def cells(text: str) -> Iterator[tuple[str, str]]:
    """Tags and code of each cell that is neither the setup nor a reader's."""
    for options, code in CELL.findall(text):
        if not re.search(r"\b(setup|exercise)\b", options):
            yield options, code


def called(code: str) -> set[str]:
    nodes = ast.walk(ast.parse(code))
    return {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def defined(code: str) -> set[str]:
    return {n.name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef)}


def headings(text: str) -> list[str]:
    return re.findall(r"(?m)^###? (.+)$", CELL.sub("", text))


@pytest.mark.parametrize("path", pages(CHAPTERS))
def test_code_that_draws_is_folded_and_code_that_only_words_is_not_on_the_page(path: str) -> None:
    for options, code in cells((ROOT / path).read_text("utf8")):
        draws = called(code) & {"frames", "picture", "diagram"}
        words = "Markdown" in called(code) or any(n.startswith("tell") for n in defined(code))
        first = code.strip().splitlines()[0]
        if draws:
            assert re.search("hide-input|remove-input", options), f"draws, and is shown: {first}"
        elif words:
            assert "remove-input" in options, f"only composes sentences, and is shown: {first}"


@pytest.mark.parametrize("path", pages(FINDINGS))
def test_a_finding_begins_with_what_was_found_and_what_the_paper_says(path: str) -> None:
    text = (ROOT / path).read_text("utf8")
    first = next(cells(text))
    assert re.search(r"in_short\(", first[1]), "the first cell after the setup is in_short(...)"
    assert "remove-input" in first[0]
    places = [text.find(mark) for mark in (
        "\n# ", "tags: [setup", "in_short(", ":::{admonition} In the paper",
        ":::{admonition} What you will be able to do", "\n## ",
    )]  # fmt: skip
    assert -1 not in places
    assert places == sorted(places), "title, setup, in short, in the paper, objectives, sections"
    box = text[places[3] : places[4]]
    assert "https://arxiv.org/abs/2305.15614" in box
    assert "{cite}`benshaul2023`" in box


@pytest.mark.parametrize("path", pages(WITHOUT_A_CLAIM))
def test_a_page_without_a_claim_says_in_short_what_is_on_it(path: str) -> None:
    text = (ROOT / path).read_text("utf8")
    (box,) = re.findall(r":::\{admonition\} In short\n:class: short\n\n(.*?)\n:::", text, re.DOTALL)
    assert len(re.findall(r"[.?!](?:\s|$)", box)) == 3, "three sentences"
    assert not re.search(r"\d\s*%|\d\.\d", box), "results are computed"


@pytest.mark.parametrize("path", pages(CHAPTERS))
def test_parts_that_every_chapter_has_are_named_alike_and_stand_in_order(path: str) -> None:
    found = headings((ROOT / path).read_text("utf8"))
    assert not OLD_HEADINGS & {name.lower().rstrip(".?") for name in found}
    shared = [name for name in found if name in ORDER]
    assert shared == [name for name in ORDER if name in found]
    if "Exercises" in found:
        assert found[-4:] == list(ORDER[-4:])
        assert "Your prediction" in found
    if Path(path).stem in FINDINGS:
        assert "The verdict" in found


def prose(text: str) -> str:
    """A page as read: sentences, and those that its code composes; no code, formulas or addresses.

    Ends of lines are spaces, so that a phrase is found across them.
    """
    said = [string for _, code in cells(text) for string in strings(code)]
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"(?ms)^(`{3,})\{code-cell\}.*?^\1$|^```python.*?^```$", "", text)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`\n]*`|https?://\S+", "…", text, flags=re.DOTALL)
    return " ".join("\n".join([text, *said]).split())


def strings(code: str) -> list[str]:
    """Texts in code, without docstrings; what stands between the texts of an f-string is "…"."""
    tree = ast.parse(code)
    docs: set[ast.expr] = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {v for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    skipped = docs | parts
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
            found.append("".join(map(str, texts)))
        elif isinstance(node, ast.Constant) and node not in skipped and " " in str(node.value):
            found.append(" ".join(str(node.value).split()))
    return found


def wrong(text: str) -> list[str]:
    return [
        f"…{text[max(0, m.start() - 40) : m.end() + 30]}… (rather: {better})"
        for phrase, better in WRONG.items()
        for m in re.finditer(rf"(?i)\b(?:{phrase})\b", text)
    ]


@pytest.mark.parametrize(
    "path",
    pages(
        sorted(
            page.stem
            for page in BOOK.glob("*.md")
            if page.stem != "references" and not page.stem.startswith("api")
        )
    ),
)
def test_pages_have_none_of_the_phrases_that_readers_stumbled_on(path: str) -> None:
    found = wrong(prose((ROOT / path).read_text("utf8")))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "path",
    [
        _marked(str(module.relative_to(ROOT)), str(module.relative_to(ROOT / "ssl_companion")))
        for module in sorted((ROOT / "ssl_companion/chapters").rglob("*.py"))
    ],
)
def test_generated_sentences_have_none_of_them(path: str) -> None:
    said = strings((ROOT / path).read_text("utf8"))
    found = wrong(" \n".join(text for text in said if text != "by lot"))  # a setting's value
    assert not found, "\n".join(found)


def test_the_lint_finds_what_it_is_for() -> None:
    assert wrong("labels drawn\n by lot".replace("\n", "")) != []
    assert wrong("100 images a class") != []
    assert wrong("a class of images, held-out images, two views of an image") == []
    assert prose("# A\n\n`ruler` $ruler$\n\n```{code-cell} i\nx = f'by {2} lot'\n```\nb") == (
        "# A … … b by … lot"
    )
    assert strings('"""by lot"""\nx = "a b"') == ["a b"]
