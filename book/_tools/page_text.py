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
# Words that a citation completes: "the abstract of ...", "as ... claim".
_GOVERNING = re.compile(r"\b(of|what|as|by|from|in|to|see)\s*$")
_BEGINS, _GOES_ON = re.compile(r"[.?!:;]\s*$"), re.compile(r"\s+[a-z]")  # it is the subject
# A full stop, question or exclamation mark that ends a sentence, with what closes behind it.
_END = re.compile(r"(?<!\bal)(?<!e\.g)(?<!i\.e)(?<!\bvs)(?<!\bFig)[.?!][)”’\"']*(?=\s|$)")
# What the converter does not know, or makes of TeX that MathML draws on its own.
_TEX = (
    (r"^\s*\\[(\[]|\\[)\]]\s*$|\\(begin|end)\{(equation|split)\}|\\label\{[^}]*\}", ""),
    (r"\\[bB]ig[lr]?(?![a-zA-Z])", ""),
    (r"\\[td]frac", r"\\frac"),
    (r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}"),
    (r"\\operatorname\*?\{([^}]*?)(?:\\,)?([^},]*)\}", r"\\operatorname{\1\2}"),
)
_PRIME, _PRIMED = "<mi>\u02b9</mi>", r"(<mi>\w</mi>)<mi>&#x02032;</mi>"
_WITHIN = r"((?:(?!</?msubsup>).)*)"
_SUM = rf"<msubsup><mo>&#x02211;</mo>{_WITHIN}</msubsup>"
_BRACED = (
    r"<munder><munder>(<mrow>(?:(?!<munder>).)*?</mrow>)<mo>&#x23DF;</mo></munder>(.*?)</munder>"
)
_MATHML = (
    # Fonts without mathematics have no brace that grows: the style sheet draws one.
    (_BRACED, r'<munder><mrow class="braced">\1</mrow>\2</munder>'),
    (r"<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>'),
    # A prime that is raised already: fonts without mathematics would raise it twice.
    (rf"<msup>{_PRIMED}</msup>", rf"\1{_PRIME}"),
    (rf"<msubsup>(<mi>\w</mi>){_PRIMED}</msubsup>", rf"<msub><mrow>\1{_PRIME}</mrow>\2</msub>"),
)


def mathml(tex: str, display: bool = False) -> str:
    r"""A formula of the page, `\(...\)`, `\[...\]` or bare TeX, as MathML.

    Raises:
        ValueError: for TeX that cannot be converted; the message quotes it.
    """
    for pattern, replacement in _TEX:
        tex = re.sub(pattern, replacement, tex).strip()
    tex = tex.rstrip("., ") if display else tex  # the sentence it stood in is not there
    try:
        drawn = str(convert(tex, display="block" if display else "inline"))
    except Exception as error:  # the converter raises whatever its parser met
        raise ValueError(f"the formula {tex!r} cannot be converted to MathML: {error}") from error
    if display:  # limits stand above and below; the converter has them beside the sum
        drawn = re.sub(_SUM, r"<munderover><mo>&#x02211;</mo>\1</munderover>", drawn)
    for pattern, replacement in _MATHML:
        drawn = re.sub(pattern, replacement, drawn)
    return drawn


def clean(tag: Tag) -> Tag:
    """A copy of `tag` that holds only plain elements, text and MathML."""
    own = copy.copy(tag)
    for citation in own.select(".bibtex-citation"):
        _cite(citation)
    for gone in own.select(".headerlink, script, style, .eqno, .caption-number"):
        gone.decompose()
    for formula in own.select(".math"):
        drawn = mathml(formula.get_text(), display=formula.name == "div")
        formula.replace_with(BeautifulSoup(drawn, "html.parser"))
    for inner in own.find_all(lambda t: t.name != "math" and not t.find_parent("math")):
        if inner.name in _KEPT:
            inner.attrs = {}
        else:
            inner.unwrap()
    return own


def _cite(citation: Tag) -> None:
    """Names where the sentence needs them, nothing where it is complete without."""
    before = citation.previous_sibling
    text = str(before) if isinstance(before, NavigableString) else ""
    after = str(citation.next_sibling or "")
    subject = (before is None or _BEGINS.search(text)) and _GOES_ON.match(after)
    if subject or _GOVERNING.search(text):
        names = [link.get_text().rsplit(",", 1)[0] for link in citation.select("a")]
        citation.replace_with(" and ".join(names))
        return
    if text:  # the space before a citation goes with it
        citation.previous_sibling.replace_with(text.rstrip(" \n"))  # type: ignore[union-attr]
    citation.decompose()


def inside(tag: Tag) -> str:
    """The cleaned contents of `tag` as HTML."""
    return clean(tag).decode_contents().strip()


def plain(tag: Tag) -> str:
    """The contents of `tag` as text in one line; formulas as their TeX."""
    own = copy.copy(tag)
    for gone in own.select(".headerlink, .bibtex-citation, script, style, .caption-number"):
        gone.decompose()
    return " ".join(own.get_text().split())


def first_sentence(tag: Tag, least: int = 1) -> str:
    """The first sentence of a paragraph or list item, cleaned, as HTML.

    Args:
        tag: the paragraph or list item.
        least: words; the next sentence is added as long as there are fewer.
    """
    own = clean(tag)
    said = ""
    for child in (own.find("p") or own).children:
        if isinstance(child, NavigableString):
            for end in _END.finditer(str(child)):
                sentence = f"{said}{str(child)[: end.end()]}".strip()
                if len(sentence.split()) >= least:
                    return sentence
        said += str(child)
        if isinstance(child, Tag) and child.name != "math" and _END.search(child.get_text()[-2:]):
            break
    return said.strip()
