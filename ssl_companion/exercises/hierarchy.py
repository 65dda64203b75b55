"""Checkers of the chapter "Hierarchy"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.exercises import Checked, call, near, right
from ssl_companion.findings.levels import shuffled_groups
from ssl_companion.findings.live import hits
from ssl_companion.measures import cophenetic_correlation
from ssl_companion.recordings import Recording


def check_blind(blind: Any, recording: Recording) -> Checked:
    """A function of a level: the best share that a guess without looking gets right."""
    for level in reversed(recording.hierarchy.levels):
        share = float(level.sizes.max() / level.sizes.sum())
        slips = {1 / level.k: "that would be so if all groups were equally large; look at sizes."}
        if abs(1 / level.k - share) < 1e-9:
            slips = {}
        found = near(
            call(blind, level), share, 1e-9, slips,
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


def check_siblings(answer: Any, recording: Recording) -> Checked:
    """The share of classes whose nearest other mean is a sibling's, after training."""
    means = recording.class_means(recording.kept_epochs()[-1]).astype(np.float64)
    level = recording.hierarchy.levels[1]
    distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)
    of_self = float(np.mean(level.of_fine[distances.argmin(axis=1)] == level.of_fine))
    np.fill_diagonal(distances, np.inf)
    kin = level.of_fine[distances.argmin(axis=1)] == level.of_fine
    by_chance = float(np.mean((level.sizes[level.of_fine] - 1) / (len(means) - 1)))
    return near(
        answer, float(kin.mean()), 1e-6,
        {of_self: "every class is nearest to itself: leave it out.",
         1 - float(kin.mean()): "that is the share whose nearest mean is *not* a sibling's."},
        "for each fine class, find the nearest mean among the other classes, and ask whether both "
        f"belong to the same group of level {level.name!r}.",
        f"{kin.mean():.0%} of the classes have a sibling next to them; by chance it would be "
        f"{by_chance:.0%}.",
    )  # fmt: skip


def check_another(answer: Any, recording: Recording) -> Checked:
    """NCC accuracy of one more random grouping, that of seed 123, after training."""
    name = recording.hierarchy.names[2]
    expected = float(_last(recording, f"random-{name}", 123).mean())
    semantic, usual = (float(_last(recording, n).mean()) for n in (name, f"random-{name}"))
    slips = {
        semantic: f"that is the accuracy of {name!r} itself, not of a random grouping.",
        usual: "that is the grouping of seed 0: pass the seed on.",
    }
    slips = {value: words for value, words in slips.items() if abs(value - expected) > 1e-9}
    return near(
        answer, expected, 1e-6, slips,
        f"hits(recording, 'random-{name}', [epoch], seed=123) says of every kept test image "
        "whether it is right; the accuracy is their mean, at the last kept epoch.",
        f"{expected:.1%}, against {semantic:.1%} for {name!r}. One grouping is one draw: the band "
        "in the figure says how much such draws differ.",
    )  # fmt: skip


def check_linkage(answer: Any, recording: Recording) -> Checked:
    """The cophenetic correlation of the single-linkage tree after training."""
    means = recording.class_means(recording.kept_epochs()[-1])
    levels = [level.of_fine for level in recording.hierarchy.levels[1:]]
    values = {m: cophenetic_correlation(means, levels, m) for m in ("single", "average", "ward")}
    expected = values.pop("single")
    slips = {v: f"that is the tree of {m} linkage." for m, v in values.items()}
    slips = {v: words for v, words in slips.items() if abs(v - expected) > 1e-4}
    return near(
        answer, expected, 1e-4, slips,
        "cophenetic_correlation(means, levels, method) takes the class means of the last kept "
        "epoch, the groups of the upper levels (of_fine), and the name of the linkage.",
        f"{expected:.2f} with single linkage, {values['average']:.2f} with average and "
        f"{values['ward']:.2f} with Ward's. The class means are the same; a tree is a summary, and "
        "summaries differ. Say which one you took before you look.",
    )  # fmt: skip


def check_inherited(answer: Any, recording: Recording) -> Checked:
    """The top level's accuracy less that of ten groupings of whole superclasses, at the end."""
    top = recording.hierarchy.levels[-1].name
    own = float(_last(recording, top).mean())
    epoch = recording.kept_epochs()[-1]
    groups = [shuffled_groups(recording.hierarchy, top, seed) for seed in range(10)]
    others = float(np.mean([hits(recording, group, [epoch])[0].mean() for group in groups]))
    loose = float(np.mean([_last(recording, f"random-{top}", seed).mean() for seed in range(10)]))
    return near(
        answer, own - others, 1e-6,
        {own - loose: "that control tears the superclasses apart; use shuffled_groups.",
         others: "that is the control's accuracy: subtract it from the level's.",
         others - own: "the other way round: the level less its control."},
        f"take hits at the last kept epoch for {top!r}, and for shuffled_groups(hierarchy, "
        f"{top!r}, seed) with seeds 0 to 9; subtract the mean accuracy of the ten from that of "
        "the level.",
        f"{100 * (own - others):.1f} points, against {100 * (own - loose):.1f} over groupings that "
        "tear superclasses apart. What lies between the two numbers is alignment that this level "
        "inherits from the superclasses below it.",
    )  # fmt: skip


def _last(recording: Recording, level: str, seed: int = 0) -> np.ndarray:
    """Hits at the last kept epoch, bool [N]."""
    own: np.ndarray = hits(recording, level, [recording.kept_epochs()[-1]], seed=seed)[0]
    return own
