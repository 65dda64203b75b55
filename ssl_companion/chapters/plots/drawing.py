"""What the book's diagrams are drawn with: boxes, arrows, words and points, as SVG.

Nothing here names a colour. Everything is drawn in the colour of the text around it, or in one of
three tones, so that a diagram follows the theme of the page, notebook or slide that it stands in.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.colors import to_hex

from ssl_companion.chapters.plots.theme import PALETTE

PANEL_WIDTH = 310  # of a panel, CSS pixels: two stand side by side in a page, one fills a phone
TONES = ("a", "b", "c")
_SHAPES = ("circle", "square", "triangle")
STYLE = (
    ".diagram{display:flex;flex-wrap:wrap;justify-content:center;align-items:flex-start;gap:1.25rem}"
    ".diagram svg{flex:1 1 300px;min-width:0;max-width:345px;height:auto;overflow:visible;"
    "color:var(--pst-color-text-base,inherit)}"
    ".diagram text{fill:currentColor;font-size:13px;font-family:inherit}"
    ".diagram .small{font-size:12px}.diagram .bold{font-weight:650}"
    ".diagram .box{fill:currentColor;fill-opacity:.09;stroke:currentColor;stroke-width:1.5}"
    ".diagram .frame{fill:none;stroke:currentColor;stroke-width:1.5;stroke-opacity:.4}"
    ".diagram .line{fill:none;stroke:currentColor;stroke-width:1.5}"
    ".diagram .thin{stroke-opacity:.4}.diagram .thick{stroke-width:3}"
    ".diagram .dashed{stroke-dasharray:5 4}.diagram .solid{fill:currentColor}"
    + "".join(
        f".diagram .{tone}{{color:var(--companion-tone-{tone},{to_hex(colour)})}}"
        for tone, colour in zip(TONES, PALETTE, strict=False)
    )
)


@dataclass(frozen=True)
class Drawing:
    """One panel of a diagram, `PANEL_WIDTH` wide.

    Attributes:
        title: what it shows, in a few words; a screen reader's name for it.
        description: the same as the picture says, in words.
        height: CSS pixels.
        parts: SVG elements, the lowest first.
    """

    title: str
    description: str
    height: float
    parts: Sequence[str]

    def svg(self, name: str) -> str:
        """The panel as an SVG element; `name` is unique in its page."""
        return (
            f'<svg viewBox="0 0 {PANEL_WIDTH} {self.height:g}" role="img" '
            f'aria-labelledby="{name}-title {name}-desc" xmlns="http://www.w3.org/2000/svg">'
            f'<title id="{name}-title">{html.escape(self.title)}</title>'
            f'<desc id="{name}-desc">{html.escape(self.description)}</desc>\n'
            + "\n".join(self.parts)
            + "\n</svg>"
        )


def label(x: float, y: float, *lines: str, kind: str = "", anchor: str = "start") -> str:
    """Lines of text, the first on the base line `y`.

    Args:
        x: where they start, have their middle or end, by `anchor`.
        y: base line of the first.
        lines: one below the other.
        kind: any of "small", "bold".
        anchor: "start", "middle" or "end".
    """
    inner = "".join(
        f'<tspan x="{x:g}" y="{y + 16 * i:g}">{html.escape(line)}</tspan>'
        for i, line in enumerate(lines)
    )
    return f'<text class="{kind}" text-anchor="{anchor}">{inner}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    """A rounded box; `kind` is "box" or "frame", and may have a tone."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" {place} rx="7"/>'


def line(x: float, y: float, x_end: float, y_end: float, kind: str = "") -> str:
    """A straight line; `kind` is any of "thin", "thick", "dashed", and may have a tone."""
    return f'<path class="line {kind}" d="M{x:.4g} {y:.4g}L{x_end:.4g} {y_end:.4g}"/>'


def arrow(
    x: float, y: float, x_end: float, y_end: float, kind: str = "", both: bool = False
) -> str:
    """A line with a head at its end, or with one at both ends."""
    length = math.hypot(x_end - x, y_end - y)
    u, v = (x_end - x) / length, (y_end - y) / length
    heads = [_head(x_end, y_end, u, v)] + ([_head(x, y, -u, -v)] if both else [])
    back = 5.0 if both else 0.0
    shaft = line(x + back * u, y + back * v, x_end - 5 * u, y_end - 5 * v, kind)
    return shaft + f'<path class="solid {kind}" d="{"".join(heads)}"/>'


def _head(x: float, y: float, u: float, v: float) -> str:
    left = f"{x - 8 * u + 4 * v:.4g} {y - 8 * v - 4 * u:.4g}"
    right = f"{x - 8 * u - 4 * v:.4g} {y - 8 * v + 4 * u:.4g}"
    return f"M{x:.4g} {y:.4g}L{left}L{right}Z"


def point(x: float, y: float, tone: str = "", shape: str = "circle", filled: bool = True) -> str:
    """A point of a cloud."""
    kind = f'class="{"solid" if filled else "line"} {tone}"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.4g}" cy="{y:.4g}" r="3.6"/>'
    corners = ((-3.3, -3.3), (3.3, -3.3), (3.3, 3.3), (-3.3, 3.3))
    if shape == "triangle":
        corners = ((0, -4.5), (4.2, 3.4), (-4.2, 3.4))  # type: ignore[assignment]
    path = "L".join(f"{x + i:.4g} {y + j:.4g}" for i, j in corners)
    return f'<path {kind} d="M{path}Z"/>'


def point_of(group: int, x: float, y: float) -> str:
    """A point in the tone and the shape of its group, one of three."""
    return point(x, y, TONES[group], _SHAPES[group])


def cross(x: float, y: float, kind: str = "thick") -> str:
    """A mean."""
    return line(x - 6, y - 6, x + 6, y + 6, kind) + line(x - 6, y + 6, x + 6, y - 6, kind)


def circle(x: float, y: float, radius: float, kind: str = "") -> str:
    """A circle without a filling."""
    return f'<circle class="line {kind}" cx="{x:.4g}" cy="{y:.4g}" r="{radius:.4g}"/>'
