"""The diagrams of the book: what is trained and measured, the measures, the labels, a chapter."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ssl_companion.chapters.plots.drawing import (
    PANEL_WIDTH,
    Drawing,
    arrow,
    box,
    circle,
    cross,
    label,
    line,
    point,
    point_of,
)
from ssl_companion.data.hierarchy import CIFAR100, Hierarchy
from ssl_companion.measures import NearestCentroid, cdnv

_LEFT, _MIDDLE, _RIGHT = 65, PANEL_WIDTH / 2, 245


def views() -> list[Drawing]:
    """From an image to the loss, and what each term of VICReg's loss pulls."""
    return [_from_image_to_loss(), _what_the_terms_pull()]


def _from_image_to_loss() -> Drawing:
    parts = [
        *_tree_in_a_box(_MIDDLE, 32),
        label(_MIDDLE + 38, 37, "image"),
        arrow(_MIDDLE - 32, 50, _LEFT + 30, 86),
        arrow(_MIDDLE + 32, 50, _RIGHT - 30, 86),
        *_tree_in_a_box(_LEFT, 116, scale=1.35, shift=(-4, 3)),
        *_tree_in_a_box(_RIGHT, 116, scale=1.15, shift=(6, -1), tone=""),
        label(_MIDDLE, 112, "two views,", "altered at random", kind="small", anchor="middle"),
    ]
    y = 146
    for name, kind, below, note, tone in (
        ("backbone", "the same for both views", "features", "measured here", "a"),
        ("projector", "the same for both views", "embeddings", "the loss acts here", "b"),
    ):
        parts += [arrow(x, y, x, y + 20) for x in (_LEFT, _RIGHT)]
        parts += [
            box(30, y + 22, PANEL_WIDTH - 60, 42),
            label(_MIDDLE, y + 39, name, kind="bold", anchor="middle"),
            label(_MIDDLE, y + 56, kind, kind="small", anchor="middle"),
        ]
        parts += [arrow(x, y + 66, x, y + 86) for x in (_LEFT, _RIGHT)]
        parts += [
            box(16, y + 88, PANEL_WIDTH - 32, 44, f"box {tone}"),
            *_vector(_LEFT, y + 110, tone),
            *_vector(_RIGHT, y + 110, tone),
            label(_MIDDLE, y + 106, below, kind="bold", anchor="middle"),
            label(_MIDDLE, y + 123, note, kind="small", anchor="middle"),
        ]
        y += 134
    return Drawing(
        "From an image to the loss",
        "An image is altered twice at random, which gives two views. Each view goes through the "
        "same backbone, which makes a feature of it; this book measures the features. Each feature "
        "goes through the same projector, which makes an embedding of it; the loss acts on the "
        "embeddings.",
        y,
        parts,
    )


def _tree_in_a_box(
    x: float, y: float, scale: float = 1.0, shift: tuple[float, float] = (0, 0), tone: str = "c"
) -> list[str]:
    """A maple as in a photograph of a side of 56, whose middle is at `x`, `y`."""
    left, top = x + shift[0], y + shift[1]
    place = f'cx="{left:g}" cy="{top - 7 * scale:g}" r="{12 * scale:g}"'
    trunk = line(left, top + 5 * scale, left, top + 18 * scale, "thick")
    return [box(x - 28, y - 28, 56, 56, "frame"), f'<circle class="box {tone}" {place}/>', trunk]


def _vector(x: float, y: float, tone: str) -> list[str]:
    frame = f'<rect class="line {tone}" x="{x - 25:g}" y="{y - 7:g}" width="50" height="14"/>'
    sides = (x - 15 + 10 * i for i in range(4))
    return [frame, *(line(side, y - 7, side, y + 7, tone) for side in sides)]


def _what_the_terms_pull() -> Drawing:
    def row(y: float, name: str, where: str, *does: str) -> list[str]:
        return [
            label(122, y + 18, name, kind="bold"),
            label(122, y + 36, where, kind="small"),
            label(122, y + 58, *does),
        ]

    parts = [
        box(1, 1, PANEL_WIDTH - 2, 112, "frame"),
        *_pairs(62, 57),
        *row(6, "invariance", "between the two views", "pulls the views of one", "image together"),
        box(1, 127, PANEL_WIDTH - 2, 285, "frame"),
        label(14, 150, "regularizer", kind="bold"),
        label(14, 168, "compares no views with each other", kind="small"),
        *_spread(62, 228),
        *row(176, "variance", "within the batch", "keeps every dimension", "spread out"),
        *_off_the_line(62, 346),
        *row(294, "covariance", "within the batch", "keeps dimensions from", "varying together"),
    ]
    return Drawing(
        "What each term of the loss pulls",
        "Three terms of VICReg's loss. Invariance acts between the two views: it pulls the "
        "embeddings of one image's views together. The other two are the regularizer, which acts "
        "within the batch and compares no views with each other: variance pushes the embeddings of "
        "different images apart until every dimension is spread out; covariance pushes them off a "
        "common line, so that no two dimensions vary together.",
        414,
        parts,
    )


