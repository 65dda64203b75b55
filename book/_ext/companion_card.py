"""What a link to the book shows elsewhere, with a picture drawn from a recording at every build.

`sphinxext-opengraph` writes the pages' titles and descriptions; here is their image, and the
address that it needs: previews do not follow relative ones. The book's first address,
`index.html`, is made of `_templates/front-door.html` and leads on to the first page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx.application import Sphinx

from ssl_companion.recordings import Recording, open_recording

NAME = "_static/social-card.png"
RECORDING = "clustering-vicreg-s0"
_INK, _PAPER, _COLOURS = "#14202e", "#ffffff", ("#0173b2", "#de8f05", "#029e73")
_SIDE = {"sample": "its own image", "fine": "its class", "coarse": "its superclass"}


def site_address(repository: str) -> str:
    """Where GitHub Pages serves the book of a repository, or "" where none is known."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", repository)
    if match is None:
        return ""
    return f"https://{match[1].lower()}.github.io/{match[2]}/"


def card(recording: Recording) -> Figure:
    """1200 x 630 pixels: the title, and NCC accuracy at three levels over its start."""
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=_PAPER)
    axes = figure.add_axes((0.55, 0.17, 0.27, 0.66))
    for level, colour in zip(_SIDE, _COLOURS, strict=True):
        rows = recording.select(
            measure="ncc", level=level, split="test", layer=recording.layers[-1]
        ).sort_values("epoch")
        times = (rows["value"] / rows["value"].iloc[0]).to_numpy()
        axes.plot(rows["epoch"] + 1, times, color=colour, linewidth=4)
        axes.annotate(
            f"×{times[-1]:.1f}\n{_SIDE[level]}", (rows["epoch"].iloc[-1] + 1, times[-1]),
            xytext=(12, 0), textcoords="offset points", va="center", color=colour, size=16,
            weight="bold",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks([], minor=True)
    axes.set_xticks([])
    axes.set_yticks([1])
    axes.set_yticklabels(["start"], size=15)
    axes.set_xlabel("training", size=17, color=_INK)
    axes.set_title("How often a picture is nearest to", size=17, color=_INK, loc="left", pad=14)
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.05, 0.72, "SSL Companion", size=42, weight="bold", color=_INK)
    words = (
        "Never shown a label, a network\nputs the maples together,\nnear the oaks. Why?\n\n"
        "An executable book around\nReverse Engineering\nSelf-Supervised Learning"
    )
    figure.text(0.05, 0.64, words, size=22, va="top", color=_INK, linespacing=1.35)
    return figure


def set_up(app: Sphinx, repository: str) -> None:
    """Tell sphinxext-opengraph and the first page where the book and its picture are."""
    config: Any = app.config
    config.ogp_site_url = config.html_context["site_address"] = site_address(repository)
    # Somebody's own book may have other recordings.
    config.ogp_image = config.html_context["card"] = NAME if _folder(app).is_dir() else ""


def draw_card(app: Sphinx, exception: Exception | None) -> None:
    """Put the picture into the site."""
    if exception is None and app.builder.format == "html" and app.config.ogp_image:
        target = Path(app.outdir) / NAME
        target.parent.mkdir(parents=True, exist_ok=True)
        card(open_recording(_folder(app))).savefig(target, facecolor=_PAPER)


def _folder(app: Sphinx) -> Path:
    return Path(app.srcdir) / "book/recordings" / RECORDING
