"""Every level of labels beside random groupings of its sizes, and the tree of the class means.

The levels are nested: each is compared with its control, and with what it inherits from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from ssl_companion.chapters.analysis.accuracies import table_row
from ssl_companion.chapters.analysis.balanced_accuracy import (
    balanced,
    drawn_balanced,
    recalls,
)
from ssl_companion.chapters.analysis.random_targets import (
    RANDOM_GROUPINGS,
    advantage,
    against_groupings,
    ends,
)
from ssl_companion.data.hierarchy import Hierarchy, Level, random_grouping
from ssl_companion.measures import (
    NearestCentroid,
    cophenetic_correlation,
    cut_agreement,
    dendrogram,
)
from ssl_companion.measures.dendrogram import label_distances
from ssl_companion.measures.resampling import draw_counts, interval, resampled
from ssl_companion.recordings import Recording

_FALL, _HARDLY = 0.02, 0.01  # of an AMI: what is told; how far above shuffled leaves is little


def upper_levels(recording: Recording) -> tuple[str, ...]:
    """The levels above the fine classes, which random groupings can be compared with."""
    return recording.hierarchy.names[1:]


def against_random(
    recording: Recording,
    levels: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
) -> pd.DataFrame:
    """`random_targets.against_groupings` for several levels (by default all above the fine one).

    Under one seed the groupings of nested levels are nested too: the same tree, its leaves
    shuffled.
    """
    levels = upper_levels(recording) if levels is None else levels
    parts = [
        against_groupings(recording, level, epochs, layer, groupings=groupings, seed=seed)
        for level in levels
    ]
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Tree:
    """The dendrogram of the fine classes' means.

    Attributes:
        linkage: in SciPy's form, float64 [K-1, 4].
        names: of the K fine classes.
        groups: for each upper level, the group of every fine class, int64 [K].
        group_names: for each upper level, its classes.
    """

    linkage: np.ndarray
    names: tuple[str, ...]
    groups: dict[str, np.ndarray]
    group_names: dict[str, tuple[str, ...]]


def tree(
    recording: Recording,
    epoch: int | None = None,
    layer: str | None = None,
    method: str = "average",
) -> Tree:
    """The class means' tree at an epoch (by default the last kept)."""
    epoch = recording.kept_epochs(layer)[-1] if epoch is None else epoch
    fine, *upper = recording.hierarchy.levels
    return Tree(
        dendrogram(recording.class_means(epoch, layer), method),
        fine.class_names,
        {level.name: level.of_fine for level in upper},
        {level.name: level.class_names for level in upper},
    )


def branch(tree: Tree, name: str, most: int = 20) -> Tree:
    """The largest branch of at most `most` classes that holds the class `name`.

    It is a tree of its own, of one class where the class joins a larger branch by itself.

    Raises:
        ValueError: no such class.
    """
    k = len(tree.names)
    if name not in tree.names:
        raise ValueError(f"name: {name!r}; expected one of {', '.join(tree.names)}")
    members = [{leaf} for leaf in range(k)]
    for a, b in tree.linkage[:, :2].astype(int):
        members.append(members[a] | members[b])
    own = tree.names.index(name)
    whole = max((m for m in members if own in m and len(m) <= most), key=len)
    inner = [node for node in range(k, len(members)) if members[node] <= whole]
    leaves = sorted(whole)
    place = {node: i for i, node in enumerate([*leaves, *inner])}
    linkage = tree.linkage[np.array(inner, dtype=int) - k]
    for joined in linkage:
        joined[:2] = [place[int(node)] for node in joined[:2]]
    names = tuple(tree.names[leaf] for leaf in leaves)
    groups = {level: of[leaves] for level, of in tree.groups.items()}
    return Tree(linkage, names, groups, tree.group_names)


def similarity_of_means(recording: Recording, epoch: int, layer: str | None = None) -> np.ndarray:
    """Cosines of the fine classes' means less the mean of all of them: float64 [K, K].

    Raises:
        ValueError: a class mean that is the mean of all, which has no direction.
    """
    means = recording.class_means(epoch, layer).astype(np.float64)
    means -= means.mean(axis=0)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"epoch: {epoch}; expected class means that differ from their mean")
    means /= lengths
    return means @ means.T


ALIKE = 0.5  # a cosine above which two class means are said to be alike


