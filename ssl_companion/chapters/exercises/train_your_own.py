"""Checkers of the chapter "Train your own"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ssl_companion.chapters.exercises import ELSE, NotYet, call, checker, near, word_of

LEVELS = ("sample", "fine", "coarse", "random-coarse")
_RUNS = ((5000, 128, 20), (50_000, 256, 3), (1000, 100, 7))  # images, batch, epochs


@checker
def check_updates(steps: Any) -> str:
    """A function of images, batch size and epochs that gives the optimizer's steps."""
    for images, batch, epochs in _RUNS:
        expected = images // batch * epochs
        near(
            call(steps, images, batch, epochs),
            expected,
            {
                -(-images // batch) * epochs: "the last batch of an epoch counts only when it is "
                "full: round down.",
                images * epochs // batch: "the batches of each epoch are counted by themselves: "
                "round before you multiply.",
                images
                * epochs
                / batch: "there are no parts of a step: round down, epoch by epoch.",
                images // batch: "that is one epoch; the run has several.",
                2 * expected: "the two views of an image go through the network in one step.",
                images * epochs: "that is the number of images seen. A step takes a whole batch.",
                ELSE: f"for {images:,} images in batches of {batch} over {epochs} epochs it is "
                "another number.",
            },
        )
    return (
        "a run is as long as its number of steps, not of epochs: with a tenth of the images, an "
        "epoch has a tenth of the steps. That is why minutes of training move so little."
    )


@checker
def check_risen(risen: Any) -> str:
    """A function of the table of accuracies that gives the levels that have risen for certain."""
    # Value, low and high at the first, at a middle and at the last epoch, by level.
    steady = ((0.10, 0.08, 0.12), (0.30, 0.28, 0.32), (0.10, 0.08, 0.12))
    clear = ((0.05, 0.04, 0.06), (0.06, 0.05, 0.07), (0.09, 0.08, 0.10))
    overlapping = ((0.20, 0.17, 0.23), (0.21, 0.18, 0.24), (0.24, 0.21, 0.27))
    falling = ((0.40, 0.38, 0.42), (0.30, 0.28, 0.32), (0.20, 0.18, 0.22))
    table = _table(dict(zip(LEVELS, (clear, steady, overlapping, falling), strict=True)))
    found = _names(call(risen, table))
    if "random-coarse" in found:
        raise NotYet("one level falls from 40% to 20%, and your rule names it as risen.")
    if "fine" in found:
        raise NotYet(
            "one level has 10% at the first and at the last epoch and 30% between, and your rule "
            "names it. Compare the last epoch with the first."
        )
    if "coarse" in found:
        raise NotYet(
            "one level goes from 20% to 24%, and your rule names it; but the intervals, 17% to 23% "
            "and 21% to 27%, overlap. Compare an end with an end."
        )
    if "sample" not in found:
        raise NotYet(
            "one level goes from 5% (4% to 6%) to 9% (8% to 10%), and your rule leaves it out."
        )
    other = _table(dict(zip(LEVELS, (falling, clear, clear, steady), strict=True)), (0, 7, 40))
    if _names(call(risen, other)) != {"fine", "coarse"}:
        raise NotYet(
            "in a second table other levels rise, and your rule misses that: let it read the "
            "levels and the epochs from the table."
        )
    return (
        "a level counts as risen when its last interval lies above its first. Both were measured "
        "on the same images, so a paired comparison would be finer; this one errs on the safe side."
    )


@checker
def check_lead(lead: Any) -> str:
    """A function of the table of accuracies: what the coarse level gained over random groups."""
    for start, end, epochs in (
        ((0.15, 0.09), (0.34, 0.20), (0, 3, 9)),
        ((0.30, 0.12), (0.36, 0.28), (0, 5, 20)),
    ):
        (a, b), (c, d) = start, end
        course = {
            level: tuple((x, x - 0.01, x + 0.01) for x in (first, 0.9, last))
            for level, first, last in zip(LEVELS, (0.1, 0.05, a, b), (0.6, 0.2, c, d), strict=True)
        }
        near(
            call(lead, _table(course, epochs)),
            (c - d) - (a - b),
            {
                c - d: "that is the advantage at the end. The untrained network has one, too.",
                c - a: "that is the gain of the superclasses alone; random groups gain as well.",
                d - b: "that is the gain of the random groups.",
                (a - b) - (c - d): "the sign is turned around: the end less the beginning.",
                ELSE: "take the advantage, coarse less random-coarse, at the last epoch and at the "
                "first, and then their difference.",
            },
        )
    return (
        "this difference of differences leaves out what any grouping gains when classes cluster, "
        "and what the untrained network knew. It can be negative although the accuracy rose."
    )


def _table(
    course: dict[str, tuple[tuple[float, float, float], ...]],
    epochs: tuple[int, int, int] = (0, 4, 12),
) -> pd.DataFrame:
    """A table like that of `clustering.ncc_over_epochs`."""
    rows = [
        {"epoch": epoch, "level": level, "value": value, "low": low, "high": high, "n": 500}
        for level, values in course.items()
        for epoch, (value, low, high) in zip(epochs, values, strict=True)
    ]
    return pd.DataFrame(rows)


def _names(answer: Any) -> set[str]:
    if answer is None or answer is ...:
        raise NotYet("the answer is empty. Return a set of levels.")
    if isinstance(answer, str | bytes | dict) or not isinstance(answer, Iterable):
        raise NotYet(f"expected a set of levels, but this is of type {type(answer).__name__}.")
    try:
        names = {word_of(name) for name in answer}
    except NotYet as hint:
        raise NotYet(f"among the levels: {hint}") from None
    except Exception as error:  # whatever the answer raises when it is looked through
        raise NotYet(f"expected a set of levels ({type(error).__name__}).") from None
    if unknown := sorted(names - set(LEVELS)):
        raise NotYet(f"{unknown[0]!r} is not one of {', '.join(LEVELS)}.")
    return names