def _pairs(x: float, y: float) -> list[str]:
    parts = []
    for u, v in ((0, -34), (-6, 0), (4, 34)):
        parts += [
            point(x + u - 34, y + v), point(x + u + 34, y + v, filled=False),
            arrow(x + u - 27, y + v, x + u - 3, y + v, "b"),
            arrow(x + u + 27, y + v, x + u + 3, y + v, "b"),
        ]  # fmt: skip
    return parts


def _spread(x: float, y: float) -> list[str]:
    dots = [(-7, -6), (6, -9), (9, 5), (-4, 8), (0, -1)]
    ways = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return [point(x + u, y + v) for u, v in dots] + [
        arrow(x + 17 * u, y + 17 * v, x + 46 * u, y + 46 * v, "b") for u, v in ways
    ]


def _off_the_line(x: float, y: float) -> list[str]:
    along = (-38, -19, 0, 19, 38)
    return [
        line(x - 46, y + 46, x + 46, y - 46, "thin dashed"),
        *(point(x + u, y - u) for u in along),
        *(arrow(x + u + 6 * s, y - u + 6 * s, x + u + 24 * s, y - u + 24 * s, "b")
          for u, s in ((-19, 1), (19, -1), (0, 1), (0, -1))),
    ]  # fmt: skip


def nearest_mean_and_width() -> list[Drawing]:
    """NCC accuracy as points and the boundaries between class means, CDNV as widths and distance.

    Both numbers are computed from the points that are drawn.
    """
    return [_nearest_mean(), _widths()]


def three_clouds() -> tuple[np.ndarray, np.ndarray]:
    """The points of the diagram of NCC accuracy, float64 [N, 2], and their classes, int64 [N].

    Of each point but one the nearest class mean is its own.
    """
    rng = np.random.default_rng(3)
    centres = np.array([[85.0, 190.0], [215.0, 205.0], [160.0, 75.0]])
    turns = rng.uniform(0, 2 * np.pi, (3, 13))
    reach = 46 * np.sqrt(np.linspace(0.03, 1, 13))
    clouds = centres[:, None] + reach[None, :, None] * np.stack([np.cos(turns), np.sin(turns)], 2)
    points = np.concatenate([clouds.reshape(-1, 2), [[181.0, 150.0]]])
    return points, np.append(np.repeat(np.arange(3), 13), 0)


def boundaries(
    means: np.ndarray, width: float, height: float
) -> list[tuple[float, float, float, float]]:
    """Where two means are the nearest and equally near: x, y of both ends of each line.

    Args:
        means: float64 [K, 2].
        width: of the frame that cuts the lines off, from 0.
        height: of the same.
    """
    found = []
    for i, j in itertools.combinations(range(len(means)), 2):
        middle, between = (means[i] + means[j]) / 2, means[i] - means[j]
        way = np.array([-between[1], between[0]])
        # Limits on the points middle + t * way, each as slope * t <= room: the frame, other means.
        others = means[[k for k in range(len(means)) if k not in (i, j)]]
        to_others = 2 * (others - means[i])
        slopes = np.concatenate([way, -way, to_others @ way])
        squares = (others**2).sum(axis=1) - (means[i] ** 2).sum()
        rooms = np.concatenate([[width, height] - middle, middle, squares - to_others @ middle])
        ends = rooms[slopes != 0] / slopes[slopes != 0]
        rising = slopes[slopes != 0] > 0
        low, high = ends[~rising].max(), ends[rising].min()
        if low < high and (rooms[slopes == 0] >= 0).all():
            (x, y), (x_end, y_end) = middle + low * way, middle + high * way
            found.append((x, y, x_end, y_end))
    return found


