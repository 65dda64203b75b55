"""Checkers of the chapter "Time and depth"."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.depth_and_time import (
    layer_by_epoch,
    order_of_rows,
    rank_order,
    shared_epochs,
)
from ssl_companion.chapters.exercises import (
    ELSE,
    NotYet,
    array_of,
    call,
    checker,
    checker_of_number,
    near,
)
from ssl_companion.measures.resampling import resampled
from ssl_companion.recordings import Recording

_SERIES = ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [1.0, 9.0, 2.0, 4.0, 3.0])


@checker
def check_order(order: Any) -> str:
    """A function of a list of distinct numbers: the rank correlation with their positions."""
    rng = np.random.default_rng(0)
    for values in (*_SERIES, *(rng.normal(size=n).round(2).tolist() for n in (8, 15))):
        expected, places = float(rank_order(np.array(values))), np.arange(len(values))
        hints = {
            np.corrcoef(values, places)[0, 1]: "that correlates the values themselves: put their "
            "ranks in their place.",
            stats.kendalltau(values, places)[0]: "that is Kendall's, which counts pairs; correlate "
            "the ranks.",
            -expected: "the sign is turned: the smallest number has the lowest rank.",
            expected**2: "that is a square; a correlation has a sign.",
            ELSE: f"of {values} it should be a correlation between the ranks and the positions 0 "
            f"to {len(values) - 1}.",
        }
        near(call(order, list(values)), expected, hints)
    return (
        "ranks ignore the size of the steps: a curve that rises by a hair at every epoch gets 1, "
        "and one that jumps and then wavers gets less."
    )


@checker
def check_same_order(answer: Any) -> str:
    """Two lists of accuracies of equal length, one almost flat and one steep, of one order."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise NotYet("expected two lists of numbers, the flat one first.")
    flat, steep = (array_of(values) for values in answer)
    if flat.ndim != 1 or steep.ndim != 1 or min(len(flat), len(steep)) < 4:
        raise NotYet("expected two lists of at least four accuracies each.")
    both = np.concatenate([flat, steep])
    if not np.all(np.isfinite(both)) or both.min() < 0 or both.max() > 1:
        raise NotYet("accuracies are fractions, from 0 to 1.")
    if np.diff(flat).min() <= 0 or np.diff(steep).min() <= 0:
        raise NotYet("a rank correlation of 1 requires a rise at *every* step, without ties.")
    rounding = 1e-9  # 0.31 - 0.30 is more than 0.01
    if np.ptp(flat) > 0.01 + rounding:
        raise NotYet("the first list should gain one point of accuracy at most.")
    if np.ptp(steep) < 0.5 - rounding:
        raise NotYet("the second list should gain half of all images (0.5) or more.")
    return (
        "to the rule these two are the same. It judges whether alignment increases, as the claim "
        "does, and not by how much; that is why the rules of other claims are in accuracies."
    )


