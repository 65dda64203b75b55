"""A figure as HTML that needs nothing outside itself: pictures, slider, script, style."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from string import Template

import numpy as np
from PIL import Image

from ssl_companion.chapters.plots.phone import Box

CAPTION_MARK = "<!--caption-->"  # the book's extension cuts here to number the caption
DPI = 144  # 1.5 device pixels for a CSS pixel: sharp on dense screens at half the bytes of 2
_CSS_DPI = 96
_COLOURS = 64


def page_figure(
    images: Sequence[np.ndarray],
    shown: Sequence[str],
    alts: Sequence[str],
    name: str,
    caption: str,
    label: str = "",
    start: int = 0,
    dark: Sequence[np.ndarray] = (),
    parts: Sequence[Sequence[Box]] = (),
    narrow: Sequence[np.ndarray] = (),
) -> str:
    """HTML of one picture, or of several behind a slider.

    Args:
        images: uint8 [H, W, 3] each, all of one size, at `DPI`.
        shown: how each value reads beside the slider.
        alts: the alternative text of each picture.
        name: identifier, unique in the page.
        caption: plain text, between two `CAPTION_MARK`s.
        label: what the slider chooses.
        start: index of the picture shown first.
        dark: the pictures for a dark page, where they hold photographs, which stay as they are;
            without them, light and dark change places there.
        parts: of each picture, columns of panels that a narrow screen shows one under the other.
        narrow: the pictures for a narrow screen, all of one size, where there are no parts.

    Raises:
        ValueError: as many dark or narrow pictures as others, or none, are expected.
    """
    for which, others in (("dark", dark), ("narrow", narrow)):
        if others and len(others) != len(images):
            raise ValueError(f"{which}: {len(others)} pictures; expected {len(images)} or none")
    kind = "dark-light" if dark else "dark-light drawing"
    styles = [""] * len(images)
    if dark:
        styles = [f' style="--dark:url({address})"' for address in _encode(dark)]
    elif narrow:
        ratio = f"--narrow-ratio:{narrow[0].shape[1]}/{narrow[0].shape[0]}"
        styles = [
            f' style="{ratio};--narrow:url({address})"' for address in _encode(narrow, "WEBP")
        ]
    places = [_places(some) for some in parts] or [""] * len(images)
    styles = [style + place for style, place in zip(styles, places, strict=True)]
    height, width = (round(side * _CSS_DPI / DPI) for side in images[0].shape[:2])
    pictures = [
        f'<img class="{kind}" width="{width}" height="{height}" alt="{html.escape(alt)}" '
        f'data-shown="{html.escape(text)}" src="{source}"{style}{"" if i == start else " hidden"}>'
        for i, (source, text, alt, style) in enumerate(
            zip(_encode(images), shown, alts, styles, strict=True)
        )
    ]
    bar = ""
    if len(images) > 1:
        for i in (0, -1):  # on paper nothing moves: the first picture and the last, each named
            words = html.escape(f"{label} {shown[i]}".strip())
            pictures[i] = f'<p class="frames-paper">{words}</p>\n{pictures[i]}'
        bar = _BAR.substitute(
            name=name,
            label=html.escape(label),
            last=len(images) - 1,
            start=start,
            shown=html.escape(shown[start]),
        )
    return _FIGURE.substitute(
        name=name,
        bar=bar,
        pictures="\n".join(pictures),
        caption=html.escape(caption),
        mark=CAPTION_MARK,
        width=width,
        script=_SCRIPT if bar else "",
    )


def _places(parts: Sequence[Box]) -> str:
    """Left, top, right and bottom of each part, in per cent; companion.js reads them."""
    each = (
        " ".join(f"{100 * side:.1f}" for side in (box.left, box.top, box.right, box.bottom))
        for box in parts
    )
    return f' data-parts="{",".join(each)}"' if parts else ""


def _encode(images: Sequence[np.ndarray], kind: str = "PNG") -> list[str]:
    """Pictures as data addresses, in one palette of 64 colours so that nothing flickers.

    Notebooks and the PDF take PNGs; what only a browser shows may be WebP, without loss a quarter
    smaller.
    """
    stride = max(1, int(np.ceil(np.sqrt(sum(image.size for image in images) / 12e6))))
    montage = np.concatenate([image[::stride, ::stride] for image in images])
    palette = _palette(montage, images[0][0, 0])
    addresses = []
    for image in images:
        indexed = Image.fromarray(_nearest(palette, image))
        indexed.putpalette(palette.ravel().tolist())
        addresses.append(_address(indexed if kind == "PNG" else indexed.convert("RGB"), kind))
    return addresses


def _palette(image: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The ground, for it has to vanish in the page it stands on, and 63 more: [64, 3]."""
    method = Image.Quantize.MEDIANCUT
    chosen = Image.fromarray(image).quantize(_COLOURS - 1, method, kmeans=1).getpalette() or []
    others = np.asarray(chosen, dtype=np.uint8).reshape(-1, 3)
    return np.concatenate([ground[None], others])