def _nearest_mean() -> Drawing:
    points, labels = three_clouds()
    rule = NearestCentroid().fit(points, labels)
    said = np.asarray(rule.predict(points))
    means = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
    right, (wrong,) = int((said == labels).sum()), np.flatnonzero(said != labels)
    height = 262.0
    parts = [box(0, 0, PANEL_WIDTH, height, "frame")]
    parts += [line(*ends) for ends in boundaries(means, PANEL_WIDTH, height)]
    parts += [point_of(int(k), *xy) for xy, k in zip(points, labels, strict=True)]
    parts += [cross(*mean) for mean in means]
    (x, y), (x_mean, y_mean) = points[wrong], means[said[wrong]]
    parts += [circle(x, y, 10), line(x, y, x_mean, y_mean, "dashed")]
    keys = {
        "class mean": cross(12, 282),
        "equally far from two means": line(2, 302, 22, 302),
        "nearer to the mean of another class": circle(12, 322, 8),
    }
    for i, (key, mark) in enumerate(keys.items()):
        parts += [mark, label(32, 286.5 + 20 * i, key, kind="small")]
    share = f"{right} of {len(points)} points"
    parts += [label(0, 354, f"NCC accuracy: {share}, {right / len(points):.1%}", kind="bold")]
    return Drawing(
        "NCC accuracy: is a point's own class mean the nearest?",
        "Three clouds of points, one for each class, with their class means as crosses. Lines "
        "where two means are equally far divide the plane into three parts. All points but one lie "
        "in the part of their own mean; that one, ringed, is nearer to the mean of another class. "
        f"NCC accuracy is {share}, {right / len(points):.1%}.",
        360,
        parts,
    )


def two_clouds(shrunk: float) -> tuple[np.ndarray, np.ndarray]:
    """The points of a diagram of CDNV, at `shrunk` times their distance from the class means:
    float64 [N, 2], and their classes, int64 [N]."""
    turns = 2.399963 * np.arange(14) + np.array([[0.4], [2.6]])  # the golden angle: an even disc
    reach = 74 * np.sqrt((np.arange(14) + 0.5) / 14)
    around = reach[None, :, None] * np.stack([np.cos(turns), np.sin(turns)], axis=2)
    around -= around.mean(axis=1, keepdims=True)
    centres = np.array([[85.0, 0.0], [225.0, 0.0]])
    return (centres[:, None] + shrunk * around).reshape(-1, 2), np.repeat([0, 1], 14)


def _widths() -> Drawing:
    parts, said = [], []
    for how, shrunk, y in (("wide", 1.0, 77.0), ("narrow", 0.3, 204.0)):
        points, labels = two_clouds(shrunk)
        points[:, 1] += y
        means = np.stack([points[labels == k].mean(axis=0) for k in (0, 1)])
        squares = ((points - means[labels]) ** 2).sum(axis=1)
        widths = [float(np.sqrt(squares[labels == k].mean())) for k in (0, 1)]
        parts += [point_of(int(k), *xy) for xy, k in zip(points, labels, strict=True)]
        for (x, _), width in zip(means, widths, strict=True):
            parts += [circle(x, y, width, "dashed"), cross(x, y)]
        parts += [arrow(means[0, 0] + 9, y, means[1, 0] - 9, y, both=True)]
        said.append(f"relatively {how}: CDNV {cdnv(points, labels):.2f}")
        below = points[:, 1].max() + 22
        parts += [label(_MIDDLE, below, said[-1], kind="bold", anchor="middle")]
    formula = "CDNV: mean of the squared widths,", "divided by the squared distance"
    parts += [
        label(_MIDDLE, y - 8, "distance", kind="small", anchor="middle"),
        circle(12, 302, 8, "dashed"),
        label(32, 298, "width: root mean square", "distance of points to their mean", kind="small"),
        label(0, 338, *formula, kind="bold"),
    ]
    return Drawing(
        "CDNV: how wide are two classes for the distance of their means?",
        "Two pairs of clouds, whose means lie equally far apart in both pairs. A dashed circle "
        "around each mean shows the width of its class: the root mean square distance of its "
        f"points to it. Above, the clouds are {said[0]}. Below, they are {said[1]}. CDNV is the "
        "mean of the two squared widths, divided by the squared distance of the means.",
        360,
        parts,
    )


def label_tree() -> list[Drawing]:
    """The groups that a maple tree and a bus belong to at each level of CIFAR-100's labels."""
    return [_lineage("maple_tree", CIFAR100), _lineage("bus", CIFAR100)]


def _lineage(fine: str, labels: Hierarchy) -> Drawing:
    names = labels.levels[0].class_names
    own, parts, said = names.index(fine), [], []
    inside, parent, y = np.full(len(names), True), _MIDDLE, 0.0
    for level in reversed(labels.levels):
        mine = int(level.of_fine[own])
        shown = [int(k) for k in np.unique(level.of_fine[inside])]
        row = _Row([level.class_names[k] for k in shown], shown.index(mine), y + (36 if y else 24))
        if y:  # the tree comes down from the group above
            parts += row.branches(parent, y)
        parts += row.boxes()
        kind = "groups" if level is not labels.levels[0] else "classes"
        parts += [label(0, y + 15, f"{level.name}: {level.k} {kind}", kind="small")]
        others = [_plain(level.class_names[k]) for k in shown if k != mine]
        said.append(
            f"{level.name}, {level.k} {kind}: {_plain(level.class_names[mine])}, "
            f"beside {', '.join(others)}"
        )
        inside, parent, y = level.of_fine == mine, row.middles[row.chosen], row.bottom
    return Drawing(
        f"The groups of {_plain(fine)}, level by level",
        "A tree of labels from the coarsest level to the finest; at each level the group that "
        f"holds {_plain(fine)} is marked and opened into its parts. {'. '.join(said)}.",
        y + 2,
        parts,
    )


