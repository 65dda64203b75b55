"""Pieces of a built page as plain HTML: formulas as MathML, no links, no classes, no scripts.

What stands on a slide must need nothing of the page it was taken from.
"""

from __future__ import annotations

import copy
import re

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag
from latex2mathml.converter import convert

_KEPT = {
    "p", "ul", "ol", "li", "strong", "em", "code", "br", "sub", "sup",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
# A full stop, question or exclamation mark that ends a sentence, with what closes behind it.
_PRIME = "<mi>\u02b9</mi>"
# Words that a citation completes: "the abstract of ...", "as ... claim".
_GOVERNING = re.compile(r"\b(of|what|as|by|from|in|to|see)\s*$")
_END = re.compile(r"(?<!\bal)(?<!e\.g)(?<!i\.e)(?<!\bvs)(?<!\bFig)[.?!][)”’\"']*(?=\s|$)")


def mathml(tex: str, display: bool = False) -> str:
    r"""A formula of the page, `\(...\)`, `\[...\]` or bare TeX, as MathML.

    Raises:
        ValueError: for TeX that cannot be converted; the message quotes it.
    """
    bare = re.sub(r"^\s*\\[(\[]|\\[)\]]\s*$", "", tex).strip()
    bare = bare.rstrip(".,") if display else bare  # the sentence it stood in is not there
    bare = re.sub(r"\\(begin|end)\{(equation|split)\}|\\label\{[^}]*\}", "", bare)
    # Stretchy rules of TeX that MathML draws on its own.
    bare = re.sub(r"\\(?:bigl|bigr|Bigl|Bigr|big|Big)(?![a-zA-Z])", "", bare)
    bare = re.sub(r"\\operatorname\*?\{([^}]*)\}", _operator, bare)
    bare = bare.replace(r"\tfrac", r"\frac").replace(r"\dfrac", r"\frac").strip()
    try:
        drawn = str(convert(bare, display="block" if display else "inline"))
    except Exception as error:  # the converter raises whatever its parser met
        raise ValueError(f"the formula {bare!r} cannot be converted to MathML: {error}") from error
    drawn = drawn.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    # A prime that is raised already: fonts without mathematics would raise it twice.
    drawn = re.sub(r"<msup>(<mi>\w</mi>)<mi>&#x02032;</mi></msup>", rf"\1{_PRIME}", drawn)
    subbed = r"<msubsup>(<mi>\w</mi>)(<mi>\w</mi>)<mi>&#x02032;</mi></msubsup>"
    return re.sub(subbed, rf"<msub><mrow>\1{_PRIME}</mrow>\2</msub>", drawn)


def _operator(match: re.Match[str]) -> str:
    """An upright name; a space inside it, or the star for limits, confuses the converter."""
    return rf"\operatorname{{{match[1].replace(chr(92) + ',', '')}}}"


def clean(tag: Tag) -> Tag:
    """A copy of `tag` that holds only plain elements, text and MathML."""
    own = copy.copy(tag)
    for citation in own.select(".bibtex-citation"):
        _cite(citation)
    for gone in own.select(".headerlink, script, style, .eqno, .caption-number"):
        gone.decompose()
    for formula in own.select(".math"):
        block = formula.name == "div"
        drawn = BeautifulSoup(mathml(formula.get_text(), block), "html.parser")
        formula.replace_with(drawn)
    for inner in own.find_all(True):
        if inner.name == "math" or inner.find_parent("math"):
            continue
        if inner.name in _KEPT:
            inner.attrs = {}
        else:
            inner.unwrap()
    return own


def _cite(citation: Tag) -> None:
    """Names where the sentence needs them, nothing where it is complete without."""
    before = citation.previous_sibling
    text = str(before) if isinstance(before, NavigableString) else ""
    if _GOVERNING.search(text):
        names = [a.get_text().rsplit(",", 1)[0] for a in citation.select("a")]
        citation.replace_with(NavigableString(" and ".join(names)))
        return
    if isinstance(before, NavigableString):  # the space before a citation goes with it
        before.replace_with(NavigableString(text.rstrip(" \n")))
    citation.decompose()


def inside(tag: Tag) -> str:
    """The cleaned contents of `tag` as HTML."""
    return clean(tag).decode_contents().strip()


def plain(tag: Tag) -> str:
    """The cleaned contents of `tag` as text in one line; formulas as their TeX."""
    own = copy.copy(tag)
    for gone in own.select(".headerlink, .bibtex-citation, script, style, .caption-number"):
        gone.decompose()
    return re.sub(r"\s+", " ", own.get_text()).strip()


def first_sentence(tag: Tag, least: int = 1) -> str:
    """The first sentence of a paragraph or list item, cleaned, as HTML.

    Args:
        tag: the paragraph or list item.
        least: words; the next sentence is added as long as there are fewer.
    """
    own = clean(tag)
    first = own.find("p")
    kept: list[str] = []
    for child in (first if isinstance(first, Tag) else own).children:
        if isinstance(child, NavigableString):
            for end in _END.finditer(str(child)):
                sentence = "".join([*kept, str(child)[: end.end()]]).strip()
                if len(sentence.split()) >= least:
                    return sentence
        kept.append(str(child))
        if isinstance(child, Tag) and child.name != "math" and _END.search(child.get_text()[-2:]):
            break
    return "".join(kept).strip()


def first_sentence_of(text: str) -> str:
    """The first sentence of plain text."""
    end = _END.search(text)
    return text[: end.end()] if end else text
