"""Drawings of the chapter on hierarchy: levels against random groupings, similarities, trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ssl_companion.chapters.analysis.hierarchy import Tree, order_by_groups
from ssl_companion.chapters.plots import drawing
from ssl_companion.chapters.plots.figures import log_epochs
from ssl_companion.chapters.plots.theme import MARKERS, PALETTE, WIDTH, theme
from ssl_companion.data.hierarchy import Hierarchy, Level

_GREY = "#8a8a8a"
_DARK = "#222222"
_PALE = "#d9d9d9"
_BRIEF = {
    "large_man-made_outdoor_things": "man-made outdoors",
    "large_natural_outdoor_scenes": "natural outdoors",
    "large_omnivores_and_herbivores": "other large mammals",
    "household_electrical_devices": "electrical devices",
    "household_furniture": "furniture",
    "non-insect_invertebrates": "other invertebrates",
}
# Lines below a tree: darker than any colour of its strips, and told apart by their dashes.
_BELOW = (("#000000", "-"), ("#5b2a86", "--"), ("#7a4a00", "-."), ("#3d5a00", ":"))


def panels_of_levels(table: pd.DataFrame, *, y_label: str, height: float = 5.4) -> Figure:
    """A panel a level: its accuracy over epochs beside that of random groupings.

    Args:
        table: columns epoch, level, target, value, low, high; the first target of a level is
            drawn in colour, the others in grey; values are fractions.
        y_label: what is measured.
        height: inches.
    """
    levels = list(dict.fromkeys(table["level"]))
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(-(-len(levels) // 2), 2, squeeze=False, sharex=True)
        for axis in axes.flat[len(levels) :]:
            axis.set_axis_off()
        for axis, level in zip(axes.flat, levels, strict=False):
            _against(axis, table[table["level"] == level])
            axis.set_title(level, loc="left")
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        figure.supylabel(y_label, fontsize=12)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _against(axis: Axes, table: pd.DataFrame) -> None:
    for i, (name, line) in enumerate(table.groupby("target", sort=False)):
        line, colour = line.sort_values("epoch"), PALETTE[0] if i == 0 else _GREY
        axis.plot(
            line["epoch"], line["value"], label=str(name), color=colour, markersize=5,
            marker=MARKERS[i], linestyle="-" if i == 0 else "--",
        )  # fmt: skip
        axis.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.25, lw=0)
    log_epochs(axis, table["epoch"].to_numpy(), steps=(1,))
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(100 * v, 6):g}%"))


def tree_and_agreement(
    tree: Tree, agreement: pd.DataFrame, *, mark: float, title: str, height: float = 6.6
) -> Figure:
    """A dendrogram over strips that colour its leaves by level; below, agreement over epochs.

    Args:
        tree: of the class means.
        agreement: columns epoch, measure, value, and low, high of shuffled trees, which are
            drawn as one grey band.
        mark: the epoch of the tree.
        title: above the dendrogram.
        height: inches.
    """
    from scipy.cluster import hierarchy

    drawn = hierarchy.dendrogram(tree.linkage, no_plot=True)
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        top, strips, names, below = figure.subplots(4, 1, height_ratios=(2.6, 0.8, 0.01, 2.2))
        _branches(top, drawn)
        top.set_title(title, loc="left")
        _strips(strips, tree, np.array(drawn["leaves"]))
        names.set_axis_off()
        names.legend(
            handles=_keys(tree), loc="upper center", ncols=4, fontsize=10, handlelength=1.0,
            columnspacing=1.0, borderaxespad=0.0, handletextpad=0.4,
        )  # fmt: skip
        _agreement(below, agreement, mark)
    return figure


def _branches(axis: Axes, drawn: dict[str, list[list[float]]]) -> None:
    x, y = np.array(drawn["icoord"]), np.array(drawn["dcoord"])
    lines = np.stack([x, y / y.max()], axis=2)
    axis.add_collection(LineCollection(list(lines), colors=_DARK, linewidths=0.9))
    axis.set(xlim=(0, 10 * (len(x) + 1)), ylim=(0, 1.03), xticks=[], ylabel="height (highest = 1)")
    axis.grid(False)


def _strips(axis: Axes, tree: Tree, leaves: np.ndarray) -> None:
    names = list(tree.groups)
    rows = [_leaf_colours(tree, name)[leaves] for name in names]
    axis.imshow(np.stack(rows), aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks([])
    for i in range(1, len(names)):
        axis.axhline(i - 0.5, color="white", linewidth=2)
    axis.grid(False)


def _leaf_colours(tree: Tree, level: str) -> np.ndarray:
    """Colour of every class at a level, float [K, 3]: related groups are shades of one colour."""
    names = list(tree.groups)
    middle = names[min(1, len(names) - 1)]
    if level == names[-1] and level != middle:
        greys = np.linspace(0.25, 0.85, len(tree.group_names[level]))
        return np.repeat(greys[tree.groups[level]][:, None], 3, axis=1)
    base = np.array([to_rgb(PALETTE[g % len(PALETTE)]) for g in tree.groups[middle]])
    if level == middle:
        return base
    shade = np.zeros(len(base))
    for group in np.unique(tree.groups[middle]):
        own = tree.groups[middle] == group
        finer = np.unique(tree.groups[level][own], return_inverse=True)[1]
        shade[own] = 0.5 * finer / max(1, finer.max())
    return base + shade[:, None] * (1 - base)


def _keys(tree: Tree) -> list[Patch]:
    """Legend of the two upper strips; the shades of the finest are told apart by their places."""
    names = list(tree.groups)
    keys = []
    for name in dict.fromkeys((names[min(1, len(names) - 1)], names[-1])):
        colours = _leaf_colours(tree, name)
        for group, words in enumerate(tree.group_names[name]):
            first = int(np.flatnonzero(tree.groups[name] == group)[0])
            keys.append(Patch(color=tuple(colours[first]), label=words.replace("_", " ")))
    return keys


def _agreement(axis: Axes, table: pd.DataFrame, mark: float) -> None:
    spans = table.groupby("epoch").agg(low=("low", "min"), high=("high", "max"))
    axis.fill_between(
        spans.index, spans["low"], spans["high"], color=_GREY, alpha=0.3, lw=0,
        label="leaves shuffled",
    )  # fmt: skip
    for i, (name, line) in enumerate(table.groupby("measure", sort=False)):
        line, (colour, dashes) = line.sort_values("epoch"), _BELOW[i % len(_BELOW)]
        axis.plot(
            line["epoch"], line["value"], label=_short(str(name)), color=colour,
            marker=MARKERS[i], markersize=5, linestyle=dashes,
        )  # fmt: skip
    axis.axvline(mark, color=_DARK, linewidth=1.2)
    log_epochs(axis, table["epoch"].to_numpy())
    axis.set(xlabel="epoch", ylabel="agreement (1 = same)")
    axis.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.28), ncols=2, fontsize=10.5)


def _short(measure: str) -> str:
    return measure.replace("adjusted mutual information", "AMI")


def named_branch(branch: Tree, own: str, title: str) -> drawing.Drawing:
    """A branch with the names of its classes, from the first join on the right to the last.

    Args:
        branch: a small tree.
        own: the class whose group at the first level above the classes is marked.
        title: above it.
    """
    k, left, right, row = len(branch.names), 6.0, 128.0, 19.0
    order = _leaf_order(branch.linkage, k)
    y = {leaf: 34 + row * i for i, leaf in enumerate(order)}
    x = dict.fromkeys(range(k), right)
    top = branch.linkage[:, 2].max() if len(branch.linkage) else 1.0
    parts = [drawing.label(0, 14, title, kind="bold")]
    for i, (a, b, height, _) in enumerate(branch.linkage):
        a, b, node = int(a), int(b), k + i
        x[node], y[node] = right - (right - left) * height / top, (y[a] + y[b]) / 2
        parts += [drawing.line(x[node], y[child], x[child], y[child]) for child in (a, b)]
        parts += [drawing.line(x[node], y[a], x[node], y[b])]
    said = []
    level, of = next(iter(branch.groups.items()))
    place = branch.names.index(own)
    for leaf in order:
        if of[leaf] == of[place]:
            parts += [drawing.point(right + 9, y[leaf], "c")]
        kind = "bold" if leaf == place else ""
        name = branch.names[leaf].replace("_", " ")
        parts += [drawing.label(right + 20, y[leaf] + 4.5, name, kind=kind)]
        said.append(f"{name} ({branch.group_names[level][of[leaf]]})".replace("_", " "))
    text = f"A branch of the tree of class means, with the group of each class: {', '.join(said)}."
    return drawing.Drawing(title, text, 34 + row * (k - 1) + 12, parts)


def _leaf_order(linkage: np.ndarray, k: int) -> list[int]:
    """The leaves from one end of the tree to the other."""
    held = {leaf: [leaf] for leaf in range(k)}
    for i, (a, b) in enumerate(linkage[:, :2].astype(int)):
        held[k + i] = held.pop(a) + held.pop(b)
    [order] = held.values()
    return order


def similarities(
    similarity: np.ndarray, hierarchy: Hierarchy, *, title: str, height: float = 5.6
) -> Figure:
    """Similarities of class means, in the order of the tree of labels.

    Thin lines part the groups of the first level above the classes, which are named on the left;
    thick lines those of the second.

    Args:
        similarity: float64 [K, K], from -1 to 1.
        hierarchy: of the K classes.
        title: above the matrix.
        height: inches.
    """
    order = order_by_groups(hierarchy)
    names, groups = hierarchy.levels[1], hierarchy.levels[min(2, len(hierarchy.levels) - 1)]
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(
            similarity[np.ix_(order, order)], cmap="RdBu_r", vmin=-1, vmax=1,
            interpolation="nearest", aspect="auto",  # a fixed one would cut off the names
        )  # fmt: skip
        for level, width in ((names, 0.5), (groups, 1.8)):
            for place in _bounds(level, order)[1:-1] - 0.5:
                axis.axhline(place, color=_DARK, linewidth=width)
                axis.axvline(place, color=_DARK, linewidth=width)
        bounds = _bounds(names, order)
        middles, held = (bounds[:-1] + bounds[1:] - 1) / 2, names.of_fine[order][bounds[:-1]]
        words = [_brief(names.class_names[group]) for group in held]
        axis.set_yticks(middles, words, fontsize=12)
        axis.set_xticks([])
        axis.tick_params(axis="y", length=0)
        axis.grid(False)
        axis.set_title(title, loc="left")
        figure.colorbar(
            image, ax=axis, orientation="horizontal", shrink=0.8, aspect=40, pad=0.01,
            ticks=(-1, -0.5, 0, 0.5, 1),
            label="cosine of two class means",
        )  # fmt: skip
    return figure


def _bounds(level: Level, order: np.ndarray) -> np.ndarray:
    """Where groups begin among the ordered classes, and the end: int64 [K + 1]."""
    of = level.of_fine[order]
    return np.concatenate([[0], np.flatnonzero(np.diff(of)) + 1, [len(of)]])


def _brief(name: str) -> str:
    """A superclass in the words that there is room for."""
    return _BRIEF.get(name, name).replace("_", " ")


def distances_by_kinship(table: pd.DataFrame, *, height: float = 3.6) -> Figure:
    """Distances of class means by the level at which the classes meet, one line an epoch.

    Args:
        table: columns epoch, meet, value, and low, high of shuffled trees.
        height: inches.
    """
    meets: Sequence[str] = list(dict.fromkeys(table["meet"]))
    place = {name: i for i, name in enumerate(meets)}
    epochs = list(dict.fromkeys(table["epoch"]))
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axis = figure.subplots()
        span = table.groupby("meet").agg(low=("low", "min"), high=("high", "max")).loc[list(meets)]
        axis.fill_between(
            range(len(meets)), span["low"], span["high"], color=_GREY, alpha=0.3, lw=0,
            label="leaves shuffled",
        )  # fmt: skip
        for i, epoch in enumerate(epochs):
            line = table[table["epoch"] == epoch]
            axis.plot(
                [place[m] for m in line["meet"]], line["value"], color=PALETTE[i],
                marker=MARKERS[i], markersize=7, linestyle="-" if i else "--",
                label=f"epoch {epoch}",
            )  # fmt: skip
        axis.axhline(1.0, color="#555555", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(meets)), meets)
        axis.set(xlabel="finest level at which two classes meet",
                 ylabel="distance of means\n(all pairs = 1)")  # fmt: skip
        axis.legend(loc="lower right")
    return figure