class _Row:
    """Names in boxes beside each other, one of them chosen."""

    def __init__(self, names: Sequence[str], chosen: int, top: float) -> None:
        self.texts = [[_plain(name)] for name in names]
        if sum(map(self._width, self.texts)) + 4 * len(names) > PANEL_WIDTH:
            self.texts = [_two_lines(text) for [text] in self.texts]
        widths = [self._width(text) for text in self.texts]
        gap = min(10.0, (PANEL_WIDTH - 2 - sum(widths)) / max(1, len(widths) - 1))
        start = (PANEL_WIDTH - sum(widths) - gap * (len(widths) - 1)) / 2
        ends = start + np.cumsum(np.array(widths) + gap) - gap
        self.widths, self.middles = widths, (ends - np.array(widths) / 2).tolist()
        self.top, self.chosen = top, chosen
        self.bottom = top + (42 if max(map(len, self.texts)) > 1 else 26)

    @staticmethod
    def _width(text: Sequence[str]) -> float:
        letters = max(len(line) + 0.5 * sum(map(line.count, "mw")) for line in text)
        return max(7.2 * letters + 10, 34)

    def boxes(self) -> list[str]:
        parts = []
        for i, text in enumerate(self.texts):
            x, width = self.middles[i], self.widths[i]
            kinds = ("box c", "small bold") if i == self.chosen else ("frame", "small")
            parts += [box(x - width / 2, self.top, width, self.bottom - self.top, kinds[0])]
            first = (self.top + self.bottom) / 2 + 4.5 - 8 * (len(text) - 1)
            parts += [label(x, first, *text, kind=kinds[1], anchor="middle")]
        return parts

    def branches(self, parent: float, above: float) -> list[str]:
        """From the group above, at `parent`, down to every box; to the chosen one last."""
        turn, to = self.top - 12, self.middles[self.chosen]
        ends = [parent, *self.middles]
        thin = [line(min(ends), turn, max(ends), turn, "thin")]
        thin += [line(x, turn, x, self.top, "thin") for x in self.middles if x != to]
        path = f"M{parent:.4g} {above:.4g}V{turn:.4g}H{to:.4g}V{self.top:.4g}"
        return [*thin, f'<path class="line c thick" d="{path}"/>']


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _two_lines(text: str) -> list[str]:
    """The words on two lines of about one length; one word stays on one."""
    parts = text.split()
    cuts = [(" ".join(parts[:i]), " ".join(parts[i:])) for i in range(1, len(parts))]
    return list(min(cuts, key=lambda cut: max(map(len, cut)))) if cuts else [text]


def protocol() -> list[Drawing]:
    """What a chapter states first, and what it then computes."""
    first = (
        ("claim", "one sentence,", "with its source"),
        ("rule and threshold", "which number decides, and how", "large it must be"),
        ("your prediction", "a guess, written down before", "you scroll"),
    )
    then = (
        ("measurement", "the number that the rule names,", "with its interval"),
        ("controls", "cases with a known answer,", "which the rule must get right"),
        ("verdict", "by the rule: reproduced, partly,", "undecided or not reproduced"),
    )
    return [
        _steps("Stated first", first, 1, "A chapter first states three things"),
        _steps("Then computed", then, 4, "The chapter then computes three things"),
    ]


def _steps(heading: str, steps: Sequence[Sequence[str]], start: int, opening: str) -> Drawing:
    tone, parts, y = ("a" if start == 1 else "b"), [label(0, 14, heading, kind="bold")], 26.0
    for i, (name, *about) in enumerate(steps):
        if i:
            parts += [arrow(_MIDDLE, y - 22, _MIDDLE, y - 2)]
        last = start > 1 and i == len(steps) - 1
        parts += [
            box(1, y, PANEL_WIDTH - 2, 76, f"box {'c' if last else tone}"),
            circle(30, y + 38, 15, "c" if last else tone),
            label(30, y + 42.5, str(start + i), kind="bold", anchor="middle"),
            label(60, y + 24, name, kind="bold"),
            label(60, y + 43, *about),
        ]
        y += 100
    said = [f"{start + i}, {name}: {' '.join(about)}" for i, (name, *about) in enumerate(steps)]
    title = f"{heading}: steps {start} to {start + len(steps) - 1}"
    return Drawing(title, f"{opening}. {'; '.join(said)}.", y - 22, parts)
