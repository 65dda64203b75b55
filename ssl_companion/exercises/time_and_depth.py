"""Checkers of the chapter "Time and depth"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.exercises import Checked, call, hint, near, right
from ssl_companion.findings.depth_time import matrix, order_of_rows, rank_order
from ssl_companion.findings.layers import shared_epochs
from ssl_companion.findings.live import hits, resampled
from ssl_companion.recordings import Recording

_SERIES = ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [10.0, 40.0, 20.0, 30.0], [5.0, 1.0, 9.0])


def check_order(order: Any) -> Checked:
    """A function of a list of distinct numbers: the rank correlation with their positions."""
    for values in _SERIES:
        expected = float(rank_order(np.array(values)))
        by_size = float(np.corrcoef(values, np.arange(len(values)))[0, 1])
        slips = {} if abs(by_size - expected) < 1e-6 else {
            by_size: "that correlates the values themselves: put their ranks in their place."
        }  # fmt: skip
        found = near(
            call(order, list(values)), expected, 1e-6, slips,
            f"of {values} it should be a correlation between the ranks and the positions "
            f"0 to {len(values) - 1}.", "",
        )  # fmt: skip
        if not found.ok:
            return found
    return right(
        "ranks forget how large the steps are, so a curve that rises by a hair at every epoch "
        "gets 1, and one that leaps and then trembles gets less."
    )


def check_same_order(answer: Any) -> Checked:
    """Two lists of accuracies of equal length, one almost flat and one steep, of one order."""
    try:
        flat, steep = (np.asarray(values, np.float64) for values in answer)
    except (TypeError, ValueError):
        return hint("expected two lists of numbers, the flat one first.")
    if flat.ndim != 1 or steep.ndim != 1 or min(len(flat), len(steep)) < 4:
        return hint("expected two lists of at least four accuracies each.")
    both = np.concatenate([flat, steep])
    if not np.all(np.isfinite(both)) or both.min() < 0 or both.max() > 1:
        return hint("accuracies are fractions, from 0 to 1.")
    if float(rank_order(flat)) < 1 or float(rank_order(steep)) < 1:
        return hint("a rank correlation of 1 asks for a rise at *every* step, without ties.")
    if np.ptp(flat) > 0.01:
        return hint("the first list should gain one point of accuracy at most.")
    if np.ptp(steep) < 0.5:
        return hint("the second list should gain half or more.")
    return right(
        "the rule cannot tell the two apart. It judges whether alignment increases, as the claim "
        "says, and not by how much; that is why the other claims' rules are in accuracies."
    )


def check_overtakes(answer: Any, recording: Recording, level: str) -> Checked:
    """The first epoch at which the last layer passes what the first layer ends with."""
    table = matrix(recording, level)
    above = table.columns[(table.iloc[-1] > table.iloc[0, -1]).to_numpy()]
    if not len(above):
        return near(
            answer, -1, 0.0, {}, "look again: does the last row ever pass that value? If not, "
            "answer −1.", "it never does in this recording.",
        )  # fmt: skip
    same = table.columns[(table.iloc[-1] > table.iloc[0]).to_numpy()]
    slips: dict[float, str] = {}
    if len(same) and same[0] != above[0]:
        slips[float(same[0])] = "that compares both layers at the same epoch; the first layer "\
            "should be taken at its *last* one."  # fmt: skip
    return near(
        answer, float(above[0]), 1e-9, slips,
        "the rows of matrix() are layers, its columns epochs: compare the whole last row with one "
        "number, the first row's last.",
        f"from epoch {above[0]} on. All the training of the first layer is worth less, by this "
        "measure, than that much training of what lies above it.",
    )  # fmt: skip


def check_before(answer: Any, recording: Recording, level: str) -> Checked:
    """The order along depth before training, at one level."""

    def of(along: str) -> float:
        return float(order_of_rows(recording, along, [level])["value"].iloc[0])

    expected = of("depth before training")
    if not np.isfinite(expected):
        return hint(f"level {level!r} does not change over the depth here; take another LEVEL.")
    words = {"depth": "that is after training.", "epoch": "that is along the epochs."}
    slips = {of(along): text for along, text in words.items() if np.isfinite(of(along))}
    slips = {value: text for value, text in slips.items() if abs(value - expected) > 1e-6}
    trend = "rises" if expected > 0 else "falls"
    return near(
        answer, expected, 1e-6, slips,
        "order_of_rows(recording, along, [LEVEL]) has the value; `along` says which order.",
        f"{expected:+.2f}: before training, accuracy {trend} on the whole with depth. Depth alone "
        "does not make the order that is found after training.",
    )  # fmt: skip


def check_steps(answer: Any, recording: Recording, level: str) -> Checked:
    """How many steps from layer to layer gain more than chance, after training."""
    epoch = shared_epochs(recording)[-1]
    found = np.stack([hits(recording, level, [epoch], layer)[0] for layer in recording.layers])
    gained = np.diff(found.astype(np.int64), axis=0)
    sure = int((np.quantile(resampled(gained), 0.025, axis=1) > 0).sum())
    up = int((gained.mean(axis=1) > 0).sum())
    slips: dict[float, str] = {}
    if up != sure:
        slips[up] = "so many go up at all; how many of them by more than the images' chance?"
    return near(
        answer, sure, 1e-9, slips,
        "for each pair of neighbouring layers, take the difference of their hits image by image, "
        "resampled() of it, and ask whether its 2.5% quantile lies above 0.",
        f"{sure} of {len(gained)} steps, while {up} go up at all. A rank correlation counts a "
        "step that could be chance like one that could not; its interval is there for that.",
    )  # fmt: skip
