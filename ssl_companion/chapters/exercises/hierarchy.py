"""Checkers of the chapter "Hierarchy"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.hierarchy import shuffled_groups
from ssl_companion.chapters.exercises import ELSE, call, checker, checker_of_number, near
from ssl_companion.chapters.exercises.clusters_emerge import accuracy_at_end
from ssl_companion.measures import cophenetic_correlation
from ssl_companion.measures.dendrogram import METHODS
from ssl_companion.recordings import Recording


@checker
def check_blind(blind: Any, recording: Recording) -> str:
    """A function of a level: the best share that a guess without looking gets right."""
    for level in reversed(recording.hierarchy.levels):
        share = level.sizes.max() / level.sizes.sum()
        other = "that is how often the best guess is wrong; which guess is right more often?"
        hints = {
            1 / level.k: "that would hold if all groups were equally large; look at sizes.",
            level.sizes.max(): "that is a number of classes; of how many?",
            # Of two groups these are the same.
            level.sizes.min() / level.sizes.sum(): other,
            1 - share: other,
            ELSE: f"at level {level.name!r} the groups hold {level.sizes.tolist()} classes. Which "
            "one would you always name, and how often would that be right?",
        }
        near(call(blind, level), share, hints)
    top = recording.hierarchy.levels[-1]
    return (
        f"at level {top.name!r} always naming the largest group is right in "
        f"{top.sizes.max() / top.sizes.sum():.1%} of the cases, and NCC accuracy after training is "
        f"{accuracy_at_end(recording, top):.1%}. The nearest-mean rule does not know how large a "
        "group is, so a random grouping of the same sizes is the fair control."
    )


@checker_of_number
def check_siblings(answer: float, recording: Recording) -> str:
    """The share of classes whose nearest other mean is a sibling's, after training."""
    means = recording.class_means(recording.kept_epochs()[-1]).astype(np.float64)
    level, above = recording.hierarchy.levels[1:3]
    distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)

    def share(others: np.ndarray, groups: np.ndarray) -> float:
        return float(np.mean(groups[others] == groups))

    of_self = share(distances.argmin(axis=1), level.of_fine)
    farthest = share(distances.argmax(axis=1), level.of_fine)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    kin = share(nearest, level.of_fine)
    by_chance = np.mean((level.sizes[level.of_fine] - 1) / (len(means) - 1))
    hints = {
        of_self: "every class is nearest to itself: leave it out.",
        1 - kin: "that is the share whose nearest mean is *not* a sibling's.",
        kin * len(means): "that is a number of classes; a share is asked for.",
        share(nearest, above.of_fine): f"those are groups of level {above.name!r}, one level up.",
        farthest: "that is the mean farthest away.",
        ELSE: "for each fine class, find the nearest mean among the other classes, and ask whether "
        f"both belong to the same group of level {level.name!r}.",
    }
    near(answer, kin, hints)
    return (
        f"for {kin:.0%} of the classes the nearest mean is a sibling's; by chance it would be "
        f"{by_chance:.0%}."
    )


@checker_of_number
def check_another(answer: float, recording: Recording) -> str:
    """NCC accuracy of one more random grouping, that of seed 123, after training."""
    name = recording.hierarchy.names[2]
    over_epochs = hits(recording, f"random-{name}", seed=123).mean(axis=1)
    expected, semantic = over_epochs[-1], accuracy_at_end(recording, name)
    hints = {
        semantic: f"that is the accuracy of {name!r} itself, not of a random grouping.",
        accuracy_at_end(recording, f"random-{name}"): "that is the grouping of seed 0: pass the "
        "seed on.",
        over_epochs.mean(): "that is a mean over all kept epochs; name one.",
        over_epochs[0]: "that is before training.",
        expected * len(recording.fine()): "that is a number of hits; a share is asked for.",
        ELSE: "hits takes a level by name, a list of epochs, and by keyword the seed of a random "
        "grouping; it returns for every kept test image whether it is right. Which three are "
        "needed here?",
    }
    near(answer, expected, hints)
    return (
        f"{expected:.1%}, against {semantic:.1%} for {name!r}. One grouping is one draw: the band "
        "in the figure shows how much such draws differ."
    )


@checker_of_number
def check_linkage(answer: float, recording: Recording) -> str:
    """The cophenetic correlation of the single-linkage tree after training."""
    kept = recording.kept_epochs()
    before, means = (recording.class_means(epoch) for epoch in (kept[0], kept[-1]))
    levels = [level.of_fine for level in recording.hierarchy.levels[1:]]
    values = {m: cophenetic_correlation(means, levels, m) for m in METHODS}
    expected = values.pop("single")
    hints: dict[Any, str] = {
        **{v: f"that is the tree of {m} linkage." for m, v in values.items()},
        cophenetic_correlation(before, levels, "single"): "that is before training.",
        cophenetic_correlation(means, levels[:1], "single"): "give all the upper levels.",
        ELSE: "the correlation compares two trees of the same classes: that of the labels, from "
        "all upper levels, and that of the means, in which it matters how two clusters are joined.",
    }
    near(answer, expected, hints, 1e-4)
    return (
        f"{expected:.2f} with single linkage, {values['average']:.2f} with average and "
        f"{values['ward']:.2f} with Ward's. The class means are the same; a tree is a summary, and "
        "summaries differ. Decide which one to use before you look."
    )


@checker_of_number
def check_inherited(answer: float, recording: Recording) -> str:
    """The top level's accuracy less that of ten groupings of whole superclasses, at the end."""
    top, seeds = recording.hierarchy.levels[-1].name, range(10)
    own = accuracy_at_end(recording, top)
    groups = [shuffled_groups(recording.hierarchy, top, seed) for seed in seeds]
    each = [accuracy_at_end(recording, group) for group in groups]
    others = float(np.mean(each))
    loose = np.mean([accuracy_at_end(recording, f"random-{top}", seed) for seed in seeds])
    hints = {
        own - loose: "that control tears the superclasses apart; use shuffled_groups.",
        others: "that is the control's accuracy: subtract it from the level's.",
        own: "that is the level's own accuracy; what does its control reach?",
        own - each[0]: "one grouping is one draw: average over the ten.",
        others - own: "the other way round: the level less its control.",
        ELSE: f"eleven accuracies at the last kept epoch: that of {top!r}, and those of ten "
        "groupings by shuffled_groups, which `hits` takes in place of a level's name. What is the "
        "first above the mean of the others?",
    }
    near(answer, own - others, hints)
    return (
        f"{100 * (own - others):.1f} points, against {100 * (own - loose):.1f} over groupings that "
        "tear superclasses apart. The difference between the two numbers is alignment that "
        "this level inherits from the superclasses below it."
    )