def similarity_by_kinship(similarity: np.ndarray, hierarchy: Hierarchy) -> pd.DataFrame:
    """How similar two class means are, by the level at which the classes meet.

    Args:
        similarity: float64 [K, K], as `similarity_of_means` gives it.
        hierarchy: of the K classes.

    Returns:
        meet (the finest level with both in one group, or "nowhere"), pairs, mean, alike (share
        of the pairs above `ALIKE`).
    """
    pairs = np.triu_indices(len(similarity), 1)
    apart = label_distances([level.of_fine for level in hierarchy.levels[1:]])
    found = pd.DataFrame({"apart": apart.astype(int), "mean": similarity[pairs]})
    found["alike"] = found["mean"] > ALIKE
    by_level = found.groupby("apart").agg(
        pairs=("mean", "size"), mean=("mean", "mean"), alike=("alike", "mean")
    )
    names = [*hierarchy.names[1:], "nowhere"]
    by_level.insert(0, "meet", [names[i] for i in by_level.index])
    return by_level.reset_index(drop=True)


def order_by_groups(hierarchy: Hierarchy) -> np.ndarray:
    """The fine classes in the order of the tree of labels, so that groups of every level stand
    together: int64 [K]."""
    return np.lexsort([level.of_fine for level in hierarchy.levels])


def agreement_in_words(agreement: pd.DataFrame) -> str:
    """Whether the whole tree and its cuts at the levels come to agree with the tree of labels.

    Args:
        agreement: of `tree_agreement`.
    """
    ends = agreement.sort_values("epoch", kind="stable").groupby("measure", sort=False)
    rows = [(str(name), part.iloc[0], part.iloc[-1]) for name, part in ends]
    _, first, last = rows[0]
    better = "better" if last["value"] > first["value"] else "no better"
    said = (
        f"As training goes on, the tree as a whole agrees {better} with the tree of labels: the "
        f"cophenetic correlation goes from {first['value']:.2f} to {last['value']:.2f}."
    )
    fell = [row for row in rows[1:] if row[1]["value"] - row[2]["value"] >= _FALL]
    if not fell:
        return said
    cuts = [f"*{n.rpartition(' ')[2]}* ({a['value']:.2f} to {b['value']:.2f})" for n, a, b in fell]
    said += (
        " But cut into as many branches as a level has groups, it agrees less well than before "
        f"training at {' and at '.join(cuts)}"
    )
    lost = [n.rpartition(" ")[2] for n, _, b in fell if b["value"] - b["high"] <= _HARDLY]
    chance = f"; at *{'* and *'.join(lost)}* hardly more than by chance" if lost else ""
    return f"{said}{chance}."