@checker_of_number
def check_overtakes(answer: float, recording: Recording, level: str) -> str:
    """The first epoch at which the last layer passes what the middle layer ends with."""
    table = layer_by_epoch(recording, level)
    epochs = table.columns.to_numpy(np.int64)
    first, middle, last = (table.iloc[i].to_numpy() for i in (0, len(table) // 2, -1))
    above = epochs[last > middle[-1]]
    if not len(above):
        if answer != -1:
            raise NotYet("look again: does the last row ever pass that value? If not, answer −1.")
        return "it never does in this recording."
    hints: dict[Any, str] = {
        **dict.fromkeys(above[1:], "is there no earlier epoch at which it is passed already?"),
        np.flatnonzero(epochs == above[0])[0]: "that is the place of a column; the columns are "
        "named by their epochs.",
        middle[-1]: "that is the accuracy to be passed; an epoch is asked for.",
        -1: "it is passed at some epoch.",
        ELSE: "the rows of layer_by_epoch() are layers, its columns epochs: compare the whole last "
        "row with one number, the last of the middle row.",
    }
    of_first, same = epochs[last > first[-1]][:1], epochs[last > middle][:1]
    for epoch in of_first:
        hints[epoch] = "that is when it passes the first layer; take the middle one."
    for epoch in same:
        or_else = f" Or else: {hints[epoch]}" if epoch in of_first else ""
        hints[epoch] = (
            "that compares both layers at the same epoch; the middle layer should be taken at its "
            f"*last* one.{or_else}"
        )
    near(answer, above[0], hints, 1e-9)
    return (
        f"first at epoch {above[0]}: even at the end of training, epoch {epochs[-1]}, the middle "
        "layer has not reached what the last one had by then."
    )


@checker_of_number
def check_before(answer: float, recording: Recording, level: str) -> str:
    """The order along depth before training, at one level."""
    words = ("depth before training", "epoch", "depth")
    expected, over_epochs, after = (
        order_of_rows(recording, along, [level])["value"].iloc[0] for along in words
    )
    if not np.isfinite(expected):
        raise NotYet(f"level {level!r} does not change over the depth here; take another LEVEL.")
    hints = {
        -expected: "the sign is lost: does accuracy go up with depth, or down?",
        over_epochs: "that is along the epochs, not along the layers.",
        after: "that is the order of the layers after training; `along` has another word for "
        "before it.",
        ELSE: "one row for the level, and in it one value: which of the three words for `along` "
        "means that nothing has been trained yet?",
    }
    if over_epochs == after:
        hints[after] = (
            "that is an order after training, be it along the epochs or along the layers; `along` "
            "has another word for the layers before it."
        )
    near(answer, expected, hints)
    return (
        f"{expected:+.2f}: before training, accuracy {'rises' if expected > 0 else 'falls'} on the "
        "whole with depth. Depth alone does not produce the order found after training."
    )


@checker_of_number
def check_steps(answer: float, recording: Recording, level: str) -> str:
    """How many steps from layer to layer gain more than chance, at the last epoch but one that
    keeps all layers."""
    before, last = shared_epochs(recording)[-2:][0], shared_epochs(recording)[-1]

    def found(epoch: int) -> np.ndarray:
        return np.stack([hits(recording, level, [epoch], layer)[0] for layer in recording.layers])

    def surely(epoch: int, tail: float = 0.025) -> int:
        gained = resampled(np.diff(found(epoch).astype(np.int64), axis=0))
        return int((np.quantile(gained, tail, axis=1) > 0).sum())

    sure, after, now = surely(before), surely(last), found(before)
    up, steps = int((np.diff(now.mean(axis=1)) > 0).sum()), len(now) - 1
    low, high = np.quantile(resampled(now), [0.025, 0.975], axis=1)
    hints = {
        surely(before, 0.05): "that many have 95% of their draws above 0; here the lower end of "
        "the 95% interval has to lie above 0.",
        sure / steps: "that is a share; a number of steps is asked for.",
        len(recording.layers): "that is the number of layers; a step lies between two.",
        (low[1:] > high[:-1]).sum(): "that many have intervals that do not overlap. Both layers "
        "see the same images: resample their difference, not each by itself.",
        after: "that many are sure at the end of training; look at the epoch before it.",
        up: "that many go up at all; how many by more than the images' chance?",
        ELSE: "for each pair of neighbouring layers: the difference of their hits, image by image; "
        "its mean over images drawn again; and whether the 2.5% quantile of that is above 0.",
    }
    if up == after != sure:
        hints[up] = (
            "that many go up at all at this epoch, and as many are sure at the end of training. "
            "Which are sure at this epoch?"
        )
    near(answer, sure, hints, 1e-9)
    return (
        f"{sure} of {steps} steps at epoch {before}, while {up} go up at all; at epoch {last}, "
        f"{after} are sure. A rank correlation counts a step that could be chance like one that "
        "could not; that is what its interval is for."
    )