def _nearest(palette: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Index of the nearest colour of the palette, uint8 [H, W]; Pillow's own search is rough."""
    packed = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    colours, where = np.unique(packed, return_inverse=True)
    parts = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=1).astype(int)
    squares = ((parts[:, None] - palette.astype(int)[None]) ** 2).sum(axis=2)
    return squares.argmin(axis=1).astype(np.uint8)[where].reshape(image.shape[:2])


def png_address(image: Image.Image) -> str:
    """The image as a `data:` address."""
    return _address(image, "PNG")


def _address(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, optimize=True, lossless=True)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{content}"


_FIGURE = Template("""<figure class="frames" id="figure-$name">
<style>
.frames img{display:block;max-width:100%;height:auto;margin:0 auto;background:#fff;
 border-radius:6px}
.frames img[hidden]{display:none}
.frames-bar{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem .7rem;margin:0 0 .6rem}
.frames-range{display:flex;flex:1 1 16rem;align-items:center;gap:.7rem;min-width:0}
.frames-range label{margin:0}
.frames-bar input{flex:1 1 9rem;min-width:5rem;height:1.75rem}
.frames-bar button{min-width:2.2rem;min-height:2rem;font:inherit;cursor:pointer}
.frames-bar b{min-width:4ch;font-variant-numeric:tabular-nums}
.frames-paper{display:none}
@media print{.frames-bar{display:none}
 .frames:has(.frames-paper) img{display:none}
 .frames .frames-paper+img{display:block!important;max-height:42vh;width:auto;break-inside:avoid}
 .frames-paper{display:block;font-weight:600;margin:.4rem 0 .2rem;break-after:avoid}}
</style>
${bar}<div class="frames-stage" style="--width:${width}px">
$pictures
</div>
$mark<figcaption>$caption</figcaption>$mark
$script</figure>""")

_BAR = Template("""<div class="frames-bar">
<button type="button" data-step="-1" aria-label="Previous $label">&#8249;</button>
<button type="button" data-play>Play</button>
<button type="button" data-step="1" aria-label="Next $label">&#8250;</button>
<span class="frames-range"><label for="range-$name">$label</label>
<input id="range-$name" type="range" min="0" max="$last" step="1" value="$start"
 aria-valuetext="$shown" autocomplete="off">
<b aria-hidden="true">$shown</b></span>
</div>
""")

# Arrow keys stop at the figure: JupyterLab and the theme listen for them further out.
_SCRIPT = """<script>(() => {
const root = document.currentScript.closest(".frames"), one = s => root.querySelector(s);
const images = [...root.querySelectorAll("img")], range = one("input"), play = one("[data-play]");
let timer = null;
const go = i => {
  range.value = Math.max(0, Math.min(images.length - 1, i));
  images.forEach((image, k) => { image.hidden = k !== +range.value; });
  one("b").textContent = images[+range.value].dataset.shown;
  range.setAttribute("aria-valuetext", one("b").textContent);
};
const stop = () => {
  clearInterval(timer); timer = null;
  play.textContent = "Play";
};
range.addEventListener("input", () => { stop(); go(+range.value); });
root.addEventListener("keydown", event => event.stopPropagation());
root.querySelectorAll("[data-step]").forEach(button =>
  button.addEventListener("click", () => { stop(); go(+range.value + +button.dataset.step); }));
play.addEventListener("click", () => {
  if (timer) { stop(); return; }
  if (+range.value === images.length - 1) go(0);
  play.textContent = "Pause";
  timer = setInterval(() => {
    go(+range.value + 1);
    if (+range.value === images.length - 1) stop();
  }, 700);
});
go(+range.value);
})();</script>
"""