def tree_agreement(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    shuffles: int = 30,
    seed: int = 0,
    method: str = "average",
) -> pd.DataFrame:
    """The class means' tree against the label tree, and against the same tree with its leaves
    shuffled.

    Args:
        recording: with features.
        epochs: by default the first and the last kept.
        layer: by default the last.
        shuffles: of the label tree's leaves.
        seed: of the shuffles.
        method: of the dendrogram.

    Returns:
        epoch, measure ("cophenetic correlation", or "adjusted mutual information, <level>" of
        the cut with as many clusters as the level has classes), value, and what the shuffled
        trees give: random, low, high (their mean and the middle 95%).
    """
    kept = recording.kept_epochs(layer)
    epochs = (kept[0], kept[-1]) if epochs is None else epochs
    upper = [level.of_fine for level in recording.hierarchy.levels[1:]]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(upper[0])) for _ in range(shuffles)]
    rows = []
    for epoch in epochs:
        means = recording.class_means(epoch, layer)
        measures = {"cophenetic correlation": (_cophenetic, upper)}
        for name, own in zip(upper_levels(recording), upper, strict=True):
            measures[f"adjusted mutual information, {name}"] = (_cut, [own])
        for measure, (rule, levels) in measures.items():
            drawn = [rule(means, [level[order] for level in levels], method) for order in orders]
            low, high = np.quantile(drawn, [0.025, 0.975])
            rows.append({"epoch": epoch, "measure": measure, "value": rule(means, levels, method),
                         "random": float(np.mean(drawn)), "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _cophenetic(means: np.ndarray, levels: Sequence[np.ndarray], method: str) -> float:
    return cophenetic_correlation(means, levels, method)


def _cut(means: np.ndarray, levels: Sequence[np.ndarray], method: str) -> float:
    return cut_agreement(means, levels[0], method)


CLASSES, RANDOM, ADVANTAGE = "semantic", "random groupings", "advantage"


def table_of_levels(hierarchy: Hierarchy) -> pd.DataFrame:
    """What the levels are: level, groups, smallest, largest (in fine classes), blind (the share
    of images that the best guess without looking gets right), examples."""
    rows = []
    for level in hierarchy.levels:
        sizes = level.sizes
        names = [name.replace("_", " ") for name in level.class_names]
        shown = names if level.k < 8 else [*names[:3], "…"]
        rows.append({"level": level.name, "groups": level.k, "smallest": int(sizes.min()),
                     "largest": int(sizes.max()), "blind": float(sizes.max() / sizes.sum()),
                     "examples": ", ".join(shown)})  # fmt: skip
    return pd.DataFrame(rows)


def lineage(hierarchy: Hierarchy, fine: str) -> tuple[str, ...]:
    """The groups that a fine class belongs to, its own name first.

    Raises:
        ValueError: no such class.
    """
    names = hierarchy.levels[0].class_names
    if fine not in names:
        raise ValueError(f"fine: {fine!r}; expected one of {', '.join(names)}")
    own = names.index(fine)
    return tuple(level.class_names[level.of_fine[own]] for level in hierarchy.levels)


def against_chance(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
) -> pd.DataFrame:
    """Every level beside random groupings of its sizes: of images at the fine level, of fine
    classes above it.

    A random grouping of the fine classes into groups of one only renames them, so the fine
    level's control groups *images*: their labels are permuted, class means and all.

    Returns:
        epoch, level, target ("semantic", "random groupings", "advantage"), value, low, high, n;
        intervals as in `random_targets.against_groupings`. The fine level's control takes training
        images, and has rows of the epochs that keep them.
    """
    fine = _fine_against_chance(recording, epochs, layer, groupings, seed)
    upper = against_random(recording, None, epochs, layer, groupings=groupings, seed=seed)
    return pd.concat([fine, upper[fine.columns]], ignore_index=True)


def _fine_against_chance(
    recording: Recording,
    epochs: Sequence[int] | None,
    layer: str | None,
    groupings: int,
    seed: int,
) -> pd.DataFrame:
    epochs = recording.kept_epochs(layer) if epochs is None else epochs
    level = recording.hierarchy.levels[0].name
    [own] = recalls(recording, [recording.hierarchy.levels[0]], [(e, layer) for e in epochs])
    of_fine = recording.hierarchy.levels[0].of_fine
    value = balanced(own, of_fine)
    drawn = drawn_balanced(own, of_fine, draw_counts(len(of_fine), seed=seed))
    trained = [e for e in epochs if e in recording.kept_epochs(layer, "train")]
    others = _permuted_hits(recording, trained, layer, groupings, seed).mean(axis=2)
    mean, drawn_mean = others.mean(axis=0), resampled(others.T, None, seed=seed)
    rows = []
    for e, epoch in enumerate(epochs):
        of_epoch = [(CLASSES, value[e], drawn[e])]
        if epoch in trained:
            t = trained.index(epoch)
            of_epoch += [(RANDOM, mean[t], others[:, t]),
                         (ADVANTAGE, value[e] - mean[t], drawn[e] - drawn_mean[t])]  # fmt: skip
        for target, estimate, draws in of_epoch:
            where = {"epoch": epoch, "level": level, "target": target}
            rows.append(table_row(where, interval(float(estimate), draws), len(recording.fine())))
    return pd.DataFrame(rows)


def _permuted_hits(
    recording: Recording, epochs: Sequence[int], layer: str | None, shuffles: int, seed: int
) -> np.ndarray:
    """Hits where every kept image has another's fine label, bool [shuffles, epochs, N]."""
    y, z = recording.fine("train"), recording.fine("test")
    rng = np.random.default_rng(seed)
    orders = [(rng.permutation(y), rng.permutation(z)) for _ in range(shuffles)]
    found = []
    for epoch in epochs:
        x, test = recording.features(epoch, layer, "train"), recording.features(epoch, layer)
        rules = [NearestCentroid().fit(x, a) for a, _ in orders]
        found.append([rule.predict(test) == b for rule, (_, b) in zip(rules, orders, strict=True)])
    return np.moveaxis(np.array(found), 0, 1)


def shuffled_groups(hierarchy: Hierarchy, level: str, seed: int) -> Level:
    """A grouping of a level's sizes that keeps the groups of the second level whole.

    The groups of `hierarchy.levels[1]` are thrown together at random, as many to a group as at
    `level`. What is known of those groups is known of this grouping too; whether they belong
    together is not.

    Raises:
        ValueError: for a level that does not lie above the second, or an unknown one.
    """
    below, own = hierarchy.levels[1], hierarchy.level(level)
    if own.k >= below.k:
        raise ValueError(f"level: {level!r}; expected one above {below.name!r}")
    up = np.zeros(below.k, np.int64)
    up[below.of_fine] = own.of_fine
    up = np.random.default_rng(seed).permutation(up)
    names = tuple(f"random {index}" for index in range(own.k))
    return Level(f"shuffled-{level}", names, up[below.of_fine])


def growths(
    recording: Recording,
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
) -> pd.DataFrame:
    """By how much every upper level's advantage grew over training, against two controls.

    Returns:
        level, control ("classes shuffled", and where the level has one below it
        "superclasses shuffled"), value, low, high, n. Intervals draw classes and groupings again.
    """
    hierarchy, seeds = recording.hierarchy, range(seed, seed + groupings)
    rows = []
    for name in upper_levels(recording):
        controls = {"classes shuffled": [random_grouping(hierarchy.level(name), s) for s in seeds]}
        if hierarchy.level(name).k < hierarchy.levels[1].k:
            controls["superclasses shuffled"] = [shuffled_groups(hierarchy, name, s) for s in seeds]
        for words, others in controls.items():
            found = advantage(recording, name, ends(recording, layer), others, seed=seed)
            where = {"level": name, "control": words}
            rows.append(table_row(where, found.growth, len(recording.fine())))
    return pd.DataFrame(rows)


def distance_by_kinship(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    shuffles: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """How far apart two class means are, by the level at which the classes meet.

    Returns:
        epoch, meet (the finest level with both in one group, or "nowhere"), pairs, value (mean
        distance over the mean of all pairs), and what the tree gives with its leaves shuffled:
        low, high (the middle 95%).
    """
    kept = recording.kept_epochs(layer)
    epochs = (kept[0], kept[-1]) if epochs is None else epochs
    apart = label_distances([level.of_fine for level in recording.hierarchy.levels[1:]])
    names, k = [*upper_levels(recording), "nowhere"], recording.hierarchy.levels[0].k
    pairs = np.triu_indices(k, 1)
    square = np.zeros((k, k))
    square[pairs] = apart
    square += square.T
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(k) for _ in range(shuffles)]
    others = np.stack([square[np.ix_(order, order)][pairs] for order in orders])
    rows = []
    for epoch in epochs:
        distances = pdist(recording.class_means(epoch, layer).astype(np.float64))
        distances /= distances.mean()
        for i, name in enumerate(names):
            own, them = apart == i, others == i
            drawn = (them * distances).sum(axis=1) / them.sum(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            value = float(distances[own].mean())
            rows.append({"epoch": epoch, "meet": name, "pairs": int(own.sum()), "value": value,
                         "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def first_joined(tree: Tree, count: int = 10) -> pd.DataFrame:
    """The pairs of classes that a tree joins first: order, one, other, meet (the finest level
    with both in one group, or "nowhere")."""
    k = len(tree.names)
    rows: list[dict[str, object]] = []
    for a, b in tree.linkage[:, :2].astype(int):
        if a < k and b < k and len(rows) < count:
            shared = [name for name, of in tree.groups.items() if of[a] == of[b]]
            one, other = (tree.names[i].replace("_", " ") for i in sorted((a, b)))
            rows.append({"order": len(rows) + 1, "one": one, "other": other,
                         "meet": shared[0] if shared else "nowhere"})  # fmt: skip
    return pd.DataFrame(rows, columns=["order", "one", "other", "meet"])


def change(low: float, high: float) -> str:
    """Whether an interval of a difference lies above or below zero, as a mark and a few words."""
    if low > 0:
        return "✓ grew"
    return "✗ shrank" if high < 0 else "✗ no more than chance"
