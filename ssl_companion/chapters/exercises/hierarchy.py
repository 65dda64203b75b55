"""Checkers of the chapter "Hierarchy"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.hierarchy import shuffled_groups
from ssl_companion.chapters.exercises import Checked, call, near, of_number, right
from ssl_companion.measures import cophenetic_correlation
from ssl_companion.measures.dendrogram import METHODS
from ssl_companion.recordings import Recording


def check_blind(blind: Any, recording: Recording) -> Checked:
    """A function of a level: the best share that a guess without looking gets right."""
    for level in reversed(recording.hierarchy.levels):
        share = float(level.sizes.max() / level.sizes.sum())
        other = "so often the best guess is wrong; which one could be right more often?"
        slips = {
            1 / level.k: "that would be so if all groups were equally large; look at sizes.",
            float(level.sizes.max()): "that is a number of classes; of how many?",
            # Of two groups these are the same.
            float(level.sizes.min() / level.sizes.sum()): other,
            1 - share: other,
        }
        found = near(
            call(blind, level), share, 1e-6, slips,
            f"at level {level.name!r} the groups hold {level.sizes.tolist()} classes. Which one "
            "would you always name, and how often would that be right?", "",
        )  # fmt: skip
        if not found.ok:
            return found
    top = recording.hierarchy.levels[-1]
    now = float(_last(recording, top.name).mean())
    blindly = float(top.sizes.max() / top.sizes.sum())
    return right(
        f"at level {top.name!r} always naming the largest group is right in {blindly:.1%} of the "
        f"cases, and NCC accuracy after training is {now:.1%}. The rule of nearest means does not "
        "know how large a group is, so a random grouping of the same sizes is the fair control."
    )


@of_number
def check_siblings(answer: float, recording: Recording) -> Checked:
    """The share of classes whose nearest other mean is a sibling's, after training."""
    means = recording.class_means(recording.kept_epochs()[-1]).astype(np.float64)
    level = recording.hierarchy.levels[1]
    distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)

    def share(others: np.ndarray, groups: np.ndarray) -> float:
        return float(np.mean(groups[others] == groups))

    of_self = share(distances.argmin(axis=1), level.of_fine)
    farthest = share(distances.argmax(axis=1), level.of_fine)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    kin = share(nearest, level.of_fine)
    above = recording.hierarchy.levels[2]
    by_chance = float(np.mean((level.sizes[level.of_fine] - 1) / (len(means) - 1)))
    return near(
        answer, kin, 1e-6,
        {of_self: "every class is nearest to itself: leave it out.",
         1 - kin: "that is the share whose nearest mean is *not* a sibling's.",
         kin * len(means): "that is a number of classes; a share is asked for.",
         share(nearest, above.of_fine): f"those are groups of level {above.name!r}, one level up.",
         farthest: "that is the mean farthest away."},
        "for each fine class, find the nearest mean among the other classes, and ask whether both "
        f"belong to the same group of level {level.name!r}.",
        f"{kin:.0%} of the classes have a sibling next to them; by chance it would be "
        f"{by_chance:.0%}.",
    )  # fmt: skip


@of_number
def check_another(answer: float, recording: Recording) -> Checked:
    """NCC accuracy of one more random grouping, that of seed 123, after training."""
    name = recording.hierarchy.names[2]
    expected = float(_last(recording, f"random-{name}", 123).mean())
    semantic, usual = (float(_last(recording, n).mean()) for n in (name, f"random-{name}"))
    over_epochs = hits(recording, f"random-{name}", seed=123).mean(axis=1)
    slips = {
        semantic: f"that is the accuracy of {name!r} itself, not of a random grouping.",
        usual: "that is the grouping of seed 0: pass the seed on.",
        float(over_epochs.mean()): "that is a mean over all kept epochs; name one.",
        float(over_epochs[0]): "that is before training.",
        expected * len(recording.fine()): "that is a number of hits; a share is asked for.",
    }
    return near(
        answer, expected, 1e-6, slips,
        "hits takes a level by name, a list of epochs, and by keyword the seed of a random "
        "grouping; it says of every kept test image whether it is right. Which three are asked "
        "for here?",
        f"{expected:.1%}, against {semantic:.1%} for {name!r}. One grouping is one draw: the band "
        "in the figure says how much such draws differ.",
    )  # fmt: skip


@of_number
def check_linkage(answer: float, recording: Recording) -> Checked:
    """The cophenetic correlation of the single-linkage tree after training."""
    kept = recording.kept_epochs()
    before, means = (recording.class_means(epoch) for epoch in (kept[0], kept[-1]))
    levels = [level.of_fine for level in recording.hierarchy.levels[1:]]
    values = {m: cophenetic_correlation(means, levels, m) for m in METHODS}
    expected = values.pop("single")
    slips = {v: f"that is the tree of {m} linkage." for m, v in values.items()}
    slips[cophenetic_correlation(before, levels, "single")] = "that is before training."
    slips[cophenetic_correlation(means, levels[:1], "single")] = "give all the upper levels."
    return near(
        answer, expected, 1e-4, slips,
        "the correlation compares two trees of the same classes: that of the labels, from all "
        "upper levels, and that of the means, in which it matters how two clusters are joined.",
        f"{expected:.2f} with single linkage, {values['average']:.2f} with average and "
        f"{values['ward']:.2f} with Ward's. The class means are the same; a tree is a summary, and "
        "summaries differ. Say which one you took before you look.",
    )  # fmt: skip


@of_number
def check_inherited(answer: float, recording: Recording) -> Checked:
    """The top level's accuracy less that of ten groupings of whole superclasses, at the end."""
    top = recording.hierarchy.levels[-1].name
    own = float(_last(recording, top).mean())
    epoch = recording.kept_epochs()[-1]
    groups = [shuffled_groups(recording.hierarchy, top, seed) for seed in range(10)]
    each = [float(hits(recording, group, [epoch])[0].mean()) for group in groups]
    others = float(np.mean(each))
    loose = float(np.mean([_last(recording, f"random-{top}", seed).mean() for seed in range(10)]))
    return near(
        answer, own - others, 1e-6,
        {own - loose: "that control tears the superclasses apart; use shuffled_groups.",
         others: "that is the control's accuracy: subtract it from the level's.",
         own: "that is the level's own accuracy; what does its control reach?",
         own - each[0]: "one grouping is one draw: average over the ten.",
         others - own: "the other way round: the level less its control."},
        f"eleven accuracies at the last kept epoch: that of {top!r}, and those of ten groupings by "
        "shuffled_groups, which `hits` takes in place of a level's name. What is the first above "
        "the mean of the others?",
        f"{100 * (own - others):.1f} points, against {100 * (own - loose):.1f} over groupings that "
        "tear superclasses apart. What lies between the two numbers is alignment that this level "
        "inherits from the superclasses below it.",
    )  # fmt: skip


def _last(recording: Recording, level: str, seed: int = 0) -> np.ndarray:
    """Hits at the last kept epoch, bool [N]."""
    own: np.ndarray = hits(recording, level, [recording.kept_epochs()[-1]], seed=seed)[0]
    return own
